"""Structured logs: one JSON object per line on standard error, without personal data."""

import logging
import sys
from typing import NoReturn

import structlog


def configure_logs() -> None:
    """Log JSON lines; libraries log warnings and errors as plain lines."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


def exit_with_error(error: Exception) -> NoReturn:
    """Log an error that an administrator must fix, and exit with status 1."""
    structlog.get_logger("member_analyzer").error("program.failed", error=str(error))
    sys.exit(1)
