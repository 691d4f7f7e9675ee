"""Our forms of AdapterFusion as cases of `fusion_speed.py`: hosted on the frozen base, as a portfolio hosts them.

A forward pass is `Host.run`: the features that heads and router read are part of its cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from benchmarks.peers.fusion_rig import ALL, FORWARD, LEARNING_RATE, RANK, STEP, UPPER, UPPER_KEPT, Case, Run, Training
from benchmarks.peers.training_rig import LABELS
from fusion.attention import FusionAttention
from fusion.config import FusionConfig, LightConfig
from fusion.gates import Gate, folded, fresh_gate, trainable
from fusion.members import Member
from fusion.written_out import blend_written_out
from portfolio.hosting.base import Base
from portfolio.hosting.encode import Batch
from portfolio.hosting.host import Host
from portfolio.hosting.plan import NO_ADAPTER, Plan, Trunk
from portfolio.hosting.sites import blocks_of
from portfolio.methods.bottleneck import BottleneckConfig

FOLDED, WRITTEN_OUT, TRAINABLE = "folded", "written out", "form for training"
LIGHT_FOLDED, LIGHT_TRAINABLE = "light gate, folded", "light gate, form for training"
FORMS = (FOLDED, LIGHT_FOLDED, LIGHT_TRAINABLE, TRAINABLE, WRITTEN_OUT)
NO_MEMBERS = "host without adapters"
DEVIATION = 0.05  # of the members' up-projections and biases, about that of trained ones
Blend = Callable[[Tensor], Tensor]  # (batch, time, in) -> (batch, time, out), to be added at the site
AtSites = Mapping[str, Sequence[Member]]  # site key -> members


@dataclass(frozen=True, slots=True)
class Added:
    """An update of a plan that adds a blend to the site's output."""

    blend: Blend

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        return y + self.blend(x)


def plan_of(blends: Mapping[str, Blend]) -> Plan:
    """Each blend at its site."""
    return Plan({key: (Added(blend),) for key, blend in blends.items()})


def random_members(host: Host, count: int) -> dict[str, list[Member]]:
    """Bottlenecks of rank `RANK` after every feed-forward layer above the trunk, every weight drawn by chance."""
    config = BottleneckConfig(rank=RANK)
    return {
        site.key: [_member(config.fresh(site.shape, dice), dice) for dice in _dice(site.block, count)]
        for site in host.sites_for(config)
    }


def _dice(block: int, count: int) -> list[Generator]:
    return [torch.Generator().manual_seed(1000 * block + number) for number in range(count)]


def _member(fresh: Mapping[str, Tensor], dice: Generator) -> Member:
    def noise(name: str) -> Tensor:
        return torch.randn(fresh[name].shape, generator=dice) * DEVIATION

    return Member(
        down=fresh["down"],
        down_bias=noise("down_bias"),
        up=noise("up"),
        up_bias=noise("up_bias"),
        activation=torch.relu,
    )


def fresh_gates(form: str, members: AtSites) -> dict[str, Gate]:
    """What that form learns, at its start, for each site."""
    config = LightConfig() if form in (LIGHT_FOLDED, LIGHT_TRAINABLE) else FusionConfig()
    dice = torch.Generator().manual_seed(0)
    return {
        key: fresh_gate(
            config, here, features_in=here[0].features_in, features_out=here[0].features_out, generator=dice
        )
        for key, here in members.items()
    }


def blend_of(form: str, gate: Gate, members: Sequence[Member]) -> Blend:
    """The members at one site behind their gate."""
    if form in (FOLDED, LIGHT_FOLDED):
        return folded(gate, members)
    if form in (TRAINABLE, LIGHT_TRAINABLE):
        return trainable(gate, members)
    assert isinstance(gate, FusionAttention)
    return partial(_written_out, gate, members)


def _written_out(attention: FusionAttention, members: Sequence[Member], x: Tensor) -> Tensor:
    return blend_written_out(attention, members, x).output


def our_cases(base: Base, counts: Sequence[int], trained: int, batch: Batch, labels: Tensor) -> dict[Case, Run]:
    """Every case of this process, by what it is.

    Args:
        trained: how many members a training step has.
    """
    made: dict[Case, Run] = {}
    for blocks, trunk in ((ALL, 0), (UPPER, len(blocks_of(base.model)) // 2)):
        host = Host(base, trunk=trunk)
        made[Case(FORWARD, NO_MEMBERS, 0, blocks)] = partial(_forward, host, batch, NO_ADAPTER)
        for form, count in product(FORMS, counts):
            members = random_members(host, count)
            gates = fresh_gates(form, members)
            plan = plan_of({key: blend_of(form, gates[key].eval(), here) for key, here in members.items()})
            made[Case(FORWARD, form, count, blocks)] = partial(_forward, host, batch, plan)
        for form in (TRAINABLE, LIGHT_TRAINABLE, WRITTEN_OUT):
            learning = Learning(host, random_members(host, trained), form)
            made[Case(STEP, form, trained, blocks)] = learning.training(batch, labels).step
            if trunk:
                learning = Learning(host, random_members(host, trained), form)
                kept = host.run_trunk(batch)
                made[Case(STEP, form, trained, UPPER_KEPT)] = learning.training(batch, labels, kept).step
    return made


def _forward(host: Host, batch: Batch, plan: Plan) -> Tensor:
    with torch.inference_mode():
        return host.run(batch, plan).features


class Learning:
    """Fusions at all sites of a host and a head on its features, learning from one batch."""

    def __init__(self, host: Host, members: AtSites, form: str) -> None:
        self.host = host
        self.gates = fresh_gates(form, members)
        self.plan = plan_of({key: blend_of(form, self.gates[key], here) for key, here in members.items()})
        torch.manual_seed(0)
        self.head = nn.Linear(host.feature_width, LABELS)

    def training(
        self, batch: Batch, labels: Tensor, trunk: Trunk | None = None, learning_rate: float = LEARNING_RATE
    ) -> Training:
        """
        Args:
            trunk: of an earlier pass over the batch; its blocks are not run again.
        """

        def loss() -> Tensor:
            features = self.host.run(batch, self.plan, trunk=trunk).features
            penalty = torch.stack([gate.penalty() for gate in self.gates.values()]).sum()
            return functional.cross_entropy(self.head(features), labels) + penalty

        weights = [weight for gate in self.gates.values() for weight in gate.parameters()]
        return Training([*weights, *self.head.parameters()], loss, learning_rate)
