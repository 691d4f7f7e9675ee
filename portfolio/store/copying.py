"""A portfolio's database for somebody else: a consistent copy of it, and the look at one that came from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from portfolio.errors import StoreError
from portfolio.store.blobs import Blobs
from portfolio.store.creation import BLOBS, DATABASE
from portfolio.store.database import Database
from portfolio.store.references import blob_uses
from portfolio.store.schema import definitions, expected_definitions, require_known_schema
from portfolio.store.verify import Fault, find_faults

_CAREFUL = "PRAGMA cell_size_check = ON"  # as SQLite advises for a file of unknown origin


def copy_database(root: Path, target: Path) -> None:
    """Write the database of the portfolio at `root` as it is at one moment, without what was deleted from it.

    Args:
        target: a file that is not there.

    Raises:
        StoreError: it is damaged, or the copy could not be written.
    """
    with Database(root / DATABASE).reading() as db:
        db.execute("COMMIT")  # VACUUM has a transaction of its own
        db.execute("VACUUM INTO ?", (str(target),))


def needed_blobs(root: Path) -> tuple[str, ...]:
    """The digest of every blob that a row of the portfolio at `root` refers to."""
    with Database(root / DATABASE).reading() as db:
        return tuple(sorted(blob_uses(db)))


def blob_files(root: Path, digests: Iterable[str]) -> dict[str, Path]:
    """Where the portfolio at `root` keeps these blobs, by digest."""
    blobs = Blobs(root / BLOBS)
    return {digest: blobs.path(digest) for digest in digests}


def faults_of_foreign(root: Path) -> tuple[Fault, ...]:
    """Everything wrong with a portfolio's directory that came from elsewhere; what does no harm elsewhere counts, too.

    Raises:
        SchemaTooNew: a later version of this package wrote it.
        StoreError: its database is damaged, or holds a table, view or trigger that this package does not make.
    """
    database = Database(root / DATABASE)
    with database.reading() as db:
        db.execute(_CAREFUL)
        version = require_known_schema(db, database.path)
        odd = sorted(name for _, name, _ in definitions(db) ^ expected_definitions(version))
    if odd:
        raise StoreError(
            f"{DATABASE} holds other tables, indexes, views or triggers than this package makes: {ascii(', '.join(odd))[:200]}"
        )
    return find_faults(database, Blobs(root / BLOBS), root)


def share(root: Path) -> None:
    """Let the database of a portfolio that came from elsewhere be written by many processes at once, as `init` makes it."""
    Database(root / DATABASE).make()
