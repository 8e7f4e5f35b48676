"""Kafka and its schema registry: client options, topics, subjects, and a reader of whole topics.

May import `streams`, for the names of topics and subjects.
"""
