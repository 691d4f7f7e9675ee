"""Texts to answer, as typed: arguments of a command, or lines of standard input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BufferedIOBase

from portfolio.errors import DataError
from portfolio.tasks.lines import MAX_LINE_BYTES
from portfolio.tasks.windows import windows

STANDARD_INPUT = "standard input"

_READ_BYTES = 1 << 20

Row = tuple[str, str | None]  # a text, and its pair if it has one


def texts_of_arguments(texts: Sequence[str], pairs: Sequence[str]) -> Iterator[Row]:
    """Each text with its pair, or with None where no pair is given.

    Raises:
        DataError: a text is empty or was no UTF-8, or there are pairs but not one for each text.
    """
    if pairs and len(pairs) != len(texts):
        raise DataError(f"expected one --pair for each of {len(texts)} texts, got {len(pairs)}")
    for what, values in (("text", texts), ("pair", pairs)):
        for number, value in enumerate(values, start=1):
            _require_text(value, f"{what} {number}")
    return iter([(text, pairs[row] if pairs else None) for row, text in enumerate(texts)])


def texts_of_lines(stream: BufferedIOBase, most: int) -> Iterator[list[Row]]:
    """One text a line, together all that have come by then, but at most so many: only the first of them is waited for.

    Empty lines at the very end are left out. A line that cannot be used is named after the texts before it were given.

    Raises:
        DataError: at the first line that is empty, overlong or no UTF-8, or if there is no text at all.
    """
    checked = _CheckedLines()
    for arrived in _arrivals(stream):
        yield from windows((row for raw in arrived for row in checked.rows_of(raw)), most)
    checked.end()


def _arrivals(stream: BufferedIOBase) -> Iterator[list[bytes]]:
    """The lines of each reading, without their ends; a line that goes on beyond what can be used is cut."""
    begun = b""
    while read := stream.read1(_READ_BYTES):
        *whole, begun = (begun + read).split(b"\n")
        if len(begun) > MAX_LINE_BYTES:
            whole, begun = [*whole, begun], b""
        if whole:
            yield whole
    if begun:
        yield [begun]


class _CheckedLines:
    """Line after line of standard input, counted."""

    def __init__(self) -> None:
        self._number = 0
        self._empty: int | None = None  # the first empty line since the last text

    def rows_of(self, raw: bytes) -> list[Row]:
        """The text of the next line; none of an empty one, which is a fault only if a text follows."""
        self._number += 1
        line = self._decoded(raw)
        if not line.strip():
            self._empty = self._empty or self._number
            return []
        if self._empty is not None:
            raise DataError(f"{STANDARD_INPUT}:{self._empty}: the text is empty; expected one text a line")
        return [(line, None)]

    def end(self) -> None:
        if self._number == 0 or self._empty == 1:
            raise DataError(f"expected texts, one a line, on {STANDARD_INPUT}, got none")

    def _decoded(self, raw: bytes) -> str:
        place = f"{STANDARD_INPUT}:{self._number}"
        if len(raw) > MAX_LINE_BYTES:
            raise DataError(f"{place}: expected at most {MAX_LINE_BYTES} bytes a line, got more")
        try:
            return raw.decode("utf-8-sig" if self._number == 1 else "utf-8").removesuffix("\r")
        except UnicodeDecodeError as error:
            what = f"not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start} of the line"
            raise DataError(f"{place}: {what}") from error


def _require_text(value: str, what: str) -> None:
    if not value.strip():
        raise DataError(f"{what} is empty; expected something to answer")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # how Python hands on an argument's bytes that are no UTF-8
        raise DataError(f"{what} is not UTF-8, from character {error.start + 1} on") from error
