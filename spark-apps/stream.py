"""Spark Structured Streaming application: runs the given streams, or all.

Run it with spark-submit or Python, for example `stream.py members interactions`.
"""

import sys

from member_analyzer.logs import configure_logs, exit_with_error
from member_analyzer.streaming.application import run_streams
from member_analyzer.streaming.job import StreamError
from member_analyzer.streams.catalog import TOPICS, find_topic


def main() -> None:
    """Run the streams until they are stopped."""
    configure_logs()
    try:
        definitions = [find_topic(name) for name in sys.argv[1:] or TOPICS]
        run_streams(definitions, name="_".join(("stream", *(one.name for one in definitions))))
    except (StreamError, LookupError) as error:
        exit_with_error(error)


if __name__ == "__main__":
    main()
