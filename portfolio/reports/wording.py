"""How numbers and names are written for people; in ASCII where the terminal knows no more."""

from __future__ import annotations

import math

from rich.console import Console

NOTHING = "-"  # stands where a score was not measured
EMPTY = "This portfolio has no task yet. Add one with: portfolio add-task NAME --train FILE"

_HEX = 12  # digits of a digest that are shown
_NARROWEST_TEXT = 24  # columns
_SMALLEST_CHANGE = 1e-9  # below this a change is what rounding left over


def percent(value: float | None) -> str:
    """A score in [0, 1] as a percentage of at most four characters: `97.5`, `100`."""
    if value is None:
        return NOTHING
    return f"{100 * value:.1f}".replace("100.0", "100")


def points(value: float | None) -> str:
    """A difference of scores in percentage points, signed: `-1.2`; a real but small one keeps its digits: `-0.02`."""
    if value is None:
        return NOTHING
    if abs(value) < _SMALLEST_CHANGE:
        return "0.0"
    return f"{100 * value:+.2f}" if abs(value) < 0.0005 else f"{100 * value:+.1f}"


def share(value: float) -> str:
    """A share in [0, 1] in whole percents: `62`; `<1` where it would round to nothing."""
    return "<1" if 0 < value < 0.005 else f"{100 * value:.0f}"


def chance(p_value: float | None) -> str:
    """A p-value: `p = .61`, `p = .003`, `p < .001`."""
    if p_value is None or math.isnan(p_value):
        return "not tested"
    if p_value < 0.001:
        return "p < .001"
    written = f"{p_value:.3f}" if p_value < 0.0995 else f"{p_value:.2f}"
    return "p = 1" if written == "1.00" else f"p = {written[1:]}"


def count(number: int, noun: str = "") -> str:
    """`1,234`, or with a noun `1 task`, `2 tasks`."""
    if not noun:
        return f"{number:,}"
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(number_of_bytes: int) -> str:
    """`512 B`, `1.8 MB`: powers of 1,000."""
    if number_of_bytes < 1000:
        return f"{number_of_bytes} B"
    value, unit = number_of_bytes / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if value < 999.95:  # what would be written as 1000.0
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}"


def duration(seconds: float) -> str:
    """`4.2 s`, `31 s`, `2 min 05 s`, `1 h 03 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def moment(iso: str) -> str:
    """`2026-03-04 10:11 UTC` for what is stored as `2026-03-04T10:11:09Z` or `...+00:00`."""
    return f"{iso[:10]} {iso[11:16]} UTC" if iso else "at an unknown time"


def digits(digest: str) -> str:
    """As many of a digest as tell it from others."""
    return digest[:_HEX]


def cut(text: str, taken: int, console: Console) -> str:
    """`text` as it fits beside `taken` columns of a terminal, but not shorter than 24; whole anywhere else."""
    width = max(console.width - taken, _NARROWEST_TEXT)
    if not console.is_terminal or len(text) <= width:
        return text
    return text[: width - 1] + ("~" if console.options.ascii_only else "…")


def plain(text: str, console: Console) -> str:
    """`text` without anything that could steer the terminal or that it cannot show: such characters as escapes."""
    visible = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return visible.encode(console.encoding, "backslashreplace").decode(console.encoding)
