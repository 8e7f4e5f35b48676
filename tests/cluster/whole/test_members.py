"""The data flow of members through the real platform, and its user interfaces."""

from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests
from playwright.sync_api import Browser, expect

import measurements
from arrivals import arriving
from browser import Console, go, total
from installed import InstalledPlatform, own_memory, usage_by_component
from instructions import run_shell
from member_analyzer.cli.run import DAGS
from member_analyzer.landing.api_keys import Right, create_key
from member_analyzer.operations.airflow import ENDED
from notes import opened, read_line, read_notes, read_pages

RUN_SECONDS = 900
ALL_MEMORY_MB = 10 * 1024


@pytest.fixture(scope="module", autouse=True)
def some_members(platform: InstalledPlatform) -> None:
    """Members from Airflow and from the collector."""
    run = platform.airflow.start_run("user_create", {"seed": "way", "count": 5000, "page_size": 1000})
    platform.remember("way", 5000)
    with arriving(platform, "sent") as arrivals:
        arrivals.wait_for_more(500)
    platform.airflow.wait_for_run(run, seconds=RUN_SECONDS)
    platform.wait_until_counted()


def test_the_tables_equal_an_independent_count(platform: InstalledPlatform) -> None:
    platform.check()


def test_user_analysis_submits_a_spark_application_that_finds_no_difference(platform: InstalledPlatform) -> None:
    run = platform.airflow.start_run(DAGS[1])
    seen: list[str] = []

    def has_ended() -> bool:
        found = platform.namespace.read("sparkapplications")["items"]
        seen.extend(one["metadata"]["name"] for one in found)
        return platform.airflow.read_run(run.dag, run.run).state in ENDED

    platform.namespace.wait("the recount has completed", has_ended, seconds=RUN_SECONDS)
    assert platform.airflow.read_run(run.dag, run.run).state == "success"
    assert [name for name in seen if name.startswith("member-analyzer-recount")], set(seen)
    audits = platform.tables.read_audits(platform.today)
    newest = [one for one in audits if one.checked_at == audits[0].checked_at]
    assert {one.recounted for one in newest} == {len(platform.taken)}
    assert not any(one.differences for one in newest)


def test_the_command_of_the_notes_downloads_the_graphs(platform: InstalledPlatform, tmp_path: Path) -> None:
    platform.airflow.wait_for_run(platform.airflow.start_run(DAGS[2]), seconds=RUN_SECONDS)
    line = read_line(read_notes(platform.namespace), f"kubectl exec -n {platform.namespace.name}")
    run_shell(platform.namespace, line, tmp_path)
    pictures = sorted((tmp_path / "graphs" / platform.today.isoformat()).glob("*.png"))
    assert [one.stem for one in pictures] == [f"{table}_distribution" for table in ("age", "city", "country", "gender")]
    assert all(one.read_bytes().startswith(b"\x89PNG") for one in pictures)


def test_memory_stays_within_bounds_under_load(platform: InstalledPlatform) -> None:
    at_rest, samples = platform.usage(), []
    with arriving(platform, "load", per_second=200) as arrivals:
        create = platform.airflow.start_run("user_create", {"seed": "load-run", "count": 20_000, "page_size": 5000})
        platform.remember("load-run", 20_000, 5000)
        recount = platform.airflow.start_run("user_analysis")

        def both_ended() -> bool:
            samples.append(platform.usage())
            return all(platform.airflow.read_run(run.dag, run.run).state in ENDED for run in (create, recount))

        platform.namespace.wait("both runs have completed", both_ended, seconds=RUN_SECONDS)
    measurements.note("members per second during the runs", arrivals.per_second)
    measurements.note("at rest", usage_by_component([at_rest]))
    measurements.note("under load", usage_by_component(samples))
    most = max(own_memory(one) for one in samples)
    measurements.note("maximum memory of platform and operators under load, MB", most)
    assert most <= ALL_MEMORY_MB
    assert platform.airflow.read_run(create.dag, create.run).state == "success"
    platform.check()


def test_the_pages_of_the_console_in_chromium(platform: InstalledPlatform, browser: Browser) -> None:
    notes = read_notes(platform.namespace)
    [page] = [one for one in read_pages(notes) if "service/member-analyzer-console" in one.forward]
    line = read_line(notes, f"kubectl get secret -n {platform.namespace.name} member-analyzer-console-logins")
    output = run_shell(platform.namespace, line, Path.cwd())
    passwords = dict(each.split() for each in output.splitlines())
    with opened(platform.namespace, page) as address:
        console = Console(browser, address, {"viewer": passwords["viewer"], "operator": passwords["operator"]})
        try:
            shown = console.log_in("viewer")
            expect(shown.locator("#total")).to_have_text(f"{len(platform.taken):,}")
            assert total(shown) == len(platform.taken)
            go(shown, "Pipeline")
            expect(shown.locator("#overview")).to_contain_text("All components up")
            for name in ("Messages", "Rejected", "Graphs"):
                go(shown, name)
            expect(shown.locator("main img").first).to_be_visible()
        finally:
            console.close()
    assert console.errors == []


def test_the_command_erases_a_member_through_its_tunnels(platform: InstalledPlatform) -> None:
    erased = next(iter(platform.taken))
    platform.command("erase", erased)
    del platform.taken[erased]
    platform.check()


def test_the_collector_returns_the_same_numbers(platform: InstalledPlatform) -> None:
    [page] = [
        one for one in read_pages(read_notes(platform.namespace)) if "service/member-analyzer-collector" in one.forward
    ]
    key = create_key(platform.landing, "reader", [Right.READ])
    with opened(platform.namespace, page) as address:
        url = urljoin(address, "/v1/analysis/gender")
        answer = requests.get(url, headers={"Authorization": f"Bearer {key}"}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["total"] == len(platform.taken)
