"""The charts of a day, looked at as pictures."""

import logging
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from member_analyzer.graphs import drawing as graphs
from member_analyzer.graphs.drawing import Bar, Chart, draw_chart, draw_day

DAY = date(2026, 11, 21)
AGES = Chart(
    "Members by age",
    [Bar("0-15", 310), Bar("16-30", 1204), Bar("31-45", 1893), Bar("46-60", 1188), Bar("61+", 405)],
    5000,
    ordered=True,
    plural="age groups",
)
HOSTILE = [
    "$x^2$",
    "$\\frac{",
    "\\",
    "a\nb\tc\x00\x1b[31md",
    "\u202eevil",
    "\ud800",
    "",
    " \u200c ",
    "W" * 10_000,
    "京" * 100,
    "e" + "\u0301" * 500,
    "تهران",
    "Москва",
    "नई दिल्ली",
    "서울",
    "😀",
    "a&<b>%s {}",
    "\U0010ffff",
]


def cities(count: int) -> Chart:
    bars = [Bar(f"A town called {number:03}", 1000 - number) for number in range(count)]
    return Chart("Members by city", bars, sum(bar.members for bar in bars), plural="cities")


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def bars_seen(picture: np.ndarray, *, horizontal: bool) -> list[int]:
    """The lengths of the bars in pixels, from the top down or from left to right."""
    colour = [int(graphs.BAR_COLOUR[place : place + 2], 16) for place in (1, 3, 5)]
    lengths = (picture == colour).all(axis=2).sum(axis=1 if horizontal else 0)
    starts = np.flatnonzero((lengths > 0) & (np.concatenate([[0], lengths[:-1]]) == 0))
    return [int(lengths[start + 2]) for start in starts]


def ink_width(picture: np.ndarray) -> int:
    columns = np.flatnonzero((picture < 200).any(axis=(0, 2)))
    return int(columns[-1] - columns[0]) if len(columns) else 0


