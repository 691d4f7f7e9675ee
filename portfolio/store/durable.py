"""Files that are there whole or not at all, after a killed process and after a power cut.

A file is written under a temporary name beside its final one, fsynced, renamed, and its directory fsynced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from portfolio.errors import Unwritable

TEMPORARY = ".tmp-"  # what every temporary name begins with

_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space, or ask for a larger quota",
    errno.EROFS: "choose a directory that can be written",
    errno.EACCES: "change its permissions, or choose another directory",
    errno.EPERM: "change its permissions, or choose another directory",
}


@contextlib.contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Turn an OSError in the body into `Unwritable`, which names `path` and what to do."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "put that right")
        raise Unwritable(
            f"{path} cannot be written: {error.strerror or error}; "
            f"{advice} and run the same command again (the portfolio is as it was)"
        ) from error


def write_whole(path: Path, data: bytes) -> None:
    """Make `path` hold exactly `data`; whoever looks meanwhile sees the old file or the new one.

    Raises:
        OSError: it could not be written; what was at `path` is unchanged, unless only the last fsync failed.
    """
    temporary = temporary_beside(path)
    try:
        write_synced(temporary, data)
        os.replace(temporary, path)
    except BaseException:  # Ctrl-C too: leave no temporary file behind
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_directory(path.parent)


def temporary_beside(path: Path) -> Path:
    """A name in the same directory that no other thread or process uses."""
    return path.parent / f"{TEMPORARY}{secrets.token_hex(8)}"


def write_synced(path: Path, data: bytes) -> None:
    """A new file of `data`, on the disk itself when this returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]  # one write takes 2 GiB at most
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(directory: Path) -> None:
    """Put the names in `directory` on the disk itself: fsync of a file does not cover its name."""
    sync_file(directory)


def sync_file(path: Path) -> None:
    """Put what others wrote to a file on the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
