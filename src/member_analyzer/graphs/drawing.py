"""The bar charts of one day, as PNG files."""

import unicodedata
import uuid
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.patches import Rectangle
from matplotlib.text import Text

MOST_BARS = 20
MOST_COLUMNS = 6

# Lengths are inches; 200 of the picture's pixels are one inch, so every picture is 1600 pixels wide.
DPI = 200
WIDTH = 8.0
MARGIN = 0.4
TOP = 1.1
GAP = 0.08
ROW = 0.29
COLUMN_HEIGHT = 2.5
WIDEST_LABEL = 2.6

# One blue from the Okabe-Ito palette for every bar: nothing has to be told apart by its colour alone.
BAR_COLOUR = "#0072B2"
INK = "#1B1F24"
GREY = "#57606A"
LINE = "#C4CAD1"

# matplotlib joins and orders Persian letters by itself from 3.11 on, so labels are given to it as they are.
# Noto draws the scripts that DejaVu lacks. Only families that this machine has are named, because matplotlib logs a
# warning at every text for each one that it misses.
_FALLBACKS = (
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
_INSTALLED = {font.name for font in fontManager.ttflist}
_ANY_SCRIPT = ["DejaVu Sans", *(family for family in _FALLBACKS if family in _INSTALLED)]

_TITLE = FontProperties(family="DejaVu Sans", weight="bold", size=15)
_SUBTITLE = FontProperties(family="DejaVu Sans", size=10)
_NOTE = FontProperties(family="DejaVu Sans", size=9)
_MESSAGE = FontProperties(family="DejaVu Sans", size=13)
_LABEL = FontProperties(family=_ANY_SCRIPT, size=9.5)
_VALUE = FontProperties(family="DejaVu Sans", size=9.5)
_SHARE = FontProperties(family="DejaVu Sans", weight="bold", size=11)

_RULER = Figure(dpi=DPI)
FigureCanvasAgg(_RULER)

# Invisible, but Persian is spelled with the first and Indic scripts with both.
_JOINERS = "\u200c\u200d"
# No name needs more than three marks on one letter; a pile of them would be drawn across the labels above.
_MARKS = 3


@dataclass(frozen=True)
class Bar:
    """A bucket and how many members it holds."""

    label: str
    members: int


@dataclass(frozen=True)
class Chart:
    """How the members of one day divide into buckets; `total` is the whole day, whatever the bars add up to.

    `plural` names the buckets in the notes ("countries"). With `ordered` the bars stay in the order they have here.
    """

    title: str
    bars: Sequence[Bar]
    total: int
    ordered: bool = False
    plural: str = "groups"

    def __post_init__(self) -> None:
        """Refuse numbers that no day can have."""
        if self.total < 0 or any(bar.members < 0 for bar in self.bars):
            raise ValueError(f"{self.title}: a number of members is below zero.")
        if self.counted > self.total:
            raise ValueError(
                f"{self.title}: the bars hold {_members(self.counted)}, more than the day's total of {self.total:,}."
            )

    @property
    def counted(self) -> int:
        """The members that all the bars hold together."""
        return sum(bar.members for bar in self.bars)


def draw_day(directory: Path, day: date, charts: Mapping[str, Chart]) -> list[Path]:
    """Draw every chart as `directory/<YYYY-MM-DD>/<name>_distribution.png` and return the paths."""
    folder = directory / day.isoformat()
    return [draw_chart(chart, folder / f"{name}_distribution.png", day) for name, chart in charts.items()]


def draw_chart(chart: Chart, path: Path, day: date | None = None) -> Path:
    """Draw one chart; readers of `path` see the old picture or the new one, never a part of it."""
    png = _picture(chart, day)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        unfinished.write_bytes(png)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def _picture(chart: Chart, day: date | None) -> bytes:
    with warnings.catch_warnings():
        # A script that no font here can draw shows as boxes; a warning for each character would bury the log.
        warnings.filterwarnings("ignore", r"Glyph \d+", UserWarning)
        bars = _shown(chart)
        notes = _notes(chart, bars)
        foot = 0.25 + 0.2 * len(notes)
        if chart.total == 0 or not bars:
            sheet = _message_sheet(chart, foot)
        elif _fit_columns(bars, chart.total):
            sheet = _columns_sheet(bars, chart.total, foot)
        else:
            sheet = _rows_sheet(bars, chart.total, foot)
        sheet.text(MARGIN, 0.48, chart.title, _TITLE)
        subtitle = _members(chart.total)
        sheet.text(MARGIN, 0.76, f"{day.isoformat()}  ·  {subtitle}" if day else subtitle, _SUBTITLE, GREY)
        for line, note in enumerate(notes):
            sheet.text(MARGIN, sheet.height - foot + 0.2 * line + 0.1, note, _NOTE, GREY)
        return sheet.png()


def _shown(chart: Chart) -> list[Bar]:
    bars = chart.bars
    largest = sorted(range(len(bars)), key=lambda place: (-bars[place].members, bars[place].label))[:MOST_BARS]
    return [bars[place] for place in (sorted(largest) if chart.ordered else largest)]


def _notes(chart: Chart, shown: Sequence[Bar]) -> list[str]:
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


class _Sheet:
    """A white page on which places are inches from the top left corner."""

    def __init__(self, height: float) -> None:
        self.height = height
        figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
        FigureCanvasAgg(figure)
        self._figure = figure
        self._axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(height, 0))
        self._axes.set_axis_off()

    def text(self, x: float, y: float, text: str, font: FontProperties, colour: str = INK, align: str = "left") -> None:
        """Write `text` with its baseline at `y`; `x` is its left end, its centre or its right end, as `align` says."""
        self._axes.text(x, y, text, fontproperties=font, color=colour, ha=align, va="baseline", parse_math=False)

    def box(self, x: float, y: float, width: float, height: float, colour: str = BAR_COLOUR) -> None:
        """Fill a rectangle."""
        self._axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, linewidth=0))

    def png(self) -> bytes:
        """Return the page as a PNG file, with nothing in it that differs from one drawing to the next."""
        buffer = BytesIO()
        self._figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
        return buffer.getvalue()


