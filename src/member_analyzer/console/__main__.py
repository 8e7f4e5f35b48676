"""Entry point: `python -m member_analyzer.console --port 18002`."""

import logging
from typing import Annotated

import typer
import uvicorn
from pydantic import ValidationError

from member_analyzer.console.app import create_app
from member_analyzer.console.backends import Settings
from member_analyzer.http.server import BoundedHttp
from member_analyzer.logs import configure_logs, exit_with_error
from member_analyzer.settings import explain_settings
from member_analyzer.streams.members.definition import MEMBERS

SHUTDOWN_SECONDS = 5


def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 18002,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve the console until SIGTERM or Ctrl-C."""
    configure_logs()
    # The monitors log outages once; these clients log every retry.
    for library in ("cassandra", "kafka"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    try:
        app = create_app(Settings.read(), MEMBERS)
    except ValidationError as error:
        exit_with_error(ValueError(explain_settings(error)))
    uvicorn.run(
        app,
        host=host,
        port=port,
        http=BoundedHttp,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


if __name__ == "__main__":
    typer.run(serve)
