"""What adapters say to rows of a batch: P(label | task, x), one pass above the trunk for all of them.

One mixed batch serves rows of different adapters, and starts from what the router's look already made of the trunk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from portfolio.engine import Engine, Service
from portfolio.hosting.attending import attend, attended_blocks
from portfolio.hosting.encode import Batch
from portfolio.hosting.host import Host
from portfolio.hosting.plan import Trunk
from portfolio.hosting.ready import AS_LEARNED, Variation
from portfolio.loading import load_passes
from portfolio.records import AdapterRecord

_Attention = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """One row of the adapters' pass: which row of the batch, under which adapter, with which weight."""

    row: int
    adapter: AdapterRecord
    labels: tuple[str, ...]  # of the adapter
    weight: float  # P(task | x)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one adapter says to one row."""

    asked: Asked
    probabilities: Tensor  # (labels,), P(label | task, x)
    label: str  # the likeliest
    probability: float  # of that one
    blocks: int  # of the base that it took; of an ensemble those of all its members
    attention: _Attention = ()  # of a fusion: its members and how much it attends to each


def opinions_of(
    engine: Engine,
    batch: Batch,
    trunk: Trunk | None,
    asked: Sequence[Asked],
    variations: Mapping[str, Variation],
    *,
    explain: bool = False,
) -> list[Opinion]:
    """One opinion for each that is asked, in order.

    Args:
        trunk: what the trunk made of the batch; None where it was not run.
        variations: by digest, how the members of an adapter are to count.
        explain: also say how much fusions attend to each member, for one more pass a fusion.

    Raises:
        DamagedBlob: an adapter cannot be read.
    """
    probabilities, blocks = _probabilities(engine, batch, trunk, asked, variations)
    attention = _attention(engine, batch, trunk, asked, variations) if explain else {}
    return [
        Opinion(one, probabilities[index], one.labels[label], most, blocks[index], attention.get(index, ()))
        for index, (one, most, label) in enumerate(zip(asked, *_likeliest(probabilities), strict=True))
    ]


def _probabilities(
    engine: Engine,
    batch: Batch,
    trunk: Trunk | None,
    asked: Sequence[Asked],
    variations: Mapping[str, Variation],
) -> tuple[Tensor, tuple[int, ...]]:
    """P(label | task, x) as (asked, most labels), and how many blocks each took; an ensemble's members are averaged."""
    if not asked:
        return torch.empty(0, 0), ()
    services = engine.services([one.adapter for one in asked], variations)
    said = [_said(engine.host, batch, trunk, asked, service) for service in services]
    left = [engine.host.blocks_left(service.plan, trunk) for service in services]
    if len(services) == 1 and services[0].rows == tuple(range(len(asked))):
        return said[0], (left[0],) * len(asked)
    probabilities = said[0].new_zeros(len(asked), max(one.shape[1] for one in said))
    for service, one in zip(services, said, strict=True):
        weighed = one * torch.tensor(service.weights)[:, None]
        probabilities[:, : one.shape[1]].index_add_(0, torch.tensor(service.rows), weighed)
    blocks = Counter[int]()
    for service, each in zip(services, left, strict=True):
        for row in service.rows:
            blocks[row] += each
    return probabilities, tuple(blocks[row] for row in range(len(asked)))


def _said(host: Host, batch: Batch, trunk: Trunk | None, asked: Sequence[Asked], service: Service) -> Tensor:
    """P(label | task, x) of one pass, as (its rows, most labels)."""
    rows = torch.tensor([asked[row].row for row in service.rows])
    passed = host.run(batch.select(rows), service.plan, trunk=None if trunk is None else trunk.select(rows))
    return torch.softmax(service.heads.logits(passed.features), dim=1).cpu()


def _attention(
    engine: Engine,
    batch: Batch,
    trunk: Trunk | None,
    asked: Sequence[Asked],
    variations: Mapping[str, Variation],
) -> dict[int, _Attention]:
    """For each asked row that a fusion answers: its members, those it attends to most first."""
    attention: dict[int, _Attention] = {}
    fusions = {one.adapter.digest: one.adapter for one in asked if one.adapter.attention is not None}
    for digest, record in fusions.items():
        passes = load_passes(engine.store, record, variations.get(digest, AS_LEARNED), host=engine.host)
        if not attended_blocks(passes[0].updates):
            continue  # constant weights are wanted: nothing is attended to
        places = [place for place, one in enumerate(asked) if one.adapter.digest == digest]
        rows = torch.tensor([asked[place].row for place in places])
        upper = None if trunk is None else trunk.select(rows)
        seen = attend(engine.host, passes[0].updates, batch.select(rows), upper).mean(1)  # (some, members)
        for place, shares in zip(places, seen.tolist(), strict=True):
            named = zip((str(member.ref) for member in record.members), shares, strict=True)
            attention[place] = tuple(sorted(named, key=lambda one: -one[1]))
    return attention


def _likeliest(probabilities: Tensor) -> tuple[list[float], list[int]]:
    """For each row its highest probability, and where it is first; of no rows none."""
    if not len(probabilities):
        return [], []
    most, where = probabilities.max(dim=1)
    return most.tolist(), where.tolist()
