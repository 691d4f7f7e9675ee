"""O-LoRA: a LoRA a task, in directions of its own; the earlier ones stay as they are and are added up.

    W x + s Σ_{i<t} B_i A_i x + s B_t A_t x            s = alpha / rank
    L = L_t + λ Σ_sites Σ_{i<t} ‖A_i A_tᵀ‖²_F          A: (rank, in), so a row of A_t is to be at right angles to all before

Wang et al., 2023, arXiv:2310.14152, section 3, with the λ = 0.5 of its code. There LoRA stands beside the query and value
layers of a generating model, without a head; here beside every linear layer above the trunk, as the package's LoRA does by
default, and the head learns on like everybody's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from portfolio.compare.contestant import Contestant, Keeps, Method, Settings
from portfolio.compare.in_turn import InTurn
from portfolio.compare.loop import Lesson, Loss, plain_loss
from portfolio.compare.trainee import Trainee, zero_head
from portfolio.compare.world import World
from portfolio.hosting.plan import Shared, Update
from portfolio.hosting.trunk import Prepared
from portfolio.hosting.weights import Head
from portfolio.methods.lora import LoraConfig
from portfolio.methods.low_rank import LowRank
from portfolio.running import logits_of, run_rows

STRENGTH = 0.5  # λ
LORA_RATES = (1e-3, 3e-3, 3e-4)
Sites = dict[str, dict[str, Tensor]]  # site key -> `down` (ranks, in), A; `up` (out, ranks), B


class OrthogonalLoras:
    """Both what learns, the newest LoRA with the head, and its guard, which knows the earlier ones."""

    def __init__(self, world: World, settings: Settings, config: LoraConfig) -> None:
        self._host = world.host
        self._settings = settings
        self._config = config
        self._head: Head = zero_head(len(world.labels), world.host)
        self._newest = self._fresh(0)
        self._earlier: Sites = {}  # all earlier LoRAs side by side, as one that is wider

    def _fresh(self, number: int) -> Sites:
        """The LoRA that a task begins with."""
        generator = torch.Generator().manual_seed(self._settings.seed + number)
        fresh = {site.key: self._config.fresh(site.shape, generator) for site in self._host.sites_for(self._config)}
        return {
            key: {name: tensor.to(self._host.device) for name, tensor in site.items()} for key, site in fresh.items()
        }

    # What learns

    def tensors(self) -> Mapping[str, Tensor]:
        sites = {f"{key}.{name}": tensor for key, site in self._newest.items() for name, tensor in site.items()}
        return {**sites, "head.weight": self._head.weight, "head.bias": self._head.bias}

    def logits(self, prepared: Prepared, rows: Sequence[int], *, training: bool) -> Tensor:
        dropout = self._config.dropout if training else 0.0
        updates: dict[str, tuple[Update, ...]] = {
            key: (
                *([Shared(self._update(self._earlier[key]))] if self._earlier else []),
                Shared(self._update(newest), dropout),
            )
            for key, newest in self._newest.items()
        }
        return logits_of(self._head, run_rows(self._host, updates, prepared, rows))

    def _update(self, site: Mapping[str, Tensor]) -> LowRank:
        return self._config.update(site)  # its scale is alpha / rank of one LoRA, however many stand side by side

    # What guards

    def loss(self, trainee: Trainee, lesson: Lesson) -> Loss:
        plain = plain_loss(trainee, lesson)
        if lesson.number == 0:
            return plain
        self._put_aside()
        self._newest = self._fresh(lesson.number)

        def loss(rows: Sequence[int]) -> Tensor:
            return plain(rows) + STRENGTH * self.overlap()

        return loss

    def overlap(self) -> Tensor:
        """Σ_sites Σ_{i<t} ‖A_i A_tᵀ‖²_F"""
        squares = [(self._earlier[key]["down"] @ site["down"].T).square().sum() for key, site in self._newest.items()]
        total: Tensor = torch.stack(squares).sum()
        return total

    def end(self, trainee: Trainee, lesson: Lesson) -> None: ...

    def keeps(self) -> Keeps:
        earlier = sum(tensor.numel() for site in self._earlier.values() for tensor in site.values())
        return Keeps(parameters=earlier, numbers=0, texts=0)

    def state(self) -> dict[str, Tensor]:
        return {f"{key}.{name}": tensor for key, site in self._earlier.items() for name, tensor in site.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._earlier = {}
        for name, tensor in state.items():
            key, _, side = name.rpartition(".")
            self._earlier.setdefault(key, {})[side] = tensor.to(self._host.device)

    def _put_aside(self) -> None:
        """The newest joins the earlier ones and learns no more."""
        for key, newest in self._newest.items():
            down, up = newest["down"].detach(), newest["up"].detach()
            before = self._earlier.get(key)
            self._earlier[key] = {
                "down": down if before is None else torch.cat([before["down"], down]),
                "up": up if before is None else torch.cat([before["up"], up], dim=1),
            }


def begin(world: World, settings: Settings, directory: Path) -> Contestant:
    loras = OrthogonalLoras(world, settings, LoraConfig())
    return InTurn(world, settings, trainee=loras, guard=loras)


O_LORA = Method(
    name="o-lora",
    words="a LoRA a task, at right angles to the earlier ones",
    source="Wang et al., 2023, arXiv:2310.14152",
    is_joint=False,
    knows_task=False,
    rates=LORA_RATES,
    begin=begin,
)
