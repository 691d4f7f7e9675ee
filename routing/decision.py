"""What a router says: to one input in words and figures, to many in arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routing.statistics import Float64, Int64


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestClass:
    """One class near an input."""

    task: str
    number: int  # of the class within its task
    squared_distance: float  # Mahalanobis, less the noise of the class mean: mean_noise.py; so it may be below 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a router says to one input."""

    tasks: tuple[str, ...]  # best first, also where it abstains
    scores: tuple[float, ...]  # P(task | x) of those tasks
    runner_up: str | None  # None where only one task was allowed
    margin: float  # the best probability minus the runner-up's; 1 where only one task was allowed
    in_scope: float  # higher is more in scope; any real number
    threshold: float  # what it is held against
    abstain: bool
    nearest: tuple[NearestClass, ...]  # nearest first
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choices:
    """What a router says to many inputs, without words. Tasks are numbers, in the order given to the router."""

    tasks: Int64  # (N,), the best, also where it abstains
    probabilities: Float64  # (N,), P(task | x) of it
    margins: Float64  # (N,), that less the runner-up's; 1 where there is one task only
    in_scope: Float64  # (N,)
    abstain: npt.NDArray[np.bool_]  # (N,)
    nearest_tasks: Int64  # (N,), the task of the nearest class
    nearest_classes: Int64  # (N,), its number within that task


def reason_of(
    tasks: tuple[str, ...],
    scores: tuple[float, ...],
    nearest: str,
    nearest_task: str,
    in_scope: float,
    threshold: float,
) -> str:
    """The decision in words.

    Args:
        tasks: best first, the runner-up second where there is one.
        nearest: what the nearest class is called.
    """
    parts = [f"nearest class is {nearest} of '{nearest_task}'"]
    if nearest_task != tasks[0]:
        parts.append(f"all classes of '{tasks[0]}' together weigh more")
    if len(tasks) > 1:
        parts.append(f"P {scores[0]:.2f}, runner-up '{tasks[1]}' {scores[1]:.2f}")
    else:
        parts.append("no other task to choose from")
    if in_scope < threshold:
        parts.insert(0, f"abstained: in scope {in_scope:.1f}, below the threshold {threshold:.1f}")
    elif np.isfinite(threshold):
        parts.append(f"in scope {in_scope:.1f}, threshold {threshold:.1f}")
    return "; ".join(parts)
