"""Kafka and the schema registry: client options, topics, subjects, and a topic reader.

May import `streams`, for topic and subject names.
"""
