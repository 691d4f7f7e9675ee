"""What the processes of `speed.py` share: the cases, who answers which row, made-up rows, the clock, the check.

Knows torch only, so that it also runs in the environments of other libraries.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BOTTLENECK, LORA, KINDS = "bottleneck", "lora", "all kinds"
ALL, UPPER = "all blocks", "upper half"
LONG, SHORT = (32, 32), (64, 13)  # rows, tokens of each
RANKS = (48, 16)  # of bottlenecks
LORA_RANK, LORA_ALPHA = 8, 16.0
COUNT = 32  # adapters in memory
DEVIATION = 0.05  # of the weights that a fresh adapter has at 0, about that of trained ones
TOLERANCE = 1e-4  # of states, which are of the order of 1
EFFECT = 1e-2  # less than this is no adapter at work
NO_ADAPTER, ONE, EIGHT, THIRTY_TWO = "no adapter", "one for all rows", "8 shuffled", "32 shuffled"
PAIRS, SOME, HEADS = (
    "each row a mix of 2 of 8",
    "8 shuffled, half the rows none",
    "32 shuffled, heads of 2 to 150 labels",
)
_FIRST_WORD, _LAST_WORD, _BEGIN, _END = 1000, 29999, 101, 102  # token ids of BERT's vocabulary
Mix = tuple[tuple[int, float], ...]  # numbers of adapters with their weights; empty: the bare base
Run = Callable[[], Tensor]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing that is measured."""

    by: str  # who computes it, and how
    use: str  # how the rows use adapters
    method: str
    rank: int
    blocks: str
    rows: int
    tokens: int


@dataclass(frozen=True)
class Check:
    """What a case's numbers are, by the last states of all rows."""

    difference: float  # the largest from each row run alone by the same process
    effect: float  # of the rows with an adapter, the smallest row's largest difference from the bare base


@dataclass(frozen=True)
class Job:
    """A case that can be run."""

    run: Run  # the last states (batch, time, hidden)
    base: Run  # of the same rows, without any adapter
    alone: Callable[[int], Tensor]  # row -> its states (time, hidden) when it is the whole batch
    mixes: tuple[Mix, ...]

    def check(self, every: int = 1) -> Check:
        """Args: every: compare only each so many-th row with itself alone."""
        made, bare = self.run(), self.base()
        difference = max(_largest(made[row] - self.alone(row)) for row in range(0, len(made), every))
        effects = [_largest(made[row] - bare[row]) for row, mix in enumerate(self.mixes) if mix]
        return Check(difference, min(effects, default=0.0))


def _largest(difference: Tensor) -> float:
    return difference.abs().max().item()


def mixes_of(use: str, rows: int) -> tuple[Mix, ...]:
    """Who answers each row; the same in every process."""
    dice = random.Random(f"{use} {rows}")
    if use == NO_ADAPTER:
        return ((),) * rows
    if use == ONE:
        return (((0, 1.0),),) * rows
    if use in (EIGHT, THIRTY_TWO, HEADS):
        return tuple(((number, 1.0),) for number in _shuffled(8 if use == EIGHT else COUNT, rows, dice))
    if use == PAIRS:
        firsts, shares = _shuffled(8, rows, dice), [round(dice.uniform(0.5, 0.9), 2) for _ in range(rows)]
        others = [(first + dice.randrange(1, 8)) % 8 for first in firsts]
        return tuple(((a, share), (b, 1 - share)) for a, b, share in zip(firsts, others, shares, strict=True))
    assert use == SOME, use
    numbers = _shuffled(16, rows, dice)  # of 16, 8 stand for none
    return tuple(((number, 1.0),) if number < 8 else () for number in numbers)


def _shuffled(count: int, rows: int, dice: random.Random) -> list[int]:
    """Each of `count` numbers as often as the others."""
    numbers = [row % count for row in range(rows)]
    dice.shuffle(numbers)
    return numbers


def in_order(mixes: Sequence[Mix]) -> tuple[Mix, ...]:
    """Rows of the same adapter next to each other."""
    return tuple(sorted(mixes))


def made_up_rows(rows: int, tokens: int) -> Tensor:
    """(rows, tokens) token ids drawn by chance: speed does not ask what they mean."""
    dice = random.Random(f"{rows} {tokens}")
    words = [[dice.randint(_FIRST_WORD, _LAST_WORD) for _ in range(tokens - 2)] for _ in range(rows)]
    return torch.tensor([[_BEGIN, *row, _END] for row in words])


def noise(shape: torch.Size, dice: torch.Generator) -> Tensor:
    """What an adapter has where a fresh one has zeros, so that nothing can be skipped."""
    return torch.randn(shape, generator=dice) * DEVIATION