def drawn_label_width(label: str, path: Path) -> int:
    picture = pixels(draw_chart(Chart("Members by city", [Bar(label, 1)], 1), path))
    floor = int(np.flatnonzero((picture == [0, 0x72, 0xB2]).all(axis=2).any(axis=1))[-1])
    return ink_width(picture[floor + 8 :])


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that is put on a picture, in the order of the drawing."""
    texts: list[str] = []
    write = graphs._Sheet.text

    def record(sheet: graphs._Sheet, x: float, y: float, text: str, *rest: object, **named: object) -> None:
        texts.append(text)
        write(sheet, x, y, text, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(graphs._Sheet, "text", record)
    return texts


def test_a_day_is_a_folder_with_a_picture_for_each_distribution(tmp_path: Path) -> None:
    paths = draw_day(tmp_path / "graphs", DAY, {"age": AGES, "city": cities(3)})

    folder = tmp_path / "graphs" / "2026-11-21"
    assert paths == [folder / "age_distribution.png", folder / "city_distribution.png"]
    assert sorted(folder.iterdir()) == sorted(paths)


def test_a_picture_is_1600_pixels_wide_and_not_blank(tmp_path: Path) -> None:
    for distribution in (AGES, cities(30)):
        picture = pixels(draw_chart(distribution, tmp_path / "a.png"))
        assert picture.shape[1] == 1600
        assert len(Image.fromarray(picture).getcolors(1 << 20)) > 20


def test_the_title_the_day_and_the_total_head_the_picture(tmp_path: Path, written: list[str]) -> None:
    draw_day(tmp_path, DAY, {"age": AGES})
    assert "Members by age" in written
    assert "2026-11-21  ·  5,000 members" in written


def test_a_column_is_as_high_as_its_share_and_says_its_percentage_and_count(tmp_path: Path, written: list[str]) -> None:
    heights = bars_seen(pixels(draw_chart(AGES, tmp_path / "age.png")), horizontal=False)

    assert [round(height / max(heights), 2) for height in heights] == pytest.approx(
        [bar.members / 1893 for bar in AGES.bars], abs=0.01
    )
    assert {"37.9 %", "1,893", "31-45", "6.2 %", "310", "0-15"} <= set(written)


def test_ages_keep_the_order_they_are_given_in(tmp_path: Path, written: list[str]) -> None:
    draw_chart(AGES, tmp_path / "age.png")
    labels = [bar.label for bar in AGES.bars]
    assert [text for text in written if text in labels] == labels


def test_other_bars_are_ordered_by_members_and_then_by_label(tmp_path: Path, written: list[str]) -> None:
    bars = [Bar("b", 1), Bar("c", 2), Bar("a", 1)]
    draw_chart(Chart("Members by city", bars, 4), tmp_path / "city.png")
    assert [text for text in written if text in {"a", "b", "c"}] == ["c", "a", "b"]


def test_many_labels_become_rows(tmp_path: Path, written: list[str]) -> None:
    lengths = bars_seen(pixels(draw_chart(cities(12), tmp_path / "city.png")), horizontal=True)
    assert len(lengths) == 12
    assert lengths == sorted(lengths, reverse=True)
    assert "1,000  ·  8.4 %" in written


def test_few_labels_become_rows_when_they_are_long(tmp_path: Path) -> None:
    bars = [Bar("Saint Vincent and the Grenadines", 3), Bar("Bosnia and Herzegovina", 2), Bar("Iran", 1), Bar("a", 1)]
    picture = pixels(draw_chart(Chart("Members by country", bars, 7), tmp_path / "country.png"))
    assert len(bars_seen(picture, horizontal=True)) == 4


def test_only_the_twenty_largest_of_many_are_drawn_and_the_others_are_counted(
    tmp_path: Path, written: list[str]
) -> None:
    bars = [Bar(f"Country {number:03}", 100) for number in range(20)]
    bars[:0] = [Bar(f"Small country {number}", 9) for number in range(117)]
    distribution = Chart("Members by country", bars, 3053, plural="countries")

    picture = pixels(draw_chart(distribution, tmp_path / "country.png"))

    assert len(bars_seen(picture, horizontal=True)) == 20
    assert "20 of 137 countries; the others hold 1,053 members (34.5 %)" in written
    assert "100  ·  3.3 %" in written
    assert not any("Small" in text for text in written)


def test_twenty_buckets_need_no_note_and_one_more_is_the_other(tmp_path: Path, written: list[str]) -> None:
    draw_chart(cities(20), tmp_path / "city.png")
    assert not any("hold" in text for text in written)
    draw_chart(cities(21), tmp_path / "city.png")
    assert "20 of 21 cities; the other holds 980 members (4.7 %)" in written


def test_members_that_are_in_no_bucket_are_mentioned(tmp_path: Path, written: list[str]) -> None:
    bars = [Bar("female", 2), Bar("male", 1)]
    draw_chart(Chart("Members by gender", bars, 4, plural="genders"), tmp_path / "gender.png")
    assert "50.0 %" in written
    assert "1 member (25.0 %) in none of the genders" in written


def test_a_single_member_among_millions_is_still_seen(tmp_path: Path, written: list[str]) -> None:
    bars = [Bar("male", 9_999_999), Bar("other", 1), Bar("none", 0)]
    picture = pixels(draw_chart(Chart("Members by gender", bars, 10_000_000), tmp_path / "gender.png"))
    assert [height > 0 for height in bars_seen(picture, horizontal=False)] == [True, True]
    assert "<0.1 %" in written
    assert "0.0 %" in written


@pytest.mark.parametrize("bars", [[], [Bar("0-15", 0), Bar("16-30", 0)]])
def test_a_day_without_members_says_so(tmp_path: Path, written: list[str], bars: Sequence[Bar]) -> None:
    picture = pixels(draw_chart(Chart("Members by age", bars, 0), tmp_path / "age.png"))
    assert "No members on this day yet" in written
    assert bars_seen(picture, horizontal=False) == []
    assert ink_width(picture) > 400


def test_a_day_with_members_but_no_bucket_says_so(tmp_path: Path, written: list[str]) -> None:
    draw_chart(Chart("Members by city", [], 7, plural="cities"), tmp_path / "city.png")
    assert "No cities on this day yet" in written
    assert "7 members (100.0 %) in none of the cities" in written


def test_bars_that_hold_more_than_the_total_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Members by age: the bars hold 1,001 members, more than .* total of 1,000\."):
        Chart("Members by age", [Bar("0-15", 500), Bar("16-30", 501)], 1000)


@pytest.mark.parametrize(("members", "total"), [(-1, 1), (0, -1)])
def test_numbers_below_zero_are_refused(members: int, total: int) -> None:
    with pytest.raises(ValueError, match="below zero"):
        Chart("Members by age", [Bar("0-15", members)], total)


@pytest.mark.parametrize("distribution", [AGES, cities(30), Chart("Members by age", [], 0)])
def test_the_same_numbers_give_the_same_file(tmp_path: Path, distribution: Chart) -> None:
    first = draw_chart(distribution, tmp_path / "first.png", DAY).read_bytes()
    assert draw_chart(distribution, tmp_path / "second.png", DAY).read_bytes() == first
    assert draw_chart(distribution, tmp_path / "first.png", DAY).read_bytes() == first


@pytest.mark.parametrize("label", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_label_is_drawn_within_the_page(tmp_path: Path, label: str) -> None:
    for more in ([], [Bar(f"Town {number}", 1) for number in range(10)]):
        bars = [Bar(label, 5), *more]
        picture = pixels(draw_chart(Chart("Members by city", bars, 5 + len(more)), tmp_path / "city.png"))
        for edge in (picture[:40], picture[-30:], picture[:, :60], picture[:, -60:]):
            assert (edge == 255).all()
        assert len(bars_seen(picture, horizontal=bool(more))) == len(bars)


def test_dollars_are_dollars_and_not_mathematics(tmp_path: Path) -> None:
    plain = drawn_label_width("xxx", tmp_path / "plain.png")
    assert drawn_label_width("$xxx$", tmp_path / "dollars.png") > plain * 1.4


def test_persian_letters_are_joined(tmp_path: Path) -> None:
    joined = drawn_label_width("ببببب", tmp_path / "joined.png")
    assert drawn_label_width("\u200c".join("ببببب"), tmp_path / "apart.png") > joined * 1.5


def test_control_characters_are_spaces_and_a_label_of_nothing_has_a_name(tmp_path: Path, written: list[str]) -> None:
    bars = [Bar("a\nb\t\x00c", 3), Bar("\u202eevil", 2), Bar("\u200b\u200c", 1)]
    draw_chart(Chart("Members by city", bars, 6), tmp_path / "city.png")
    assert {"a b c", "evil", "(no name)"} <= set(written)


def test_a_long_label_ends_in_an_ellipsis(tmp_path: Path, written: list[str]) -> None:
    bars = [Bar("United Kingdom of Great Britain and Northern Ireland", 3)]
    draw_chart(Chart("Members by country", bars * 7, 21), tmp_path / "country.png")
    assert "United Kingdom of Great Britain and…" in written


def test_a_script_without_a_font_does_not_flood_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    bars = [Bar(label, 1) for label in HOSTILE]
    with caplog.at_level(logging.INFO):
        draw_chart(Chart("Members by city", bars, len(bars)), tmp_path / "city.png")
    assert caplog.records == []
    assert list(recwarn) == []


def test_a_write_that_fails_leaves_the_old_picture_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = draw_chart(AGES, tmp_path / "age.png")
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="the disk is full"):
        draw_chart(cities(3), path)

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_drawing_needs_neither_a_display_nor_pyplot() -> None:
    subprocess.run(
        [sys.executable, "-c", "import sys, member_analyzer.graphs; sys.exit('matplotlib.pyplot' in sys.modules)"],
        check=True,
    )
