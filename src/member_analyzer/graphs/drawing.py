"""Bar charts of one day, as PNG files."""

import unicodedata
import uuid
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.layout_engine import ConstrainedLayoutEngine

MAX_BARS = 20
MAX_COLUMNS = 6

# In inches. With 200 dots per inch every chart is 1600 pixels wide.
DPI = 200
WIDTH = 8.0
MARGIN = 0.4
VERTICAL_MARGIN = 0.2
HEADER_HEIGHT = 1.2
NOTE_HEIGHT = 0.2
COLUMNS_HEIGHT = 3.5
ROW_HEIGHT = 0.29
MAX_LABEL_WIDTH = 2.6

# One blue from the Okabe-Ito palette for every bar: colour carries no meaning.
BAR_COLOR = "#0072B2"
TEXT_COLOR = "#1B1F24"
MUTED_COLOR = "#57606A"
AXIS_COLOR = "#C4CAD1"

# matplotlib shapes and orders right-to-left text itself since 3.11.
# Noto covers the scripts that DejaVu lacks. Only installed families are named: matplotlib logs a warning for every text
# and every family that is missing.
_FALLBACK_FONTS = (
    "Noto Sans",
    "Noto Sans Arabic",
    "Noto Sans Hebrew",
    "Noto Sans Devanagari",
    "Noto Sans Bengali",
    "Noto Sans Tamil",
    "Noto Sans Telugu",
    "Noto Sans Thai",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans CJK KR",
)
_INSTALLED_FONTS = {font.name for font in fontManager.ttflist}

_STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans", *(family for family in _FALLBACK_FONTS if family in _INSTALLED_FONTS)],
    "font.size": 9.5,
    "text.color": TEXT_COLOR,
    "text.parse_math": False,
    "axes.edgecolor": AXIS_COLOR,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelcolor": TEXT_COLOR,
    "ytick.labelcolor": TEXT_COLOR,
    "xtick.major.size": 0,
    "xtick.major.pad": 6,
    "ytick.major.size": 0,
    "ytick.major.pad": 6,
    "figure.dpi": DPI,
    "figure.titlesize": 15,
    "figure.titleweight": "bold",
    "figure.labelsize": 9,
}

# Invisible, but Persian spelling needs the first and Indic scripts need both.
_JOINERS = "\u200c\u200d"
# No name needs more than three combining marks on one letter; a stack of them would cover the labels above.
_MAX_COMBINING_MARKS = 3


@dataclass(frozen=True)
class Bar:
    """A bucket and its number of members."""

    label: str
    members: int


@dataclass(frozen=True)
class Chart:
    """The distribution of one day's members over buckets; `total` counts the whole day, not only the bars.

    `plural` names the buckets in the notes ("countries"). Unless `ordered`, the bars are sorted by size.
    """

    title: str
    bars: Sequence[Bar]
    total: int
    ordered: bool = False
    plural: str = "groups"

    def __post_init__(self) -> None:
        """Reject impossible counts."""
        if self.total < 0 or any(bar.members < 0 for bar in self.bars):
            raise ValueError(f"{self.title}: negative number of members.")
        if self.counted > self.total:
            raise ValueError(
                f"{self.title}: the bars hold {_members(self.counted)}, more than the day's total of {self.total:,}."
            )

    @property
    def counted(self) -> int:
        """The members of all bars."""
        return sum(bar.members for bar in self.bars)


def draw_day(directory: Path, day: date, charts: Mapping[str, Chart]) -> list[Path]:
    """Draw every chart as `directory/<YYYY-MM-DD>/<name>_distribution.png` and return the paths."""
    folder = directory / day.isoformat()
    return [draw_chart(chart, folder / f"{name}_distribution.png", day) for name, chart in charts.items()]


def draw_chart(chart: Chart, path: Path, day: date | None = None) -> Path:
    """Draw one chart and replace `path` atomically."""
    png = _render(chart, day)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(png)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _render(chart: Chart, day: date | None) -> bytes:
    with rc_context(_STYLE), warnings.catch_warnings():
        # Characters without a glyph are drawn as boxes; one warning for each would flood the log.
        warnings.filterwarnings("ignore", r"Glyph \d+", UserWarning)
        figure = _make_figure(chart, day)
        buffer = BytesIO()
        # No metadata, so that the same chart always gives the same file.
        figure.savefig(buffer, format="png", metadata={"Software": None})
        return buffer.getvalue()


