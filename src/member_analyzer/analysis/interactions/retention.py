"""How long the tables of the interactions keep their rows."""

from collections.abc import Mapping

from cassandra.cluster import Session

from member_analyzer.settings import InteractionSettings

SECONDS_OF_A_DAY = 24 * 60 * 60


def list_retention(settings: InteractionSettings) -> Mapping[str, int]:
    """Return the days for which each table keeps its rows; 0 keeps them for ever."""
    return {
        "interaction_timeline": settings.timeline_days,
        "interaction_sessions": settings.sessions_days,
        "interaction_sessions_by_person": settings.sessions_days,
        "interaction_minutes": settings.minutes_days,
        "interaction_days": settings.counts_days,
        "interaction_counts": settings.counts_days,
        "interaction_members": settings.counts_days,
    }


def set_retention(session: Session, keyspace: str, settings: InteractionSettings) -> None:
    """Set the retention of rows that are written from now on; earlier rows keep that with which they were written."""
    rows = session.execute(
        "SELECT table_name, default_time_to_live FROM system_schema.tables WHERE keyspace_name = %s", (keyspace,)
    )
    current = {row["table_name"]: row["default_time_to_live"] for row in rows}
    for table, days in list_retention(settings).items():
        seconds = days * SECONDS_OF_A_DAY
        # A change of the schema takes all nodes some time.
        if current[table] != seconds:
            session.execute(f"ALTER TABLE {keyspace}.{table} WITH default_time_to_live = {seconds}")
