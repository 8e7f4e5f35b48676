"""Mutation tests of the drills: with each protection disabled in a scratch copy, its drill must fail.

    make prove-drills                                   # all drills, about 70 minutes
    .venv/bin/python tests/faults/prove.py poison       # drills whose name contains the word

The copy is a clone of the last commit with its own virtual environment. A mutation replaces one piece of text in one
file; if the text does not exist any more, that is an error.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PACKAGE = "src/member_analyzer"
# As in `make drills`, so that each drill is audited.
ENVIRONMENT = {"DRILL_MEMBERS": "10000"}


@dataclass(frozen=True)
class Mutation:
    """The protection to disable, and the drill that must then fail (pytest's -k expression)."""

    drill: str
    protection: str
    file: str
    old: str
    new: str


MUTATIONS = [
    Mutation(
        "test_members_count_once_when_the_checkpoints_disk_was_full",
        "restarting a stream that has exited",
        f"{PACKAGE}/local/supervision.py",
        '            "autorestart=true",',
        '            "autorestart=false",',
    ),
    Mutation(
        "server_is_killed_during_the_flow and stream",
        "a checkpoint that survives the driver, and the guard against a missing one",
        f"{PACKAGE}/streaming/checkpoint.py",
        '        return "/".join((self.root, generation, *query))',
        '        import os\n\n        return "/".join((self.root, f"{generation}-{os.getpid()}", *query))',
    ),
    Mutation(
        "server_is_killed_during_the_flow and kafka",
        "waiting for the broker's acknowledgement",
        f"{PACKAGE}/publishing/producer.py",
        "        unsent = self._producer.flush(FLUSH_SECONDS)\n",
        "        unsent = 0\n        self._producer.flush(0.5)\n"
        "        self._producer.purge()\n        failures.clear()\n",
    ),
    Mutation(
        "server_is_killed_during_the_flow and zookeeper",
        "the supervisor's restarts",
        f"{PACKAGE}/local/supervision.py",
        '            "autorestart=true",',
        '            "autorestart=false",',
    ),
    Mutation(
        "test_members_count_once_when_cassandra_is_down_for_a_minute",
        "failing a batch that Cassandra did not accept",
        f"{PACKAGE}/streaming/job.py",
        "            self._write(batch, begins, ends)\n            self._end_isolation()\n",
        "            try:\n                self._write(batch, begins, ends)\n"
        "            except Exception:\n                return\n",
    ),
    Mutation(
        "test_a_run_succeeds_although_the_registry_hangs",
        "retrying a failed publishing task",
        "dags/user_create.py",
        "@task(retries=40,",
        "@task(retries=0,",
    ),
    Mutation(
        "run_succeeds_although_a_server_is_killed and postgres",
        "retrying a failed landing task",
        "dags/user_create.py",
        "@task(retries=5,",
        "@task(retries=0,",
    ),
    Mutation(
        "test_members_count_once_when_postgres_hangs",
        "the deadline of each request",
        f"{PACKAGE}/collector/landing_pool.py",
        "REQUEST_TIMEOUT_SECONDS = 15",
        "REQUEST_TIMEOUT_SECONDS = 900",
    ),
    Mutation(
        "run_succeeds_although_a_server_is_killed and scheduler",
        "the supervisor's restarts",
        f"{PACKAGE}/local/supervision.py",
        '            "autorestart=true",',
        '            "autorestart=false",',
    ),
    Mutation(
        "test_members_count_once_when_everything_is_done_twice",
        "counting each id once",
        f"{PACKAGE}/analysis/changes.py",
        "        elif event.key in first or is_stored(created.get(event.key)) or is_stored(erased.get(event.key)):\n",
        "        elif event.key in first:\n",
    ),
    Mutation(
        "test_poisoned_messages_are_rejected_with_their_reason_and_the_others_count",
        "the validation rules, except those of the format",
        f"{PACKAGE}/streaming/transforms.py",
        "        *broken_rules(record_type),\n",
        "",
    ),
    Mutation(
        "test_replayed_records_count_once_and_those_that_fail_again_are_rejected_once",
        "remembering what was replayed",
        f"{PACKAGE}/landing/dead_letters.py",
        '"INSERT INTO landing.replayed (origin) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING RETURNING origin"',
        '"SELECT unnest(%s::text[])"',
    ),
    Mutation(
        "test_a_rebuild_after_a_lost_checkpoint_gives_the_same_tables",
        "refusing to start without the checkpoint",
        f"{PACKAGE}/streaming/job.py",
        "            self._check_consistency()\n",
        "",
    ),
    Mutation(
        "test_a_rebuild_after_lost_tables_gives_the_same_tables",
        "refusing to continue with empty tables",
        f"{PACKAGE}/streaming/job.py",
        "        if is_behind or (not written and self._checkpoint.has_committed(QUERY)):\n",
        "        if False:\n",
    ),
    Mutation(
        "test_both_versions_of_a_schema_count_in_the_running_stream",
        "loading new schemas",
        f"{PACKAGE}/streaming/job.py",
        "        if ids & subject_schemas",
        "        if False and ids & subject_schemas",
    ),
    Mutation(
        "test_no_count_is_lost_when_batches_are_read_again_with_a_new_schema",
        "deciding what is rejected before counting",
        f"{PACKAGE}/streaming/record_sink.py",
        "            self._round.record_unknown(read.batch.unknown)\n",
        "            pass\n",
    ),
    Mutation(
        "test_erased_members_are_deleted_at_every_station_and_do_not_come_back",
        "keeping the ids of erased members",
        f"{PACKAGE}/landing/acceptance.py",
        "                    ON CONFLICT (id) DO NOTHING\n                    RETURNING id",
        "                    ON CONFLICT (id) DO UPDATE SET record = excluded.record, erased_at = NULL\n"
        "                    WHERE users.erased_at IS NOT NULL\n                    RETURNING id",
    ),
    Mutation(
        "test_every_member_is_counted_once_with_an_api_that_fails_in_every_way",
        "detecting incomplete pages",
        f"{PACKAGE}/sources/user_api.py",
        '    if len(answer["results"]) < page_size:',
        "    if False:",
    ),
]


def run_drills(copy: Path, drills: str) -> "subprocess.CompletedProcess[str]":
    """Run the drills selected by an expression, in the copy."""
    return subprocess.run(
        [copy / ".venv/bin/python", "-m", "pytest", "tests/faults", "-k", drills, "-m", ""],
        cwd=copy,
        env={"LOCAL_DOWNLOADS": str(CHECKOUT / "var/java"), "TEST_DEADLINE": "120"} | os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )


def prove(copy: Path, mutation: Mutation) -> bool:
    """Whether the drill fails without the protection."""
    path = copy / mutation.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        raise SystemExit(f"the mutation for {mutation.drill} does not match {mutation.file}: {mutation.old!r}")
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        result = run_drills(copy, mutation.drill)
    finally:
        path.write_text(text, encoding="utf-8")
    failures = [line for line in result.stdout.splitlines() if line.startswith(("E  ", "FAILED"))]
    print(*failures[:3], sep="\n", flush=True)
    # Status 1 means that tests ran and failed; any other status proves nothing.
    return result.returncode == 1 and "FAILED" in result.stdout


def main() -> None:
    """Prove the drills selected by the arguments, or all."""
    selected = [one for one in MUTATIONS if not sys.argv[1:] or any(word in one.drill for word in sys.argv[1:])]
    with tempfile.TemporaryDirectory(prefix="member-analyzer-") as folder:
        copy = Path(folder) / "copy"
        subprocess.run(["git", "clone", "--quiet", CHECKOUT, copy], check=True)
        subprocess.run(["make", "--quiet", ".venv/installed-dev"], cwd=copy, check=True)
        unmodified = run_drills(copy, " or ".join(f"({one.drill})" for one in selected))
        if unmodified.returncode != 0:
            raise SystemExit(f"the drills fail without any mutation:\n{unmodified.stdout}")
        print("without mutations they pass", flush=True)
        proved = {}
        for mutation in selected:
            print(f"{mutation.drill}\n  without {mutation.protection}", flush=True)
            proved[mutation] = prove(copy, mutation)
            print("  fails as expected" if proved[mutation] else "  PASSES: the drill cannot detect it", flush=True)
    if not all(proved.values()):
        raise SystemExit("some drills did not detect their mutation")


if __name__ == "__main__":
    main()
