"""The bundle of an adapter, taken in as what was learned here is: a new task, or the next version of one that is here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

from portfolio.candidates import Candidate
from portfolio.engine import Engine
from portfolio.errors import BaseMismatch, Conflict, NotFound
from portfolio.exchange.bundle import ATTENTION, CENTROIDS, EVALUATION, SCATTER, AdapterBundle, read_bundle
from portfolio.exchange.fitting import require_fits
from portfolio.exchange.manifest import ADAPTER
from portfolio.exchange.opening import Opened, opened
from portfolio.exchange.signing import trusted_key
from portfolio.records import (
    AdapterRecord,
    BaseContract,
    Lineage,
    Member,
    Snapshot,
    TaskRecord,
    attention_from_json,
    to_json,
)
from portfolio.refs import check_name
from portfolio.store.store import Store
from portfolio.tasks.columns import NO_PAIR, Columns
from portfolio.tasks.recipe import Recipe

_ANY = ("name", "revision")  # fields of a contract in which two portfolios on the same base may differ


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """Where the adapter is to go."""

    name: str
    taken: int  # versions of that name; 0: the task is new
    members: tuple[Member, ...]  # of the adapter, as they are called here


def import_adapter(
    store: Store,
    engine: Callable[[], Engine],
    join: Callable[[Candidate], AdapterRecord],
    source: Path,
    *,
    name: str | None,
    key: str | Path | None,
    dry_run: bool,
) -> AdapterRecord:
    """Check a bundle, put what it holds into the store, and let it join.

    Args:
        engine: called once all is checked for which no base is needed.
        join: lets a candidate join, as a new task or as the next version.
        name: another one than it has.
        key: the public key that must have signed it; else that of PORTFOLIO_TRUSTED_KEY, if there is one.
        dry_run: check everything; the version that would come.

    Raises:
        NotFound: there is no bundle; or the adapter is made of others that are not here.
        Untrusted: it is refused.
        BaseMismatch: it is for another base, or for one that is read in another way; the message says in what.
        Conflict: it is here already.
    """
    found = opened(source, ADAPTER, trusted_key(key))
    bundle = read_bundle(found.data)
    _require_same_base(store.contract, bundle.record.contract)
    target = _target(store.snapshot(history=False), bundle, bundle.adapter.name if name is None else name)
    _require_fits(store, engine(), bundle)
    candidate, blobs = _candidate(bundle, found, target)
    if dry_run:
        return candidate.adapters[-1]
    for data in blobs:
        store.put(data)
    return join(candidate)


def _require_same_base(ours: BaseContract, theirs: BaseContract) -> None:
    names = [field.name for field in fields(BaseContract) if field.name not in _ANY]
    differing = [name for name in names if getattr(ours, name) != getattr(theirs, name)]
    if differing:
        said = "; ".join(f"{name}: {getattr(ours, name)} here, {getattr(theirs, name)} there" for name in differing)
        raise BaseMismatch(
            f"the adapter is not for the base of this portfolio, or reads it otherwise ({said}); import it into a portfolio "
            "that was made on its base, with its trunk, pooling and max-tokens"
        )


def _target(snapshot: Snapshot, bundle: AdapterBundle, name: str) -> _Target:
    check_name(name, "task name")
    here = [one for one in snapshot.adapters if one.name == name]
    same = [one for one in here if one.digest == bundle.adapter.digest]
    if same:
        raise Conflict(f"adapter {bundle.adapter.ref} is here already, by the same digest: it is {same[0].ref}")
    taken = max((one.version for one in here), default=0)
    numbers = {one.ref: taken + place for place, one in enumerate(bundle.record.adapters, start=1)}
    members, missing = [], []
    for member in bundle.adapter.members:
        known = [one for one in snapshot.adapters if one.digest == member.digest]
        if member.ref in numbers:
            members.append(replace(member, name=name, version=numbers[member.ref]))
        elif known:
            exact = next((one for one in known if one.ref == member.ref), known[0])
            members.append(replace(member, name=exact.name, version=exact.version))
        else:
            missing.append(str(member.ref))
    if missing:
        raise NotFound(
            f"adapter {bundle.adapter.ref} is made of {', '.join(missing)}, not here by the same digest; export and import "
            f"each of them first, there with: portfolio export {missing[0]} DEST"
        )
    return _Target(name=name, taken=taken, members=tuple(members))


def _require_fits(store: Store, engine: Engine, bundle: AdapterBundle) -> None:
    own = {one.digest: bundle.weights(one) for one in bundle.record.adapters}
    for one in bundle.record.adapters:
        members = [own.get(member.digest) or store.get(member.digest) for member in one.members]
        require_fits(engine.host, one, own[one.digest], members, len(bundle.record.lineage.labels))


def _candidate(bundle: AdapterBundle, found: Opened, target: _Target) -> tuple[Candidate, list[bytes]]:
    """The bundle as something that was learned, and the blobs that its records name."""
    note = _note(bundle, found)
    record, files = bundle.record, bundle.files
    adapters = [
        replace(one, name=target.name, task=target.name, version=target.taken + place, notes=(*one.notes, note))
        for place, one in enumerate(record.adapters, start=1)
    ]
    blobs = [*(bundle.weights(one) for one in record.adapters), files[CENTROIDS], files[SCATTER], files[EVALUATION]]
    last = replace(adapters[-1], members=target.members)
    if last.attention is not None:
        attention = attention_from_json(files[ATTENTION].decode())
        renamed = to_json(replace(attention, members=tuple(str(member.ref) for member in target.members))).encode()
        last = replace(last, attention=hashlib.sha256(renamed).hexdigest())
        blobs.append(renamed)
    task = _task(record.lineage, target.name, note)
    candidate = Candidate(task=task, adapters=(*adapters[:-1], last), test=None, again=target.taken > 0)
    return candidate, blobs


def _task(lineage: Lineage, name: str, note: str) -> TaskRecord:
    """What the version was learned from; where its rows were read is left out, as they are not here."""
    text, pair, label = lineage.columns
    columns = Columns(text=text, pair=pair or NO_PAIR, label=label)
    reading = Recipe.of_import(str(lineage.ref), columns, lineage.seed)
    return TaskRecord(
        name=name,
        kind="classification",
        labels=lineage.labels,
        has_pairs=lineage.has_pairs,
        columns=lineage.columns,
        sources=lineage.sources,
        seed=lineage.seed,
        reading=reading.to_json(),
        centroids=lineage.centroids,
        scatter=lineage.scatter,
        evaluation=lineage.evaluation,
        notes=(*lineage.notes, note),
    )


def _note(bundle: AdapterBundle, found: Opened) -> str:
    signed = "signed by a trusted key" if found.is_signed else "its signature not asked for"
    code = bundle.record.lineage.code or "unknown"
    return f"imported: was {bundle.adapter.ref}, trained by version {code}; manifest {found.digest}, {signed}"