def _message_sheet(chart: Chart, foot: float) -> _Sheet:
    sheet = _Sheet(TOP + COLUMN_HEIGHT + foot)
    missing = chart.plural if chart.total else "members"
    sheet.text(WIDTH / 2, sheet.height / 2 + 0.2, f"No {missing} on this day yet", _MESSAGE, GREY, "center")
    return sheet


def _columns_sheet(bars: Sequence[Bar], total: int, foot: float) -> _Sheet:
    """Draw vertical bars, each with its share and count above it and its label below."""
    floor = TOP + 0.4 + COLUMN_HEIGHT
    sheet = _Sheet(floor + 0.45 + foot)
    slot = _slot(bars)
    width = min(slot * 0.62, 1.3)
    for number, bar in enumerate(bars):
        centre = MARGIN + slot * (number + 0.5)
        height = _length(bar, bars, COLUMN_HEIGHT)
        sheet.box(centre - width / 2, floor - height, width, height)
        sheet.text(centre, floor - height - 0.27, _share(bar.members, total), _SHARE, align="center")
        sheet.text(centre, floor - height - GAP, f"{bar.members:,}", _VALUE, GREY, "center")
        sheet.text(centre, floor + 0.22, _legible(bar.label), _LABEL, align="center")
    sheet.box(MARGIN, floor, WIDTH - 2 * MARGIN, 0.01, LINE)
    return sheet


def _rows_sheet(bars: Sequence[Bar], total: int, foot: float) -> _Sheet:
    """Draw horizontal bars, each with its label before it and its count and share after it."""
    sheet = _Sheet(TOP + ROW * len(bars) + 0.25 + foot)
    labels = [_shortened(_legible(bar.label)) for bar in bars]
    values = [f"{bar.members:,}  ·  {_share(bar.members, total)}" for bar in bars]
    start = MARGIN + max(_width(label, _LABEL) for label in labels) + GAP
    longest = WIDTH - MARGIN - start - max(_width(value, _VALUE) for value in values) - GAP
    for number, (bar, label, value) in enumerate(zip(bars, labels, values, strict=True)):
        top = TOP + ROW * number
        length = _length(bar, bars, longest)
        baseline = top + 0.17
        sheet.text(start - GAP, baseline, label, _LABEL, align="right")
        sheet.box(start, top + 0.02, length, ROW - 0.08)
        sheet.text(start + length + GAP, baseline, value, _VALUE)
    sheet.box(start - 0.005, TOP - 0.05, 0.01, ROW * len(bars) + 0.07, LINE)
    return sheet


def _slot(bars: Sequence[Bar]) -> float:
    return (WIDTH - 2 * MARGIN) / len(bars)


def _fit_columns(bars: Sequence[Bar], total: int) -> bool:
    widest = _slot(bars) - 2 * GAP
    return len(bars) <= MOST_COLUMNS and all(
        _width(_legible(bar.label), _LABEL) <= widest
        and _width(f"{bar.members:,}", _VALUE) <= widest
        and _width(_share(bar.members, total), _SHARE) <= widest
        for bar in bars
    )


def _length(bar: Bar, bars: Sequence[Bar], longest: float) -> float:
    if bar.members == 0:
        return 0.0
    # Two pixels at least: one member among millions is still to be seen.
    return max(longest * bar.members / max(other.members for other in bars), 0.01)


def _members(number: int) -> str:
    return "1 member" if number == 1 else f"{number:,} members"


def _share(members: int, total: int) -> str:
    percent = 100 * members / total
    return "<0.1 %" if 0 < percent < 0.05 else f"{percent:.1f} %"


def _legible(label: str) -> str:
    """Return the label on one line, without characters that draw nothing or that steer the text around them."""
    seen = []
    marks = 0
    for character in unicodedata.normalize("NFC", label[:200]):
        category = unicodedata.category(character)
        marks = marks + 1 if category == "Mn" else 0
        if category in {"Cc", "Cf", "Cs"} and character not in _JOINERS:
            seen.append(" ")
        elif marks <= _MARKS:
            seen.append(character)
    return " ".join("".join(seen).split()).strip(_JOINERS) or "(no name)"


def _shortened(label: str) -> str:
    if _width(label, _LABEL) <= WIDEST_LABEL:
        return label
    end = len(label) - 1
    while _width(short := label[:end].rstrip() + "…", _LABEL) > WIDEST_LABEL:
        end -= 1
    return short


def _width(text: str, font: FontProperties) -> float:
    words = Text(text=text, fontproperties=font, parse_math=False)
    words.set_figure(_RULER)
    return words.get_window_extent().width / DPI
