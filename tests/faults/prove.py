"""Shows that the drills can fail: each protection is switched off in a scratch copy, and its drill must notice.

    make prove-drills                                   # all of them, some 70 minutes
    .venv/bin/python tests/faults/prove.py poison       # those whose name holds the word

The copy is a clone of what is committed, with an environment of its own. A mutation replaces one piece of text in one
file; where the text is not there any more, the proof itself fails, so that it cannot quietly prove nothing.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PACKAGE = "src/member_analyzer"
# As `make drills` runs them: each is audited on its own.
WHOLE = {"DRILL_MEMBERS": "10000"}


@dataclass(frozen=True)
class Mutation:
    """A protection that is switched off, and the drill that has to fail for it (what pytest's -k selects)."""

    drill: str
    without: str
    file: str
    old: str
    new: str


MUTATIONS = [
    Mutation(
        "test_members_count_once_when_the_checkpoints_disk_was_full",
        "starting a stream again that has ended",
        f"{PACKAGE}/local/supervision.py",
        '            "autorestart=true",',
        '            "autorestart=false",',
    ),
    Mutation(
        "server_is_killed_among_them and stream",
        "a checkpoint that outlives the driver, and the guard that misses it",
        f"{PACKAGE}/streaming/checkpoint.py",
        '        return "/".join((self.root, generation, *query))',
        '        import os\n\n        return "/".join((self.root, f"{generation}-{os.getpid()}", *query))',
    ),
    Mutation(
        "server_is_killed_among_them and kafka",
        "waiting for the broker's acknowledgement",
        f"{PACKAGE}/publishing/producer.py",
        "        unsent = self._producer.flush(FLUSH_SECONDS)\n",
        "        unsent = 0\n        self._producer.flush(0.5)\n"
        "        self._producer.purge()\n        failures.clear()\n",
    ),
    Mutation(
        "server_is_killed_among_them and zookeeper",
        "the supervisor's starting a server again",
        f"{PACKAGE}/local/supervision.py",
        '            "autorestart=true",',
        '            "autorestart=false",',
    ),
    Mutation(
        "test_members_count_once_when_cassandra_is_down_for_a_minute",
        "failing the batch that Cassandra did not take",
        f"{PACKAGE}/streaming/job.py",
        "            self._write(batch, begins, ends)\n            self._end_isolation()\n",
        "            try:\n                self._write(batch, begins, ends)\n"
        "            except Exception:\n                return\n",
    ),
    Mutation(
        "test_a_run_ends_well_when_the_registry_hangs_in_it",
        "trying a failed publishing again",
        "dags/user_create.py",
        "@task(retries=40,",
        "@task(retries=0,",
    ),
    Mutation(
        "server_is_killed_in_it and postgres",
        "trying a failed landing again",
        "dags/user_create.py",
        "@task(retries=5,",
        "@task(retries=0,",
    ),
    Mutation(
        "test_members_count_once_when_postgres_stands_still",
        "the deadline of each request",
        f"{PACKAGE}/collector/landing_pool.py",
        "SECONDS_FOR_AN_ANSWER = 15",
        "SECONDS_FOR_AN_ANSWER = 900",
    ),
    Mutation(
        "server_is_killed_in_it and scheduler",
        "the supervisor's starting a server again",
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
        "the rules that a record must keep, but for those of its form",
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
        "refusing to count without the checkpoint",
        f"{PACKAGE}/streaming/job.py",
        "            self._check_consistency()\n",
        "",
    ),
    Mutation(
        "test_a_rebuild_after_lost_tables_gives_the_same_tables",
        "refusing to go on over emptied tables",
        f"{PACKAGE}/streaming/job.py",
        "        if is_behind or (not written and self._checkpoint.has_committed(QUERY)):\n",
        "        if False:\n",
    ),
    Mutation(
        "test_both_versions_of_a_schema_count_in_the_running_stream",
        "taking up new schemas",
        f"{PACKAGE}/streaming/job.py",
        "        if ids & subject_schemas",
        "        if False and ids & subject_schemas",
    ),
    Mutation(
        "test_no_count_is_lost_when_batches_are_read_again_with_a_new_schema",
        "counting nothing before it is decided what is rejected",
        f"{PACKAGE}/streaming/job.py",
        "            self._record_unknown_schemas(read.unknown)\n",
        "            pass\n",
    ),
    Mutation(
        "test_erased_members_are_gone_from_every_station_and_nothing_brings_them_back",
        "keeping the ids of erased members",
        f"{PACKAGE}/landing/acceptance.py",
        "                    ON CONFLICT (id) DO NOTHING\n                    RETURNING id",
        "                    ON CONFLICT (id) DO UPDATE SET record = excluded.record, erased_at = NULL\n"
        "                    WHERE users.erased_at IS NOT NULL\n                    RETURNING id",
    ),
    Mutation(
        "test_every_member_is_taken_once_from_an_api_that_fails_in_every_way",
        "seeing that half a page is no page",
        f"{PACKAGE}/sources/user_api.py",
        '    if len(answer["results"]) < page_size:',
        "    if False:",
    ),
]


def run_drills(copy: Path, drills: str) -> "subprocess.CompletedProcess[str]":
    """Run the drills that an expression selects, in the copy."""
    return subprocess.run(
        [copy / ".venv/bin/python", "-m", "pytest", "tests/faults", "-k", drills, "-m", ""],
        cwd=copy,
        env={"LOCAL_DOWNLOADS": str(CHECKOUT / "var/java"), "TEST_DEADLINE": "120"} | os.environ | WHOLE,
        capture_output=True,
        text=True,
        check=False,
    )


def prove(copy: Path, mutation: Mutation) -> bool:
    """Whether the drill fails without the protection."""
    path = copy / mutation.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        raise SystemExit(f"{mutation.file} does not hold what {mutation.drill} is to be proved with: {mutation.old!r}")
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        ended = run_drills(copy, mutation.drill)
    finally:
        path.write_text(text, encoding="utf-8")
    failures = [line for line in ended.stdout.splitlines() if line.startswith(("E  ", "FAILED"))]
    print(*failures[:3], sep="\n", flush=True)
    # 1: tests ran and some failed. Anything else proves nothing.
    return ended.returncode == 1 and "FAILED" in ended.stdout


def main() -> None:
    """Prove the drills that the arguments name, or all."""
    chosen = [one for one in MUTATIONS if not sys.argv[1:] or any(word in one.drill for word in sys.argv[1:])]
    with tempfile.TemporaryDirectory(prefix="member-analyzer-") as folder:
        copy = Path(folder) / "copy"
        subprocess.run(["git", "clone", "--quiet", CHECKOUT, copy], check=True)
        subprocess.run(["make", "--quiet", ".venv/installed-dev"], cwd=copy, check=True)
        whole = run_drills(copy, " or ".join(f"({one.drill})" for one in chosen))
        if whole.returncode != 0:
            raise SystemExit(f"the drills fail also where nothing is switched off:\n{whole.stdout}")
        print("with everything switched on they pass", flush=True)
        proved = {}
        for mutation in chosen:
            print(f"{mutation.drill}\n  without {mutation.without}", flush=True)
            proved[mutation] = prove(copy, mutation)
            print("  fails, as it must" if proved[mutation] else "  PASSES: it proves nothing", flush=True)
    if not all(proved.values()):
        raise SystemExit("some drills cannot fail")


if __name__ == "__main__":
    main()
