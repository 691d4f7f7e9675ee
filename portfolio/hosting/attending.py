"""How much a fusion attends to each of its members, for rows of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fusion.folded import FoldedFusion
from portfolio.hosting.encode import Batch
from portfolio.hosting.host import Host
from portfolio.hosting.plan import Blended, Plan, Trunk, Update
from portfolio.hosting.ready import Updates
from portfolio.hosting.sites import place_of


@dataclass(frozen=True, slots=True)
class _Watched:
    """A fusion at one site that writes down its weights as it goes."""

    fusion: FoldedFusion
    seen: list[Tensor]  # (batch, time, members)

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        self.seen.append(self.fusion.weights(x))
        blend: Tensor = self.fusion(x)
        return y + blend


def attended_blocks(updates: Updates) -> tuple[int, ...]:
    """The blocks of the base in which a fusion of these updates chooses."""
    return tuple(sorted({place_of(key)[0] for key in _fusions(updates)}))


def attend(host: Host, updates: Updates, batch: Batch, trunk: Trunk | None = None) -> Tensor:
    """(batch, blocks, members): the mean over a row's tokens, and over the sites of a block; each adds up to 1.

    Args:
        updates: those of a fusion, with learned weights.
    """
    fusions = {key: fusion for key, fusion in _fusions(updates).items() if key not in host.common_sites}
    seen: dict[str, list[Tensor]] = {key: [] for key in fusions}
    watched: dict[str, tuple[Update, ...]] = {key: (_Watched(fusion, seen[key]),) for key, fusion in fusions.items()}
    host.run(batch, Plan({**updates, **watched}), trunk=trunk)
    mask = batch.attention_mask.to(next(iter(seen.values()))[0])
    share = mask / mask.sum(1, keepdim=True)  # (batch, time)
    by_block: dict[int, list[Tensor]] = {}
    for key, (weights,) in seen.items():
        by_block.setdefault(place_of(key)[0], []).append(torch.einsum("btk,bt->bk", weights, share))
    attended: Tensor = torch.stack([torch.stack(by_block[block]).mean(0) for block in sorted(by_block)], dim=1)
    return attended


def _fusions(updates: Updates) -> Mapping[str, FoldedFusion]:
    found = {}
    for key, here in updates.items():
        if len(here) == 1 and isinstance(here[0], Blended) and isinstance(here[0].blend, FoldedFusion):
            found[key] = here[0].blend
    return found
