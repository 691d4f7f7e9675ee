"""Where a command's data goes: standard output, or a file that is there whole or not at all."""

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


def to_line(value: Any, stream: IO[str], *, indent: int | None = None) -> str:
    """Strict JSON, in ASCII where the stream knows no more."""
    is_unicode = (getattr(stream, "encoding", None) or "").lower().startswith("utf")
    return json.dumps(value, indent=indent, ensure_ascii=not is_unicode, allow_nan=False)


@contextlib.contextmanager
def opened_output(path: str | None) -> Iterator[IO[str]]:
    """Standard output, or a new file that takes its name when the body ends well; otherwise it leaves no trace.

    Raises:
        Unwritable: the file cannot be written; what was there is as it was.
    """
    if path is None:
        yield sys.stdout
        return
    with _opened(path, "w", "utf-8") as stream:
        yield stream


def write_output(path: Path, data: bytes) -> None:
    """Make a file hold exactly `data`.

    Raises:
        Unwritable: the file cannot be written; what was there is as it was.
    """
    with _opened(str(path), "wb", None) as stream:
        stream.write(data)


@contextlib.contextmanager
def _opened(path: str, mode: str, encoding: str | None) -> Iterator[IO[Any]]:
    opened = _direct(Path(path), mode, encoding) if _is_special(path) else _whole(path, mode, encoding)
    try:
        with opened as stream:
            yield stream
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
def _whole(name: str, mode: str, encoding: str | None) -> Iterator[IO[Any]]:
    path = Path(os.path.realpath(name))
    permissions = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".tmp", dir=path.parent)
    try:
        with open(descriptor, mode, encoding=encoding) as stream:
            yield stream
            stream.flush()
            os.fsync(descriptor)
        os.chmod(temporary, permissions)
        os.replace(temporary, path)
    except BaseException:  # Ctrl-C too
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    """The process's mask of permissions; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
