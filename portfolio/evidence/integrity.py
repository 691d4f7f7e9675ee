"""Whether what is stored is an adapter, and does something: digest, form, numbers, shapes, and what it changes.

A site counts as changed if the update alters some numbers there; the difference is the largest between any two states of a
token, after the last block under the version and under the bare base, the trunk of both being one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from portfolio.engine import Engine
from portfolio.errors import DamagedBlob
from portfolio.evidence.fitting import faults_of
from portfolio.evidence.versions import load_parts
from portfolio.gates.evidence import Integrity
from portfolio.hosting.encode import Encoded, pad
from portfolio.hosting.host import Host
from portfolio.hosting.plan import Plan
from portfolio.hosting.ready import Pass
from portfolio.records import AdapterRecord

MOST_ROWS = 16


def inspect(engine: Engine, record: AdapterRecord, labels: int, encoded: Sequence[Encoded]) -> Integrity:
    """Everything that can be said of one version.

    Args:
        labels: of its task.
        encoded: some texts, one at least; the first of them are run.
    """
    try:
        parts = load_parts(engine.store, record)
        faults = faults_of(engine.host, parts.adapter, parts.members, labels)
    except DamagedBlob as error:
        faults = (str(error),)
    if faults:
        return Integrity(faults=faults, sites=0, largest_difference=0.0)
    passes = parts.passes(engine.host)
    difference = largest_difference(engine.host, passes, encoded[:MOST_ROWS])
    return Integrity(faults=(), sites=len(changed_sites(engine.host, passes)), largest_difference=difference)


def changed_sites(host: Host, passes: Sequence[Pass]) -> set[str]:
    """Keys of the sites at which some pass makes other numbers of the same input."""
    keys = {key for one in passes for key in one.updates}
    with torch.inference_mode():
        return {key for key in keys if any(_changes(host, one, key) for one in passes if key in one.updates)}


def largest_difference(host: Host, passes: Sequence[Pass], encoded: Sequence[Encoded]) -> float:
    """Of any number of any token's last state, by any pass, from the bare base's."""
    batch = pad(encoded, host.base.pad_id)
    is_token = batch.attention_mask.bool().to(host.device)
    with torch.inference_mode():
        bare = host.run(batch)
        under = [host.run(batch, Plan(one.updates), trunk=bare.trunk).last for one in passes]
        return max(float((one - bare.last)[is_token].abs().max()) for one in under)


def _changes(host: Host, one: Pass, key: str) -> bool:
    """Whether the updates at a site change what the base makes there, tried on numbers drawn once and for all."""
    shape = host.sites[key].shape
    made, read = _drawn(host, shape.features_out, seed=0), _drawn(host, shape.features_in, seed=1)
    after = made.clone()
    for update in one.updates[key]:
        after = update.add_to(after, read)
    return not torch.equal(after, made)


def _drawn(host: Host, width: int, seed: int) -> Tensor:
    """(1, 16, width)"""
    drawn = torch.randn(1, 16, width, generator=torch.Generator().manual_seed(seed))
    return drawn.to(host.device, host.dtype)
