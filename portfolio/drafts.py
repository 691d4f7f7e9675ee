"""What every way of making a task's adapter is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from portfolio.engine import Engine
from portfolio.hosting.ready import Pass
from portfolio.hosting.weights import AdapterWeights, ComposedWeights
from portfolio.records import Attention, Compared, Member
from portfolio.running import Labelled
from portfolio.training import Progress, TrainingConfig


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """A task's rows after one pass of the bare base."""

    task: str
    labels: tuple[str, ...]
    train: Labelled
    validation: Labelled  # may be empty

    @property
    def judging(self) -> Labelled:
        """The rows that judge: those of validation, or of train where there are none."""
        return self.validation if len(self.validation.prepared) else self.train


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draft:
    """One version of an adapter that is not stored yet."""

    adapter: AdapterWeights | ComposedWeights
    passes: tuple[Pass, ...]
    validation_score: float  # accuracy in [0, 1]
    epochs: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    members: tuple[Member, ...] = ()
    comparison: tuple[Compared, ...] = ()
    attention: Attention | None = None


# Called with what a task has; gives its first versions in order, of which the last answers.
Make: TypeAlias = Callable[[Engine, Rows, TrainingConfig, Progress], tuple[Draft, ...]]
