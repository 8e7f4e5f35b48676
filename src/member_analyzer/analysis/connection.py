"""Cassandra sessions."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from cassandra import ConsistencyLevel
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.policies import (
    ConstantReconnectionPolicy,
    DCAwareRoundRobinPolicy,
    LoadBalancingPolicy,
    TokenAwarePolicy,
    WhiteListRoundRobinPolicy,
)
from cassandra.query import dict_factory
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from member_analyzer.settings import CassandraSettings

log = structlog.get_logger(__name__)


@contextmanager
def connect_cassandra(settings: CassandraSettings, *, request_timeout: float = 30) -> Iterator[Session]:
    """Open a session with the configured consistency level; `request_timeout` is in seconds."""
    profile = ExecutionProfile(
        load_balancing_policy=choose_nodes(settings),
        consistency_level=ConsistencyLevel.name_to_value[settings.consistency],
        request_timeout=request_timeout,
        row_factory=dict_factory,
    )
    cluster = Cluster(
        settings.contact_points,
        port=settings.port,
        auth_provider=PlainTextAuthProvider(settings.username, settings.password.get_secret_value()),
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        connect_timeout=settings.connect_timeout,
        # The driver's default delay grows to ten minutes.
        reconnection_policy=ConstantReconnectionPolicy(settings.reconnect_seconds, max_attempts=None),
        # From version 5 on, the driver computes the checksums of each message in Python.
        protocol_version=4,
    )
    try:
        yield cluster.connect()
    finally:
        cluster.shutdown()


def await_cassandra(settings: CassandraSettings, seconds: float) -> None:
    """Wait until a connection succeeds. Raises NoHostAvailable after `seconds`."""

    def connect() -> None:
        with connect_cassandra(settings):
            log.info("cassandra.reached", hosts=settings.contact_points, port=settings.port)

    Retrying(
        stop=stop_after_delay(seconds),
        wait=wait_fixed(settings.reconnect_seconds),
        retry=retry_if_exception_type(NoHostAvailable),
        reraise=True,
    )(connect)


def choose_nodes(settings: CassandraSettings) -> LoadBalancingPolicy:
    """Return the load balancing policy: replicas first, or only the contact points."""
    if settings.only_contact_points:
        return WhiteListRoundRobinPolicy(settings.contact_points)
    return TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc=settings.datacenter))
