"""The program: `python -m member_analyzer.collector --port 18001`."""

import os
from typing import Annotated

import typer
import uvicorn
from pydantic import ValidationError

from member_analyzer.collector.app import create_app
from member_analyzer.http.server import BoundedHttp
from member_analyzer.logs import configure_logs, exit_with_error
from member_analyzer.settings import explain_settings

# With the publisher's last batch after it, less than whoever stops the program waits before killing it.
SECONDS_TO_FINISH = 8


def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 18001,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Take members over HTTP until SIGTERM or Ctrl-C; requests that are under way then are finished."""
    configure_logs()
    try:
        app = create_app(os.environ)
    except ValidationError as error:
        exit_with_error(ValueError(explain_settings(error)))
    uvicorn.run(
        app,
        host=host,
        port=port,
        http=BoundedHttp,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
    )


if __name__ == "__main__":
    typer.run(serve)
