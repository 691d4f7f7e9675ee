"""Plain fine-tuning, task after task: nothing is done against forgetting.

    θ_t = argmin_θ Σ_{(x, y) of task t} −log P_θ(y | x),  from θ_{t−1}

All weights of the base, or one bottleneck adapter on the frozen base: what forgetting is measured against.
McCloskey and Cohen, 1989, Catastrophic interference in connectionist networks.
"""

from __future__ import annotations

from portfolio.compare.contestant import Method
from portfolio.compare.in_turn import (
    ADAPTER_RATES,
    FULL_RATES,
    NoGuard,
    adapter_of,
    in_turn,
    whole_base_of,
)
from portfolio.compare.world import World

_SOURCE = "McCloskey and Cohen, 1989"


def _nothing(world: World) -> NoGuard:
    return NoGuard()


SEQUENTIAL_FULL = Method(
    name="sequential-full",
    words="fine-tuning of all weights, task after task",
    source=_SOURCE,
    is_joint=False,
    knows_task=False,
    rates=FULL_RATES,
    begin=in_turn(whole_base_of, _nothing),
)
SEQUENTIAL_ADAPTER = Method(
    name="sequential-adapter",
    words="one adapter, trained task after task",
    source=_SOURCE,
    is_joint=False,
    knows_task=False,
    rates=ADAPTER_RATES,
    begin=in_turn(adapter_of, _nothing),
)
