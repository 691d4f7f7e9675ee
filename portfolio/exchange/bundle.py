"""What the bundle of an adapter holds, and what of it must be true.

record.json              its records: versions (the last is the adapter, those before it are what it is made of and came
                         with it), what it was learned from, the contract of its base
adapter.safetensors      its weights and head
members/N.safetensors    likewise of version N
centroids, scatter, evaluation (.safetensors)   what the router and the results know of its task: numbers, no texts
attention.json           of a fusion, how much it attends to each member
verdict.json             how it was judged where it comes from, to be read; it lets nothing pass here
README.md                its card
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from portfolio.errors import InvalidName, Untrusted
from portfolio.exchange.manifest import is_digest
from portfolio.exchange.shapes import check_adapter, check_statistics
from portfolio.exchange.strict import record_of, strict_json
from portfolio.exchange.tensors import read_tensors
from portfolio.gates.verdict import Verdict
from portfolio.records import AdapterRecord, Attention, BaseContract, Lineage
from portfolio.refs import check_name

CARD, RECORD, WEIGHTS = "README.md", "record.json", "adapter.safetensors"
CENTROIDS, SCATTER, EVALUATION = "centroids.safetensors", "scatter.safetensors", "evaluation.safetensors"
ATTENTION, VERDICT = "attention.json", "verdict.json"
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRecord:
    """`record.json`."""

    adapters: tuple[AdapterRecord, ...]  # by rising versions
    lineage: Lineage  # of all of them
    contract: BaseContract


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterBundle:
    """A bundle that was looked at, as far as that takes no base."""

    record: BundleRecord
    files: Mapping[str, bytes]

    @property
    def adapter(self) -> AdapterRecord:
        return self.record.adapters[-1]

    def weights(self, adapter: AdapterRecord) -> bytes:
        """Of one of its versions."""
        return self.files[weights_path(adapter, self.adapter)]


def weights_path(adapter: AdapterRecord, last: AdapterRecord) -> str:
    """Where the weights of one of the versions lie."""
    return WEIGHTS if adapter == last else f"members/{adapter.version}.safetensors"


def read_bundle(files: Mapping[str, bytes]) -> AdapterBundle:
    """The bundle of these files, whose bytes are those of their manifest.

    Raises:
        Untrusted: something in it cannot be.
    """
    if RECORD not in files:
        raise Untrusted(
            f"the bundle of an adapter must hold {RECORD}; it holds {', '.join(sorted(files)[:10]) or 'nothing'}"
        )
    record = record_of(BundleRecord, strict_json(files[RECORD], RECORD), RECORD)
    _claim(len(record.adapters) > 0, f"{RECORD} names no adapter")
    last, lineage = record.adapters[-1], record.lineage
    require_name(last.name)
    named = {weights_path(one, last): one.digest for one in record.adapters}
    named |= {CENTROIDS: lineage.centroids, SCATTER: lineage.scatter, EVALUATION: lineage.evaluation}
    named |= {} if last.attention is None else {ATTENTION: last.attention}
    expected, found = {CARD, RECORD, *named}, set(files) - {VERDICT}
    if found != expected:
        raise Untrusted(
            f"the bundle of adapter {last.ref} must hold {', '.join(sorted(expected))}; see "
            f"{', '.join(sorted(found ^ expected)[:5])}"
        )
    for path, digest in named.items():
        _claim(hashlib.sha256(files[path]).hexdigest() == digest, f"{path} is not the file that {RECORD} names")
    check_contract(record.contract)
    _check_versions(record)
    blobs = {digest: files[path] for path, digest in named.items()}
    for one in record.adapters:
        check_version(one, lineage, record.contract, blobs.__getitem__)
    if VERDICT in files:
        record_of(Verdict, strict_json(files[VERDICT], VERDICT), VERDICT)
    return AdapterBundle(record=record, files=files)


def check_version(
    adapter: AdapterRecord, lineage: Lineage, contract: BaseContract, blob: Callable[[str], bytes]
) -> None:
    """Nothing, if a version's record can be, and its weights and statistics fit it.

    Args:
        blob: the bytes of a digest.

    Raises:
        Untrusted: they cannot.
    """
    what = f"adapter {adapter.name[:128]!r}@{adapter.version}"
    require_name(adapter.name)
    _claim(
        adapter.version >= 1 and adapter.name == adapter.task == lineage.name, f"{what}: its names and versions differ"
    )
    _claim(0 <= adapter.validation_score <= 1, f"{what}: a validation score lies in [0, 1]")
    _claim(min(adapter.seconds, adapter.epochs, adapter.parameters) >= 0, f"{what}: a time or count is below 0")
    _claim(isinstance(strict_json(adapter.training, f"{what}: training"), dict), f"{what}: training is no object")
    _claim(_is_time(adapter.created_at), f"{what}: it was made at no time that can be read")
    _check_lineage(what, lineage)
    weights = blob(adapter.digest)
    _claim(
        len(weights) == adapter.bytes, f"{what}: its weights have {len(weights):,} bytes, its record {adapter.bytes:,}"
    )
    check_adapter(read_tensors(weights, f"the weights of {what}"), adapter, lineage.labels, contract)
    check_statistics(
        read_tensors(blob(lineage.centroids), f"the centroids of {what}"),
        read_tensors(blob(lineage.scatter), f"the scatter of {what}"),
        read_tensors(blob(lineage.evaluation), f"the evaluation rows of {what}"),
        lineage.labels,
        contract,
    )
    if adapter.attention is not None:
        _check_attention(what, adapter, blob(adapter.attention))


def check_contract(contract: BaseContract) -> None:
    """Nothing, if a base may be like that.

    Raises:
        Untrusted: it cannot.
    """
    features = contract.feature_blocks
    _claim(is_digest(contract.fingerprint), "the contract's fingerprint is no SHA-256")
    _claim(0 <= contract.trunk < contract.blocks <= 10_000, "the contract's trunk does not lie below its last block")
    _claim(1 <= contract.hidden_size <= 1 << 20 and contract.max_tokens >= 2, "the contract's sizes cannot be")
    _claim(contract.pooling in ("mean", "last"), "the contract's pooling is unknown")
    _claim(
        0 < len(features) == len(set(features)) and min(features) >= 0 and max(features) <= contract.blocks,
        "the contract's feature blocks are none of its base",
    )
    width = contract.router_width
    _claim(width is None or 1 <= width <= contract.hidden_size, "the contract's router width is wider than its base")


def require_name(name: str, what: str = "name") -> None:
    """Raise Untrusted unless it is one that a task, an adapter or an alias may have."""
    try:
        check_name(name, what)
    except InvalidName as error:
        raise Untrusted(str(error)) from error


def _check_versions(record: BundleRecord) -> None:
    """All are versions of one adapter, the earlier ones plain and members of the last."""
    *own, last = record.adapters
    lineage, contract = record.lineage, record.contract
    require_name(last.name)
    _claim(
        lineage.version == last.version, f"{RECORD}: the lineage is of version {lineage.version}, not {last.version}"
    )
    _claim(lineage.base == contract.fingerprint, f"{RECORD}: it was trained on another base than its contract says")
    members = {(member.name, member.version, member.digest) for member in last.members}
    here = {(one.name, one.version, one.digest) for one in own}
    named = {one for one in members if one[0] == last.name}
    _claim(here == named and len(here) == len(own), f"{RECORD}: the versions are not those that {last.ref} is made of")
    _claim(not any(one.members or one.attention for one in own), f"{RECORD}: a member is itself made of others")
    _claim([*sorted(own, key=lambda one: one.version), last] == [*own, last], f"{RECORD}: versions must rise")
    _claim(all(one.version < last.version for one in own), f"{RECORD}: versions must rise")
    for member in last.members:
        require_name(member.name)
        _claim(member.version >= 1 and is_digest(member.digest), f"{RECORD}: {member.ref} is no version of an adapter")


def _check_lineage(what: str, lineage: Lineage) -> None:
    labels, splits = lineage.labels, [source.split for source in lineage.sources]
    _claim(
        len(labels) >= 2 and all(labels) and len(set(labels)) == len(labels),
        f"{what}: expected two labels or more, each once",
    )
    _claim(
        len(splits) == len(set(splits)) and set(splits) <= set(_SPLITS), f"{what}: expected one source for each split"
    )
    _claim("test" in splits, f"{what}: it was learned without test rows")


def _check_attention(what: str, adapter: AdapterRecord, data: bytes) -> None:
    """It is of as many members as the adapter has, in every block and for every label."""
    found = record_of(Attention, strict_json(data, f"the attention of {what}"), f"the attention of {what}")
    blocks, members = len(found.blocks), len(adapter.members)
    shapes = {(len(found.members), len(found.by_label))}
    shapes |= {(len(row), len(found.labels)) for part in (found.mean, *found.by_label) for row in part}
    _claim(
        shapes == {(members, len(found.labels))} and all(len(one) == blocks for one in (found.mean, *found.by_label)),
        f"the attention of {what} is not one over its members",
    )


def _is_time(text: str) -> bool:
    """Whether it is empty, or ISO 8601 as the store writes it."""
    try:
        return text == "" or datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _claim(holds: bool, message: str) -> None:
    if not holds:
        raise Untrusted(message)
