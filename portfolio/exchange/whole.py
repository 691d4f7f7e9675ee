"""A whole portfolio that came from elsewhere: looked at from its first byte to its last row, then made a portfolio here.

What its rows, blobs and rules say is checked in a hidden folder beside the new one; nobody sees it before all is well, and
nothing of it stays if something is not.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from portfolio.errors import PortfolioError, SchemaTooNew, Untrusted
from portfolio.exchange.bundle import CARD, check_contract, check_version, require_name
from portfolio.exchange.manifest import PORTFOLIO, Manifest
from portfolio.exchange.opening import opened
from portfolio.exchange.reading import Piece
from portfolio.exchange.signing import trusted_key
from portfolio.exchange.strict import record_of, strict_json
from portfolio.exchange.tensors import read_header
from portfolio.exchange.writing import require_free, whole_folder
from portfolio.gates.gates_file import GATES, GatesFile
from portfolio.permission import ROUTES, RulesFile
from portfolio.records import AdapterRecord, Alias, BaseContract, RouterState, Snapshot, TaskRecord, Traffic
from portfolio.refs import check_tags
from portfolio.store.copying import faults_of_foreign, needed_blobs, share
from portfolio.store.creation import CONTRACT, DATABASE
from portfolio.store.durable import sync_directory, writing_to
from portfolio.store.store import Store
from portfolio.tasks.recipe import Recipe

SETTINGS = (ROUTES, GATES)  # files of its owner, beside the database
_BLOB = re.compile(r"blobs/(?P<start>[0-9a-f]{2})/(?P<rest>[0-9a-f]{62})")
_TOLD = 3  # faults that a refusal tells

R = TypeVar("R")


def import_portfolio(source: Path, to: Path, *, key: str | Path | None = None, dry_run: bool = False) -> Snapshot:
    """Make a new portfolio of a bundle of one.

    Args:
        to: new or empty.
        key: the public key that must have signed it; else that of PORTFOLIO_TRUSTED_KEY, if there is one.
        dry_run: check everything; make nothing.

    Returns:
        What it holds.

    Raises:
        NotFound: there is no bundle.
        Untrusted: it is refused; nothing is left of it.
        SchemaTooNew: a later version of this package wrote it.
        Conflict: there is something at `to`.
        Unwritable: `to` is as it was.
    """
    require_free(to)
    public_key = trusted_key(key)
    first = opened(source, PORTFOLIO, public_key, take=Piece.chunks)  # nothing is written before every digest is right
    _require_paths(first.manifest)
    with writing_to(to), _building(to, dry_run) as building:
        second = opened(source, PORTFOLIO, public_key, take=lambda piece: _written(building, piece))
        if second.digest != first.digest:
            raise Untrusted(f"{source} was changed while it was read")
        (building / CARD).unlink()  # of the bundle, not of the portfolio
        snapshot = _looked_through(building)
        share(building)
        for folder in (building, *(path for path in building.rglob("*") if path.is_dir())):
            sync_directory(folder)
    return snapshot


@contextlib.contextmanager
def _building(to: Path, dry_run: bool) -> Iterator[Path]:
    if dry_run:
        with tempfile.TemporaryDirectory(prefix="portfolio-import-") as folder:
            yield Path(folder)
    else:
        with whole_folder(to) as building:
            yield building


def _require_paths(manifest: Manifest) -> None:
    """Exactly the files that a portfolio has, and every blob under its own digest."""
    needed = {CARD, CONTRACT, DATABASE}
    others = set(manifest.files) - needed - set(SETTINGS)
    odd = sorted(path for path in others if _BLOB.fullmatch(path) is None)
    missing = sorted(needed - set(manifest.files))
    if odd or missing:
        raise Untrusted(
            f"the bundle of a portfolio must hold {', '.join(sorted(needed))} and blobs; "
            + (f"{missing[0]} is missing" if missing else f"{odd[0]} does not belong there")
        )
    for path in others:
        if path.removeprefix("blobs/").replace("/", "") != manifest.files[path].sha256:
            raise Untrusted(f"{path} holds bytes of SHA-256 {manifest.files[path].sha256}, not those of its name")


def _written(building: Path, piece: Piece) -> Iterator[bytes]:
    """The file's bytes, while they are written there."""
    path = building / piece.name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        for chunk in piece.chunks():
            file.write(chunk)
            yield chunk
        file.flush()
        os.fsync(file.fileno())


def _looked_through(root: Path) -> Snapshot:
    """What the portfolio in this folder holds, if all of it may be.

    Raises:
        Untrusted: names the first things that may not.
        SchemaTooNew: its schema is not known here.
    """
    try:
        faults = faults_of_foreign(root)
        if faults:
            told = "; ".join(fault.message.replace(f"{root}/", "") for fault in faults[:_TOLD])
            raise Untrusted(f"the portfolio in the bundle is not whole: {told}")
        store = Store.open(root)
        snapshot = store.snapshot()
        _check_records(snapshot)
        looked = _check_versions(store, snapshot)
        for row in store.releases.suites():
            require_name(row.name, "suite name")
        store.events(), store.releases.verdicts()
        for digest in sorted(set(needed_blobs(root)) - looked):
            _check_blob(store.get(digest), f"blob {digest}")
        RulesFile(root).current(), GatesFile(root).current()
    except (Untrusted, SchemaTooNew):
        raise
    except (PortfolioError, ValueError, TypeError, KeyError) as error:
        raise Untrusted(f"the portfolio in the bundle cannot be: {error}") from error
    return snapshot


def _check_records(snapshot: Snapshot) -> None:
    """Names that may be, and values of the types that they must have: SQLite keeps anything in any column."""
    check_contract(_typed(BaseContract, snapshot.contract))
    for task in snapshot.tasks:
        require_name(_typed(TaskRecord, task).name, "task name")
        check_tags(dict(task.tags))
    for adapter in snapshot.adapters:
        _typed(AdapterRecord, adapter)
    for alias in snapshot.aliases:
        require_name(_typed(Alias, alias).alias, "alias")
    for traffic in snapshot.traffic:
        _typed(Traffic, traffic)
    if snapshot.router is not None:
        _typed(RouterState, snapshot.router)


def _check_versions(store: Store, snapshot: Snapshot) -> set[str]:
    """Look at the weights and statistics of every version; the digests of what was looked at."""
    looked: set[str] = set()
    for adapter in snapshot.adapters:
        lineage = store.releases.lineage(adapter.ref)
        check_version(adapter, lineage, snapshot.contract, store.get)
        Recipe.from_json(lineage.reading)
        looked |= {adapter.digest, lineage.centroids, lineage.scatter, lineage.evaluation}
    return looked


def _check_blob(data: bytes, what: str) -> None:
    """Safetensors or JSON, and nothing else."""
    if data[4:8] == bytes(4):  # the upper half of a header's length, which no text has
        read_header(data, what)
    else:
        strict_json(data, what)


def _typed(kind: type[R], record: R) -> R:
    """The record, made anew of exactly the types of its fields."""
    values = json.loads(json.dumps(asdict(record)))  # type: ignore[call-overload]
    return record_of(kind, values, kind.__name__)