def _make_figure(chart: Chart, day: date | None) -> Figure:
    bars = _select_bars(chart)
    notes = _make_notes(chart, bars)
    is_empty = chart.total == 0 or not bars
    in_rows = not (is_empty or _fit_columns(bars, chart.total))
    height = HEADER_HEIGHT + (ROW_HEIGHT * len(bars) if in_rows else COLUMNS_HEIGHT) + NOTE_HEIGHT * len(notes)
    left: dict[str, Any] = {"x": MARGIN / WIDTH, "ha": "left"}

    margins = (0, VERTICAL_MARGIN / height, 1, 1 - 2 * VERTICAL_MARGIN / height)
    layout = ConstrainedLayoutEngine(w_pad=MARGIN, h_pad=0.08, rect=margins)
    figure = Figure(figsize=(WIDTH, height), layout=layout)
    page = figure.add_subfigure(figure.add_gridspec()[0])
    page.suptitle(chart.title, **left)
    body = page.add_subfigure(page.add_gridspec()[0])
    subtitle = f"{day.isoformat()}  ·  {_members(chart.total)}" if day else _members(chart.total)
    body.suptitle(subtitle, size=10, weight="normal", color=MUTED_COLOR, **left)
    if notes:
        body.supxlabel("\n".join(notes), color=MUTED_COLOR, **left)
    axes = body.add_subplot()
    if is_empty:
        axes.set_axis_off()
        message = f"No {chart.plural if chart.total else 'members'} on this day yet"
        axes.text(0.5, 0.5, message, size=13, color=MUTED_COLOR, ha="center", transform=axes.transAxes)
    elif in_rows:
        _draw_rows(axes, bars, chart.total)
    else:
        _draw_columns(axes, bars, chart.total)
    return figure


def _select_bars(chart: Chart) -> list[Bar]:
    bars = chart.bars
    largest = sorted(range(len(bars)), key=lambda index: (-bars[index].members, bars[index].label))[:MAX_BARS]
    return [bars[index] for index in (sorted(largest) if chart.ordered else largest)]


def _make_notes(chart: Chart, shown: Sequence[Bar]) -> list[str]:
    notes = []
    total, plural = chart.total, chart.plural
    if hidden := len(chart.bars) - len(shown):
        members = chart.counted - sum(bar.members for bar in shown)
        others = "the other holds" if hidden == 1 else "the others hold"
        count = f"{len(shown)} of {len(chart.bars):,} {plural}"
        notes.append(f"{count}; {others} {_members(members)} ({_share(members, total)})")
    if missing := total - chart.counted:
        notes.append(f"{_members(missing)} ({_share(missing, total)}) in none of the {plural}")
    return notes


def _draw_columns(axes: Axes, bars: Sequence[Bar], total: int) -> None:
    positions = range(len(bars))
    columns = axes.bar(positions, _lengths(bars), width=min(0.62, 0.18 * len(bars)), color=BAR_COLOR)
    axes.bar_label(columns, [f"{bar.members:,}" for bar in bars], padding=4, color=MUTED_COLOR)
    axes.bar_label(columns, [_share(bar.members, total) for bar in bars], padding=17, size=11, weight="bold")
    axes.set_xticks(positions, [_clean(bar.label) for bar in bars])
    axes.set_xlim(-0.5, len(bars) - 0.5)
    axes.set_yticks([])
    axes.spines.left.set_visible(False)


def _draw_rows(axes: Axes, bars: Sequence[Bar], total: int) -> None:
    positions = range(len(bars))
    rows = axes.barh(positions, _lengths(bars), height=0.72, color=BAR_COLOR)
    axes.bar_label(rows, [f"{bar.members:,}  ·  {_share(bar.members, total)}" for bar in bars], padding=6)
    axes.set_yticks(positions, [_shorten(_clean(bar.label)) for bar in bars])
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_xmargin(0)
    axes.spines.bottom.set_visible(False)


def _fit_columns(bars: Sequence[Bar], total: int) -> bool:
    widest = (WIDTH - 2 * MARGIN) / len(bars) - 0.16
    return len(bars) <= MAX_COLUMNS and all(
        _width(_clean(bar.label)) <= widest
        and _width(f"{bar.members:,}") <= widest
        and _width(_share(bar.members, total), size=11, weight="bold") <= widest
        for bar in bars
    )


def _lengths(bars: Sequence[Bar]) -> list[float]:
    # At least two pixels: one member among millions is still visible.
    shortest = max(bar.members for bar in bars) / 150
    return [max(bar.members, shortest) if bar.members else 0 for bar in bars]


def _members(number: int) -> str:
    return "1 member" if number == 1 else f"{number:,} members"


def _share(members: int, total: int) -> str:
    percent = 100 * members / total
    return "<0.1 %" if 0 < percent < 0.05 else f"{percent:.1f} %"


def _clean(label: str) -> str:
    """Return the label on one line, without invisible characters and those that change the direction of the text."""
    characters = []
    marks = 0
    for character in unicodedata.normalize("NFC", label[:200]):
        category = unicodedata.category(character)
        marks = marks + 1 if category == "Mn" else 0
        if category in {"Cc", "Cf", "Cs"} and character not in _JOINERS:
            characters.append(" ")
        elif marks <= _MAX_COMBINING_MARKS:
            characters.append(character)
    return " ".join("".join(characters).split()).strip(_JOINERS) or "(no name)"


def _shorten(label: str) -> str:
    if _width(label) <= MAX_LABEL_WIDTH:
        return label
    end = len(label) - 1
    while _width(short := label[:end].rstrip() + "…") > MAX_LABEL_WIDTH:
        end -= 1
    return short


def _width(text: str, **font: Any) -> float:
    return Figure(figsize=(1, 1)).text(0, 0, text, **font).get_window_extent().width / DPI
