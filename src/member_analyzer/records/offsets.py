"""Offsets of a Kafka topic by partition."""

from collections.abc import Mapping

# Kafka partition -> offset.
Offsets = Mapping[int, int]

# Schema id -> the last offset of each partition at which a record was rejected because its schema was unknown.
UnknownSchemaOffsets = Mapping[int, Offsets]
