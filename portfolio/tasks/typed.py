"""Texts to answer, as typed: arguments of a command, or lines of standard input."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from portfolio.errors import DataError
from portfolio.tasks.lines import MAX_LINE_BYTES

STANDARD_INPUT = "standard input"

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


def texts_of_lines(stream: BinaryIO) -> Iterator[Row]:
    """One text a line, read as they are asked for; empty lines at the very end are left out.

    Raises:
        DataError: at the first line that is empty, overlong or no UTF-8, or if there is no text at all.
    """
    number, empty = 0, None
    for number, line in enumerate(_lines(stream), start=1):
        if not line.strip():
            empty = empty or number
            continue
        if empty is not None:
            raise DataError(f"{STANDARD_INPUT}:{empty}: the text is empty; expected one text a line")
        yield line, None
    if number == 0 or empty == 1:
        raise DataError(f"expected texts, one a line, on {STANDARD_INPUT}, got none")


def in_chunks(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    """The same rows, so many at a time."""
    while chunk := list(itertools.islice(rows, size)):
        yield chunk


def _lines(stream: BinaryIO) -> Iterator[str]:
    number = 0
    while raw := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES:
            raise DataError(f"{STANDARD_INPUT}:{number}: expected at most {MAX_LINE_BYTES} bytes a line, got more")
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            what = f"not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start} of the line"
            raise DataError(f"{STANDARD_INPUT}:{number}: {what}") from error


def _require_text(value: str, what: str) -> None:
    if not value.strip():
        raise DataError(f"{what} is empty; expected something to answer")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # how Python hands on an argument's bytes that are no UTF-8
        raise DataError(f"{what} is not UTF-8, from character {error.start + 1} on") from error
