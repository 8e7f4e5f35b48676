"""The charts of a day: their text and their pixels."""

import logging
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
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


def bar_lengths(picture: np.ndarray, *, horizontal: bool) -> list[int]:
    """The lengths of the bars in pixels, from top to bottom or from left to right."""
    color = [int(graphs.BAR_COLOR[start : start + 2], 16) for start in (1, 3, 5)]
    lengths = (picture == color).all(axis=2).sum(axis=1 if horizontal else 0)
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
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that is saved."""
    saved: list[Figure] = []
    save = Figure.savefig

    def record(figure: Figure, *args: Any, **options: Any) -> None:
        saved.append(figure)
        save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", record)
    return saved


def texts_of(figure: Figure) -> list[Text]:
    texts = [one for one in figure.findobj(Text) if isinstance(one, Text)]
    return [one for one in texts if one.get_visible() and one.get_text()]


def lines_of(figures: Sequence[Figure]) -> list[str]:
    return [line for figure in figures for text in texts_of(figure) for line in text.get_text().split("\n")]


def test_a_day_is_a_folder_with_one_chart_per_distribution(tmp_path: Path) -> None:
    paths = draw_day(tmp_path / "graphs", DAY, {"age": AGES, "city": cities(3)})

    folder = tmp_path / "graphs" / "2026-11-21"
    assert paths == [folder / "age_distribution.png", folder / "city_distribution.png"]
    assert sorted(folder.iterdir()) == sorted(paths)


def test_a_chart_is_1600_pixels_wide_and_not_blank(tmp_path: Path) -> None:
    for distribution in (AGES, cities(30)):
        picture = pixels(draw_chart(distribution, tmp_path / "a.png"))
        assert picture.shape[1] == 1600
        assert len(Image.fromarray(picture).getcolors(1 << 20)) > 20


def test_the_header_shows_the_title_the_day_and_the_total(tmp_path: Path, figures: list[Figure]) -> None:
    draw_day(tmp_path, DAY, {"age": AGES})
    assert "Members by age" in lines_of(figures)
    assert "2026-11-21  ·  5,000 members" in lines_of(figures)


def test_a_column_has_the_height_of_its_share_and_shows_percentage_and_count(
    tmp_path: Path, figures: list[Figure]
) -> None:
    heights = bar_lengths(pixels(draw_chart(AGES, tmp_path / "age.png")), horizontal=False)

    assert [round(height / max(heights), 2) for height in heights] == pytest.approx(
        [bar.members / 1893 for bar in AGES.bars], abs=0.01
    )
    assert {"37.9 %", "1,893", "31-45", "6.2 %", "310", "0-15"} <= set(lines_of(figures))


def test_ages_keep_their_order(tmp_path: Path, figures: list[Figure]) -> None:
    draw_chart(AGES, tmp_path / "age.png")
    labels = [bar.label for bar in AGES.bars]
    assert [text for text in lines_of(figures) if text in labels] == labels


def test_other_bars_are_sorted_by_members_then_by_label(tmp_path: Path, figures: list[Figure]) -> None:
    bars = [Bar("b", 1), Bar("c", 2), Bar("a", 1)]
    draw_chart(Chart("Members by city", bars, 4), tmp_path / "city.png")
    assert [text for text in lines_of(figures) if text in {"a", "b", "c"}] == ["c", "a", "b"]


def test_many_labels_become_rows(tmp_path: Path, figures: list[Figure]) -> None:
    lengths = bar_lengths(pixels(draw_chart(cities(12), tmp_path / "city.png")), horizontal=True)
    assert len(lengths) == 12
    assert lengths == sorted(lengths, reverse=True)
    assert "1,000  ·  8.4 %" in lines_of(figures)


def test_few_but_long_labels_become_rows(tmp_path: Path) -> None:
    bars = [Bar("Saint Vincent and the Grenadines", 3), Bar("Bosnia and Herzegovina", 2), Bar("Iran", 1), Bar("a", 1)]
    picture = pixels(draw_chart(Chart("Members by country", bars, 7), tmp_path / "country.png"))
    assert len(bar_lengths(picture, horizontal=True)) == 4


def test_only_the_twenty_largest_are_drawn_and_the_others_are_summed_up(tmp_path: Path, figures: list[Figure]) -> None:
    bars = [Bar(f"Country {number:03}", 100) for number in range(20)]
    bars[:0] = [Bar(f"Small country {number}", 9) for number in range(117)]
    distribution = Chart("Members by country", bars, 3053, plural="countries")

    picture = pixels(draw_chart(distribution, tmp_path / "country.png"))

    assert len(bar_lengths(picture, horizontal=True)) == 20
    assert "20 of 137 countries; the others hold 1,053 members (34.5 %)" in lines_of(figures)
    assert "100  ·  3.3 %" in lines_of(figures)
    assert not any("Small" in text for text in lines_of(figures))


def test_twenty_buckets_need_no_note_and_one_more_does(tmp_path: Path, figures: list[Figure]) -> None:
    draw_chart(cities(20), tmp_path / "city.png")
    assert not any("hold" in text for text in lines_of(figures))
    draw_chart(cities(21), tmp_path / "city.png")
    assert "20 of 21 cities; the other holds 980 members (4.7 %)" in lines_of(figures)


def test_members_without_a_bucket_are_noted(tmp_path: Path, figures: list[Figure]) -> None:
    bars = [Bar("female", 2), Bar("male", 1)]
    draw_chart(Chart("Members by gender", bars, 4, plural="genders"), tmp_path / "gender.png")
    assert "50.0 %" in lines_of(figures)
    assert "1 member (25.0 %) in none of the genders" in lines_of(figures)


def test_a_single_member_among_millions_is_visible(tmp_path: Path, figures: list[Figure]) -> None:
    bars = [Bar("male", 9_999_999), Bar("other", 1), Bar("none", 0)]
    picture = pixels(draw_chart(Chart("Members by gender", bars, 10_000_000), tmp_path / "gender.png"))
    assert [height > 0 for height in bar_lengths(picture, horizontal=False)] == [True, True]
    assert "<0.1 %" in lines_of(figures)
    assert "0.0 %" in lines_of(figures)


@pytest.mark.parametrize("bars", [[], [Bar("0-15", 0), Bar("16-30", 0)]])
def test_a_day_without_members_shows_a_message(tmp_path: Path, figures: list[Figure], bars: Sequence[Bar]) -> None:
    picture = pixels(draw_chart(Chart("Members by age", bars, 0), tmp_path / "age.png"))
    assert "No members on this day yet" in lines_of(figures)
    assert bar_lengths(picture, horizontal=False) == []
    assert ink_width(picture) > 400


def test_a_day_with_members_but_without_buckets_shows_a_message(tmp_path: Path, figures: list[Figure]) -> None:
    draw_chart(Chart("Members by city", [], 7, plural="cities"), tmp_path / "city.png")
    assert "No cities on this day yet" in lines_of(figures)
    assert "7 members (100.0 %) in none of the cities" in lines_of(figures)


def test_bars_exceeding_the_total_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"Members by age: the bars hold 1,001 members, more than .* total of 1,000\."):
        Chart("Members by age", [Bar("0-15", 500), Bar("16-30", 501)], 1000)


@pytest.mark.parametrize(("members", "total"), [(-1, 1), (0, -1)])
def test_negative_counts_are_rejected(members: int, total: int) -> None:
    with pytest.raises(ValueError, match="negative number of members"):
        Chart("Members by age", [Bar("0-15", members)], total)


@pytest.mark.parametrize("distribution", [AGES, cities(30), Chart("Members by age", [], 0)])
def test_the_same_chart_gives_the_same_file(tmp_path: Path, distribution: Chart) -> None:
    first = draw_chart(distribution, tmp_path / "first.png", DAY).read_bytes()
    assert draw_chart(distribution, tmp_path / "second.png", DAY).read_bytes() == first
    assert draw_chart(distribution, tmp_path / "first.png", DAY).read_bytes() == first


@pytest.mark.parametrize("label", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_label_stays_within_the_page(tmp_path: Path, label: str) -> None:
    for more in ([], [Bar(f"Town {number}", 1) for number in range(10)]):
        bars = [Bar(label, 5), *more]
        picture = pixels(draw_chart(Chart("Members by city", bars, 5 + len(more)), tmp_path / "city.png"))
        for edge in (picture[:40], picture[-30:], picture[:, :60], picture[:, -60:]):
            assert (edge == 255).all()
        assert len(bar_lengths(picture, horizontal=bool(more))) == len(bars)


@pytest.mark.parametrize(
    "label", ["Saint Vincent and the Grenadines, Caribbean Sea", "مشهد مقدس و شهرک‌های بسیار بلند اطراف آن", "W"]
)
@pytest.mark.parametrize("bars", [1, 3, 6, 30])
@pytest.mark.parametrize("members", [1, 123_456_789])
def test_no_text_overlaps_another_or_leaves_the_page(
    tmp_path: Path, figures: list[Figure], label: str, bars: int, members: int
) -> None:
    chart = Chart(
        "Members by city", [Bar(f"{label} {n}", members) for n in range(bars)], bars * members + 1, plural="cities"
    )
    draw_chart(chart, tmp_path / "city.png", DAY)
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts_of(figures[0])]
    assert len(boxes) >= 3 + 2 * min(bars, 20)
    assert not [(one, two) for (one, box), (two, other) in combinations(boxes, 2) if box.overlaps(other)]
    page = figures[0].bbox
    assert all(page.contains(*box.min) and page.contains(*box.max) for _, box in boxes)


def test_dollar_signs_are_not_parsed_as_math(tmp_path: Path) -> None:
    plain = drawn_label_width("xxx", tmp_path / "plain.png")
    assert drawn_label_width("$xxx$", tmp_path / "dollars.png") > plain * 1.4


def test_persian_letters_are_joined(tmp_path: Path) -> None:
    joined = drawn_label_width("ببببب", tmp_path / "joined.png")
    assert drawn_label_width("\u200c".join("ببببب"), tmp_path / "apart.png") > joined * 1.5


def test_control_characters_become_spaces_and_an_empty_label_gets_a_name(tmp_path: Path, figures: list[Figure]) -> None:
    bars = [Bar("a\nb\t\x00c", 3), Bar("\u202eevil", 2), Bar("\u200b\u200c", 1)]
    draw_chart(Chart("Members by city", bars, 6), tmp_path / "city.png")
    assert {"a b c", "evil", "(no name)"} <= set(lines_of(figures))


def test_a_long_label_ends_with_an_ellipsis(tmp_path: Path, figures: list[Figure]) -> None:
    bars = [Bar("United Kingdom of Great Britain and Northern Ireland", 3)]
    draw_chart(Chart("Members by country", bars * 7, 21), tmp_path / "country.png")
    assert "United Kingdom of Great Britain and…" in lines_of(figures)


def test_missing_glyphs_are_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    bars = [Bar(label, 1) for label in HOSTILE]
    with caplog.at_level(logging.INFO):
        draw_chart(Chart("Members by city", bars, len(bars)), tmp_path / "city.png")
    assert caplog.records == []
    assert list(recwarn) == []


def test_a_failed_write_keeps_the_old_chart_and_leaves_no_temporary_file(
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


def test_drawing_does_not_import_pyplot() -> None:
    subprocess.run(
        [sys.executable, "-c", "import sys, member_analyzer.graphs; sys.exit('matplotlib.pyplot' in sys.modules)"],
        check=True,
    )
