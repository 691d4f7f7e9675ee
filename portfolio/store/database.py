"""Transactions on `portfolio.db`, safe from many threads and processes, also after a fork.

Each transaction has a connection of its own, opened and closed with it (about 0.4 ms). So nothing is shared between
threads, nothing is inherited by a forked process, and a portfolio at rest is a directory without `-wal` and `-shm`
files, which can be copied. The mode is WAL, so a reader never waits for a writer; `synchronous = FULL` puts a commit
on the disk before it returns.

A trap: nothing in this process may open `portfolio.db` as a plain file, because closing that would drop the POSIX
locks that SQLite holds on it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from portfolio.errors import Conflict, PortfolioError, StoreError, Unwritable

BUSY_TIMEOUT_S = 60.0

SETTINGS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = FULL",
    "PRAGMA trusted_schema = OFF",  # a portfolio may come from somebody else
)

# What SQLite says where it cannot make the files a shared WAL database needs beside it.
_CANNOT_SHARE = ("unable to open database file", "attempt to write a readonly database", "disk I/O error")
_FULL = "database or disk is full"


class Database:
    """One SQLite file. An error of SQLite leaves here as one of portfolio/errors.py."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self) -> None:
        """A new, empty database in WAL mode."""
        with self._translated(is_writing=True):
            self._opened("mode=rwc", "PRAGMA journal_mode = WAL").close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of the database, also where it cannot be written."""
        with self._translated(is_writing=False), contextlib.closing(self._opened_for_reading()) as db:
            yield db

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction that holds the write lock from its start: all of the body happens, or nothing.

        Raises:
            Unwritable: the disk is full, or the file or its directory read-only.
            Conflict: another process held the write lock for a whole minute.
        """
        with (
            self._translated(is_writing=True),
            contextlib.closing(self._opened("mode=rw", "BEGIN IMMEDIATE")) as db,
        ):
            yield db
            db.execute("COMMIT")
            # After an exception there is no COMMIT, and closing the connection rolls back.

    def copy_to(self, path: Path) -> None:
        """Make a new database of what was committed last, page for page, also while this process holds the write lock."""
        with (
            self._translated(is_writing=True),
            contextlib.closing(self._opened("mode=rw")) as db,
            contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy,
        ):
            db.backup(copy)

    def _opened_for_reading(self) -> sqlite3.Connection:
        begin = ("BEGIN", "SELECT 1 FROM sqlite_master LIMIT 1")  # BEGIN alone touches no file
        try:
            return self._opened("mode=rw", *begin)
        except sqlite3.OperationalError as error:
            if str(error) not in _CANNOT_SHARE:
                raise
            self._require_empty_log(error)
            # A read-only directory or a full disk, where nobody can be writing: read the bare file without locks.
            return self._opened("mode=ro&immutable=1", *begin)

    def _opened(self, options: str, *statements: str) -> sqlite3.Connection:
        """A new connection on which the settings and then `statements` have run."""
        uri = f"{self.path.absolute().as_uri()}?{options}"
        # isolation_level None: this file alone says BEGIN and COMMIT.
        db = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        db.row_factory = sqlite3.Row
        try:
            for statement in (*SETTINGS, *statements):
                db.execute(statement).fetchall()
        except BaseException:
            db.close()
            raise
        return db

    def _require_empty_log(self, error: sqlite3.Error) -> None:
        log = self.path.with_name(f"{self.path.name}-wal")
        if log.exists() and log.stat().st_size > 0:
            raise StoreError(
                f"{self.path} has its last changes in {log.name}, which cannot be read without writing beside it "
                f"({error}); open the portfolio once from where it can be written, then read it here"
            ) from error

    @contextlib.contextmanager
    def _translated(self, *, is_writing: bool) -> Iterator[None]:
        try:
            yield
        except (sqlite3.ProgrammingError, sqlite3.InterfaceError):
            raise  # a mistake in this package's own SQL
        except (sqlite3.Error, UnicodeDecodeError) as error:  # damage can be in a text, also in one that SQLite quotes
            raise self._said(error, is_writing) from error

    def _said(self, error: Exception, is_writing: bool) -> PortfolioError:
        message = str(error)
        if message in ("database is locked", "locking protocol"):
            return Conflict(
                f"{self.path} was busy for {BUSY_TIMEOUT_S:.0f} seconds: another process is writing to it; "
                "wait for it to end, then run the same command again"
            )
        if message == _FULL or (is_writing and message in _CANNOT_SHARE):
            return Unwritable(
                f"{self.path} cannot be written: {message}; free some space or make its directory writable, "
                "then run the same command again (the portfolio is as it was)"
            )
        if isinstance(error, sqlite3.IntegrityError):
            return StoreError(
                f"{self.path} refused a change that contradicts its rules: {message}; nothing was changed"
            )
        if message == "unable to open database file":
            return StoreError(f"{self.path} cannot be opened: {message}; check that you may read it")
        return StoreError(
            f"{self.path} is damaged: {message}; restore it from a copy of the portfolio "
            "(copy portfolio.db together with the files beside it that begin with that name)"
        )
