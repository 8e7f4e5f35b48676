"""What distinguishes one stream from the others."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dimension:
    """Something that members are counted by: the columns of the record that make a bucket."""

    name: str
    columns: tuple[str, ...]
