"""Sends events with rudder-sdk-python, which compresses by default."""

from collections.abc import Callable

from rudderstack.analytics import Client as RudderClient

from events import Batch, Client, run_program


def open_client(url: str, write_key: str, on_error: Callable[[Exception, Batch], None]) -> Client:
    return RudderClient(write_key, host=url, on_error=on_error)


if __name__ == "__main__":
    run_program(open_client)
