"""What every commit shares: the transaction that migrates first, the generation that must still stand, results and events."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from portfolio.actor import actor
from portfolio.errors import Conflict
from portfolio.records import Moment, Results
from portfolio.store import rows
from portfolio.store.blobs import Blobs
from portfolio.store.consistency import put_cells, require_blobs
from portfolio.store.database import Database
from portfolio.store.kept_copy import keep_copy
from portfolio.store.references import retire
from portfolio.store.rows import Event
from portfolio.store.schema import SCHEMA_VERSION, migrate, require_known_schema

Clock = Callable[[], datetime]
_Made = TypeVar("_Made")


class GenerationMoved(Conflict):
    """Another process changed the portfolio after the snapshot was read: read again, compute again, commit again."""


def until_it_stands(attempt: Callable[[], _Made]) -> _Made:
    """What an attempt gives that no other change came between; it is made anew after each that did."""
    while True:
        try:
            return attempt()
        except GenerationMoved:
            continue


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit did, and when."""

    generation: int
    at: str
    action: str
    subject: str


class Changes:
    """How one portfolio's database is changed."""

    def __init__(self, path: Path, database: Database, blobs: Blobs, clock: Clock) -> None:
        self.path = path
        self.blobs = blobs
        self.database = database
        self._clock = clock

    def now(self) -> str:
        """ISO 8601, UTC."""
        return iso_now(self._clock)

    @contextlib.contextmanager
    def begin(self) -> Iterator[sqlite3.Connection]:
        """One transaction, all of it or nothing; a portfolio of an older schema is migrated first, and kept as it was."""
        with self.database.writing() as db:
            version = require_known_schema(db, self.database.path)  # a later package may have migrated it since `open`
            if version < SCHEMA_VERSION:
                keep_copy(self.database, version)
                migrate(db, self.now())
            yield db

    def advance(self, db: sqlite3.Connection, expected: int) -> int:
        """The new generation.

        Raises:
            GenerationMoved: the portfolio changed since generation `expected`.
        """
        self.require(db, expected)
        return rows.advance_generation(db)

    def require(self, db: sqlite3.Connection, expected: int) -> None:
        """Raise GenerationMoved unless the portfolio is at that generation."""
        found = rows.read_generation(db)
        if found != expected:
            raise GenerationMoved(
                f"{self.path} is at generation {found}, expected {expected}: it changed meanwhile; "
                "read a new snapshot, compute again, and commit again"
            )

    def put_results(self, db: sqlite3.Connection, results: Results, change: Change) -> None:
        """Write cells, and keep what became of the test rows for ever."""
        put_cells(db, self.path, results.cells)
        if results.outcomes is None:
            return
        require_blobs(self.blobs, [results.outcomes])
        rows.insert_moment(
            db,
            Moment(
                generation=change.generation,
                at=change.at,
                action=change.action,
                subject=change.subject,
                step=results.cells[-1].step,
                outcomes=results.outcomes,
            ),
        )

    def retire(self, db: sqlite3.Connection, left: Iterable[str], generation: int) -> None:
        """Note which blobs this change leaves behind; see references.py."""
        retire(db, self.blobs, left, generation, self._clock().timestamp())


def event(now: str, action: str, subject: str, detail: Mapping[str, object]) -> Event:
    """What is to stay on record; also who did it."""
    said = {"by": actor(), **detail}
    return Event(at=now, action=action, subject=subject, detail=json.dumps(said, sort_keys=True))


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


def iso_now(clock: Clock = utc_now) -> str:
    """The time as the store writes it: ISO 8601, UTC."""
    return clock().astimezone(timezone.utc).isoformat(timespec="seconds")


def package_version() -> str:
    """Of this package, as it is installed; `checkout` where it is not."""
    try:
        return metadata.version("adapter-portfolio")
    except metadata.PackageNotFoundError:
        return "checkout"
