"""Drill 1b: the disk of the checkpoint, a small tmpfs, is full for a while."""

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from drill import Drill
from member_analyzer.local.supervision import start_process, stop_process
from member_flow import flowing
from patience import holds
from running_platform import Platform

# Less than one batch writes. With more space the disk would never fill up, because earlier batches are deleted.
FREE_BYTES = 8192


@pytest.fixture
def small_disk(platform: Platform) -> Iterator[None]:
    """The checkpoint on a file system with almost no free space; requires root."""
    folder, kept = platform.home.checkpoint, platform.home.root / "checkpoint-kept"
    stop_process(platform.home, "stream")
    shutil.copytree(folder, kept)
    used = sum(-(-path.stat().st_size // 4096) * 4096 for path in kept.rglob("*") if path.is_file())
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={used + FREE_BYTES}", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if os.geteuid() != 0 or mounted.returncode != 0:
        shutil.rmtree(kept)
        start_process(platform.home, "stream")
        pytest.skip(f"requires root and a tmpfs mount: {mounted.stderr.strip()}")
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        start_process(platform.home, "stream")
        yield
    finally:
        stop_process(platform.home, "stream")
        shutil.rmtree(kept)
        shutil.copytree(folder, kept)
        subprocess.run(["umount", folder], check=True)
        shutil.rmtree(folder)
        kept.rename(folder)
        start_process(platform.home, "stream")


@pytest.mark.long
@pytest.mark.drill("1b. checkpoint's disk full")
@pytest.mark.usefixtures("small_disk")
def test_members_count_once_when_the_checkpoints_disk_was_full(platform: Platform, drill: Drill) -> None:
    log = platform.home.logs / "stream.log"
    size = log.stat().st_size
    with flowing(platform, "drill-disk", per_second=250) as flow:
        flow.wait_until_in_flow(1000)
        full = holds(lambda: "No space left on device" in log.read_text(errors="replace")[size:])
        assert full, "the disk did not become full"
        grown = ["mount", "-o", "remount,size=512m", platform.home.checkpoint]
        subprocess.run(grown, check=True)
        drill.measure_recovery()
    drill.check()
