"""Sends events with segment-analytics-python, compressed."""

from collections.abc import Callable

from segment.analytics import Client as SegmentClient

from events import Batch, Client, run_program


def open_client(url: str, write_key: str, on_error: Callable[[Exception, Batch], None]) -> Client:
    return SegmentClient(write_key, host=url, gzip=True, on_error=on_error)


if __name__ == "__main__":
    run_program(open_client)
