"""Writes the records of concurrent requests to Kafka in shared transactions.

A request's records become visible to readers of committed records together or not at all. A transaction holds the
requests that arrived while the previous one was being committed, so that its cost is shared under load and a single
request does not wait.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from queue import Empty, SimpleQueue
from threading import Lock, Thread

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from member_analyzer.kafka.client import client_options
from member_analyzer.publishing.producer import OutgoingRecord
from member_analyzer.settings import KafkaSettings
from member_analyzer.streams.definition import LARGEST_MESSAGE_BYTES

log = structlog.get_logger(__name__)

MAX_RECORDS = 5_000
MAX_PENDING_BYTES = 2**25
# Until then a broker that restarts is waited for; afterwards the client is asked to repeat the request.
COMMIT_SECONDS = 8
CONNECT_SECONDS = 8
ABORT_SECONDS = 2
# After that time the broker itself aborts the transaction of a process that was killed. Readers wait for it.
TRANSACTION_TIMEOUT_MILLISECONDS = 10_000


class KafkaUnavailableError(RuntimeError):
    """Raised when Kafka did not commit the records of a request. They may be sent again, which repeats none."""


@dataclass(frozen=True)
class TopicRecord:
    """A record and the name of its topic."""

    topic: str
    record: OutgoingRecord

    @property
    def size(self) -> int:
        """The number of bytes of key and value."""
        return len(self.record.key or b"") + len(self.record.value or b"")


@dataclass(frozen=True)
class PendingRequest:
    """The records of a request, and the future that its handler waits for."""

    records: Sequence[TopicRecord]
    committed: Future[None] = field(default_factory=Future)

    @cached_property
    def size(self) -> int:
        """The number of bytes of all records."""
        return sum(one.size for one in self.records)


class TransactionalWriter:
    """A thread that writes requests to Kafka, transaction by transaction. It survives an unavailable Kafka.

    `transactional_id` must be unique among running processes. If it stays the same after a restart, the transaction
    that a killed process left open is aborted at once.
    """

    def __init__(self, kafka: KafkaSettings, transactional_id: str) -> None:
        self._options = client_options(kafka) | {
            "transactional.id": transactional_id,
            "transaction.timeout.ms": TRANSACTION_TIMEOUT_MILLISECONDS,
            "compression.type": "lz4",
            "linger.ms": 2,
            # As the dead letter topics; a rejected item can be as large as a request.
            "message.max.bytes": 2 * LARGEST_MESSAGE_BYTES,
            "queue.buffering.max.messages": 10 * MAX_RECORDS,
            "queue.buffering.max.kbytes": 4 * MAX_PENDING_BYTES // 1024,
            # Errors are raised and logged once.
            "log_level": 0,
        }
        self._queue: SimpleQueue[PendingRequest | None] = SimpleQueue()
        self._lock = Lock()
        self._pending_bytes = 0
        self._producer: Producer | None = None
        self._is_failing = False
        # A daemon, so that a server that hangs does not block the exit.
        self._thread = Thread(target=self._run, name="transactions", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Write what is pending, for at most this many seconds."""
        self._queue.put(None)
        self._thread.join(seconds)

    def write(self, records: Sequence[TopicRecord]) -> Future[None]:
        """Write records in one transaction; the future is done once all in-sync replicas have them.

        It fails with KafkaUnavailableError. The outcome of a commit can be unknown then, but never partial.
        """
        request = PendingRequest(records)
        if not records:
            request.committed.set_result(None)
            return request.committed
        with self._lock:
            is_full = self._pending_bytes + request.size > MAX_PENDING_BYTES
            if not is_full:
                self._pending_bytes += request.size
        if is_full:
            request.committed.set_exception(KafkaUnavailableError("Too many records are waiting for Kafka."))
        else:
            self._queue.put(request)
        return request.committed

    def _run(self) -> None:
        is_stopping = False
        while not is_stopping:
            requests, is_stopping = self._gather()
            if requests:
                self._write(requests)
        if self._producer is not None:
            self._disconnect(self._producer)

    def _gather(self) -> tuple[list[PendingRequest], bool]:
        """Wait for a request; return it with those that are waiting too, and whether the thread is to stop."""
        requests: list[PendingRequest] = []
        records = 0
        request = self._queue.get()
        while request is not None:
            # A handler that has given up has cancelled it.
            if request.committed.set_running_or_notify_cancel():
                requests.append(request)
                records += len(request.records)
            else:
                self._release(request)
            if records >= MAX_RECORDS:
                return requests, False
            try:
                request = self._queue.get_nowait()
            except Empty:
                return requests, False
        return requests, True

    def _write(self, requests: Sequence[PendingRequest]) -> None:
        error: KafkaUnavailableError | None = None
        try:
            self._commit(requests)
        # Whatever it is, the thread must survive it: no request would be written any more.
        except Exception as failure:
            cause = failure.args[0] if failure.args else None
            message = cause.str() if isinstance(cause, KafkaError) else f"{type(failure).__name__}: {failure}"
            error = KafkaUnavailableError(message)
            self._abort()
        self._log_state(error)
        for request in requests:
            self._release(request)
            if error is None:
                request.committed.set_result(None)
            else:
                request.committed.set_exception(error)

    def _release(self, request: PendingRequest) -> None:
        with self._lock:
            self._pending_bytes -= request.size

    def _commit(self, requests: Sequence[PendingRequest]) -> None:
        producer = self._producer or self._connect()
        failures: list[KafkaError] = []

        def note_delivery(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failures.append(error)

        producer.begin_transaction()
        for request in requests:
            for one in request.records:
                record = one.record
                producer.produce(
                    one.topic,
                    key=record.key,
                    value=record.value,
                    headers=record.headers,
                    on_delivery=note_delivery,
                )
        producer.commit_transaction(COMMIT_SECONDS)
        if failures:
            raise KafkaException(failures[0])

    def _connect(self) -> Producer:
        producer = Producer(self._options)
        try:
            producer.init_transactions(CONNECT_SECONDS)
        except KafkaException:
            self._disconnect(producer)
            raise
        self._producer = producer
        return producer

    def _abort(self) -> None:
        """Abort the transaction, or let the next producer of the same id do it."""
        if self._producer is None:
            return
        producer = self._producer
        try:
            producer.abort_transaction(ABORT_SECONDS)
        except KafkaException:
            self._disconnect(producer)

    def _disconnect(self, producer: Producer) -> None:
        self._producer = None
        # Otherwise destroying the client waits for records that cannot be delivered.
        with suppress(KafkaException):
            producer.purge()

    def _log_state(self, error: KafkaUnavailableError | None) -> None:
        """Log the first failure and the recovery."""
        if (error is not None) == self._is_failing:
            return
        self._is_failing = error is not None
        if error is not None:
            log.warning("transactions.failing", error=str(error))
        else:
            log.info("transactions.recovered")
