"""Sends events with analytics-python, the predecessor of segment-analytics-python, uncompressed."""

from collections.abc import Callable

from analytics import Client as AnalyticsClient

from events import Batch, Client, run_program


def open_client(url: str, write_key: str, on_error: Callable[[Exception, Batch], None]) -> Client:
    return AnalyticsClient(write_key, host=url, on_error=on_error)


if __name__ == "__main__":
    run_program(open_client)
