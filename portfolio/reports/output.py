"""Where a command's data goes: standard output, or a file that never holds half of anything.

What is made at once is there whole or not at all. Lines that long work makes one after the other are kept, whole lines in
order, also where the work is interrupted or fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from portfolio.errors import Unwritable

_BLOCK = 1 << 16  # bytes


def to_line(value: Any, stream: IO[str], *, indent: int | None = None) -> str:
    """Strict JSON, in ASCII where the stream knows no more."""
    is_unicode = (getattr(stream, "encoding", None) or "").lower().startswith("utf")
    return json.dumps(value, indent=indent, ensure_ascii=not is_unicode, allow_nan=False)


@contextlib.contextmanager
def opened_lines(path: str | None, *, resume: bool = False) -> Iterator[IO[str]]:
    """Standard output, or a file for lines.

    A new file takes its name when the body ends. Where it ends in an error or Ctrl-C, the whole lines written until then
    take the name; if there are none, what was there stays.

    Args:
        resume: lines are added in place to those that are there; a half one at the end is cut off first.

    Raises:
        Unwritable: the file cannot be written.
    """
    if path is None:
        yield sys.stdout
    elif resume and not _is_special(path):
        with _says_unwritable(path), _growing(path) as stream:
            yield stream
    else:
        with _opened(path, "w", "utf-8", keeps_lines=True) as stream:
            yield stream


def write_output(path: Path, data: bytes) -> None:
    """Make a file hold exactly `data`.

    Raises:
        Unwritable: the file cannot be written; what was there is as it was.
    """
    with _opened(str(path), "wb", None) as stream:
        stream.write(data)


@contextlib.contextmanager
def _opened(path: str, mode: str, encoding: str | None, *, keeps_lines: bool = False) -> Iterator[IO[Any]]:
    opened = _direct(Path(path), mode, encoding) if _is_special(path) else _whole(path, mode, encoding, keeps_lines)
    with _says_unwritable(path), opened as stream:
        yield stream


@contextlib.contextmanager
def _says_unwritable(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unwritable(f"{path} cannot be written: {error.strerror or error}; name another file") from error


def _is_special(path: str) -> bool:
    """A pipe or a device, which must not be replaced by a file."""
    return os.path.exists(path) and not os.path.isfile(path)


@contextlib.contextmanager
def _direct(path: Path, mode: str, encoding: str | None) -> Iterator[IO[Any]]:
    with path.open(mode, encoding=encoding) as stream:
        yield stream


@contextlib.contextmanager
def _whole(name: str, mode: str, encoding: str | None, keeps_lines: bool) -> Iterator[IO[Any]]:
    path = Path(os.path.realpath(name))
    permissions = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".tmp", dir=path.parent)
    try:
        try:
            with open(descriptor, mode, encoding=encoding) as stream:
                yield stream
                stream.flush()
                os.fsync(descriptor)
        except BaseException:  # Ctrl-C too
            if not keeps_lines or _cut_half_line(temporary) == 0:
                raise
            _name(temporary, permissions, path)
            raise
        _name(temporary, permissions, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _name(temporary: str, permissions: int, path: Path) -> None:
    os.chmod(temporary, permissions)
    os.replace(temporary, path)


@contextlib.contextmanager
def _growing(path: str) -> Iterator[IO[str]]:
    """A file that lines are added to, under its own name from the start."""
    if os.path.exists(path):
        _cut_half_line(path)
    try:
        with open(path, "a", encoding="utf-8") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            _cut_half_line(path)
        raise


def _cut_half_line(path: str) -> int:
    """Cut off what stands after the last line end of a file; how many bytes are left."""
    with open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _BLOCK)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            end = start + found + 1
            if found >= 0:
                break
        file.truncate(end)
    return end


def _umask() -> int:
    """The process's mask of permissions; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
