"""What was counted of trials, to rows and back: one row a trial, whose counts grow.

Every function works in the caller's transaction.
"""

from __future__ import annotations

import dataclasses
import sqlite3

from portfolio.store.rows import decoded, insert, require_intact
from portfolio.store.schema import knows_releases
from portfolio.traffic import Counts, Trial, counts_from_json

_KEY = "name = ? AND version = ? AND beside = ? AND mode = ?"


def add_observation(db: sqlite3.Connection, trial: Trial, counts: Counts) -> None:
    """Add to what was counted of a trial before.

    Raises:
        StoreError: that was damaged.
    """
    key = (trial.name, trial.version, trial.beside, trial.mode)
    row = db.execute(f"SELECT * FROM observation WHERE {_KEY}", key).fetchone()
    if row is not None:
        require_intact("observation", row)
        counts = decoded("observation", row, _counts) + counts
        db.execute(f"DELETE FROM observation WHERE {_KEY}", key)
    insert(db, "observation", {**dataclasses.asdict(trial), "counts": counts.to_json()})


def read_observations(db: sqlite3.Connection, name: str | None = None) -> dict[Trial, Counts]:
    """Of all trials, or of those of one adapter, by version."""
    if not knows_releases(db):
        return {}
    some, values = ("", ()) if name is None else ("WHERE name = ? ", (name,))
    rows = db.execute(f"SELECT * FROM observation {some}ORDER BY name, version, beside, mode", values)
    return {decoded("observation", row, _trial): decoded("observation", row, _counts) for row in rows}


def _trial(row: sqlite3.Row) -> Trial:
    return Trial(**{field.name: row[field.name] for field in dataclasses.fields(Trial)})


def _counts(row: sqlite3.Row) -> Counts:
    return counts_from_json(row["counts"])
