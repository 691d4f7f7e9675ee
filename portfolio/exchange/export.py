"""What is here, to a bundle: one adapter, or the whole portfolio. Loads no model and changes nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from portfolio.champions import find_adapter
from portfolio.errors import ConfigError
from portfolio.exchange.bundle import (
    ATTENTION,
    CARD,
    CENTROIDS,
    EVALUATION,
    RECORD,
    SCATTER,
    VERDICT,
    BundleRecord,
    weights_path,
)
from portfolio.exchange.card import Figures, adapter_card, hub_name, license_of, portfolio_card
from portfolio.exchange.manifest import ADAPTER, PORTFOLIO
from portfolio.exchange.tensors import read_tensors
from portfolio.exchange.whole import SETTINGS
from portfolio.exchange.writing import require_free, write_bundle
from portfolio.records import AdapterRecord, BaseContract, Lineage, Snapshot, Source, to_json
from portfolio.store.copying import blob_files, copy_database, needed_blobs
from portfolio.store.creation import CONTRACT, DATABASE
from portfolio.store.durable import writing_to
from portfolio.store.release_rows import shared_by
from portfolio.store.store import Store


def export_adapter(store: Store, ref: str, to: Path, *, key: Path | None, license: str | None) -> AdapterRecord:
    """Write the bundle of one version.

    Args:
        ref: `name`, `name@version` or `name@alias`.
        to: a new or empty folder; a new file where its name ends in .tar.gz, .tgz or .zip.
        key: a private key that signs it.

    Raises:
        NotFound: no such adapter.
        Conflict: there is something at `to`.
        ConfigError: a key or a license that cannot be, or an adapter made of a version of another learning.
        Unwritable: `to` is as it was.
    """
    require_free(to)
    snapshot = store.snapshot(history=False)
    adapter = find_adapter(snapshot, ref)
    lineage = store.releases.lineage(adapter.ref)
    versions = (*_own_members(store, snapshot, adapter, lineage), adapter)
    record = BundleRecord(
        adapters=versions, lineage=_without_places(lineage, snapshot.contract), contract=_for_others(snapshot.contract)
    )
    files = {weights_path(one, adapter): store.get(one.digest) for one in versions}
    files |= {
        RECORD: to_json(record).encode(),
        CENTROIDS: store.get(lineage.centroids),
        SCATTER: store.get(lineage.scatter),
        EVALUATION: store.get(lineage.evaluation),
    }
    if adapter.attention is not None:
        files[ATTENTION] = store.get(adapter.attention)
    verdicts = [row for row in store.releases.verdicts(adapter.name) if row.adapter == adapter.digest]
    if verdicts:
        files[VERDICT] = store.get(verdicts[-1].digest)
    card = adapter_card(
        adapter,
        record.lineage,
        snapshot.contract,
        license_of(snapshot.contract.name, license),
        _tested(files[EVALUATION]),
    )
    files[CARD] = card.encode()
    write_bundle(to, ADAPTER, files, key)
    return adapter


def export_portfolio(store: Store, to: Path, *, key: Path | None, license: str | None) -> Snapshot:
    """Write the bundle of the whole portfolio, as it is at one moment, however many processes change it meanwhile.

    Args and errors as of `export_adapter`.
    """
    require_free(to)
    with writing_to(to), tempfile.TemporaryDirectory(prefix="portfolio-export-") as folder:
        copy = Path(folder)
        copy_database(store.path, copy / DATABASE)
        snapshot = Store.open(copy).snapshot()  # which also writes the contract beside it
        blobs = blob_files(store.path, needed_blobs(copy))
        settings = {name: (store.path / name).read_bytes() for name in SETTINGS if (store.path / name).is_file()}
        card = portfolio_card(snapshot, license_of(snapshot.contract.name, license))
        contents: dict[str, bytes | Path] = {
            CARD: card.encode(),
            CONTRACT: copy / CONTRACT,
            DATABASE: copy / DATABASE,
            **settings,
            **{f"blobs/{digest[:2]}/{digest[2:]}": path for digest, path in blobs.items()},
        }
        write_bundle(to, PORTFOLIO, contents, key)
    return snapshot


def _own_members(store: Store, snapshot: Snapshot, adapter: AdapterRecord, lineage: Lineage) -> Sequence[AdapterRecord]:
    """The earlier versions of the same task that it is made of, which come along as no other portfolio can have them."""
    wanted = {member.ref for member in adapter.members if member.name == adapter.name}
    own = [one for one in snapshot.adapters if one.ref in wanted]
    for one in own:
        if shared_by(store.releases.lineage(one.ref)) != shared_by(lineage):
            raise ConfigError(
                f"{adapter.ref} is made of {one.ref}, which was learned from other data, so they cannot go together; export "
                f"the portfolio: portfolio export --all DEST"
            )
    return own


def _without_places(lineage: Lineage, contract: BaseContract) -> Lineage:
    """The same without the folders of the machine that it was learned on."""
    sources = tuple(replace(source, path=_shown(source)) for source in lineage.sources)
    return replace(lineage, sources=sources, reading="", base=contract.fingerprint)


def _shown(source: Source) -> str:
    return source.path if source.path.startswith("hub:") else Path(source.path).name


def _for_others(contract: BaseContract) -> BaseContract:
    """The same without a folder's name."""
    name = hub_name(contract.name)
    return replace(contract, name=name or "", revision=None if name is None else contract.revision)


def _tested(evaluation: bytes) -> Figures:
    rows = read_tensors(evaluation, "the evaluation rows").arrays
    truth = rows["test_labels"]
    right = np.mean(rows["test_predictions"] == truth) if truth.size else 0.0
    return Figures(rows=int(truth.size), accuracy=float(right))
