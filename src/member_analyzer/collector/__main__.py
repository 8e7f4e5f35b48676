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
from member_analyzer.streams.members.definition import MEMBERS

# Together with the publisher's last batch, this must stay below the supervisor's kill timeout.
SHUTDOWN_SECONDS = 8


def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 18001,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve the collector API until SIGTERM or Ctrl-C, then finish the requests in flight."""
    configure_logs()
    try:
        app = create_app(os.environ, MEMBERS)
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
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


if __name__ == "__main__":
    typer.run(serve)
