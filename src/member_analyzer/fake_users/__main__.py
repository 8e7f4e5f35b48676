"""Entry point: `python -m member_analyzer.fake_users --port 18000`."""

from typing import Annotated

import typer
import uvicorn

from member_analyzer.fake_users.app import create_app


def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 18000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve the bundled user API until SIGTERM or Ctrl-C."""
    # Longer than a client pauses between two pages, so that it can reuse its connection.
    uvicorn.run(create_app(), host=host, port=port, log_level="warning", access_log=False, timeout_keep_alive=75)


if __name__ == "__main__":
    typer.run(serve)
