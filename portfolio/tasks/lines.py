"""A text file as numbered lines of UTF-8, read without ever holding an overlong one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from portfolio.errors import DataError
from portfolio.tasks.faults import Faults

MAX_LINE_BYTES = 1 << 20
_COUNTED_BYTES = 1 << 20  # at a time
_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


@contextmanager
def opened(path: Path, shown_path: str) -> Iterator[BinaryIO]:
    """The file, open for reading.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"cannot read {shown_path}: {error.strerror or error}") from error
    with file:
        yield file


def numbered_lines(path: Path, faults: Faults) -> Iterator[tuple[int, str]]:
    """Each line, without its end (LF or CRLF), and its number from 1.

    A line over 1 MiB, or one that is not UTF-8, becomes a fault and an empty string, so that a caller who
    follows the structure of the file does not lose count. A byte order mark is dropped.
    """
    start = 0  # of the line, in bytes
    with opened(path, faults.source) as file:
        for number, (raw, size) in enumerate(_raw_lines(file), start=1):
            if number == 1 and raw.startswith(_UTF16_BOMS):
                faults.add(f"{faults.source}:1", "expected UTF-8, got UTF-16; save the file again as UTF-8")
                return
            if size > MAX_LINE_BYTES:
                faults.add(f"{faults.source}:{number}", f"a line of {size} bytes; at most {MAX_LINE_BYTES} are read")
                yield number, ""
            else:
                yield number, _decoded(raw, number, start, faults)
            start += size


def _raw_lines(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Each line, cut at the limit, and how many bytes it truly has."""
    while raw := file.readline(MAX_LINE_BYTES + 1):
        size = len(raw)
        last = raw
        while size > MAX_LINE_BYTES and not last.endswith(b"\n") and (last := file.readline(MAX_LINE_BYTES)):
            size += len(last)
        yield raw, size


def _decoded(raw: bytes, number: int, start: int, faults: Faults) -> str:
    skipped = len(_UTF8_BOM) if number == 1 and raw.startswith(_UTF8_BOM) else 0
    try:
        return raw[skipped:].decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        offset = start + skipped + error.start
        byte = raw[skipped + error.start]
        faults.add(f"{faults.source}:{number}", f"not UTF-8: byte 0x{byte:02x} at offset {offset} of the file")
        return ""


def count_lines(path: Path) -> int | None:
    """How many lines a file has; None for a pipe, which can be read once only, and where nothing can be read."""
    if not os.path.isfile(path):
        return None
    count, last = 0, b"\n"
    try:
        with path.open("rb") as file:
            while block := file.read(_COUNTED_BYTES):
                count, last = count + block.count(b"\n"), block[-1:]
    except OSError:
        return None
    return count + (last != b"\n")
