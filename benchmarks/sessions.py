"""Simulated conversations made of real inputs: how often each policy changes the task, how often without need.

    drift     each turn, with this probability, the true task becomes another one, any of them alike
    switch    a turn that gets another task than the turn before it
    spurious  a switch where the true task did not change; so is one that comes a turn late
    accuracy  share of turns that get their true task

`table` compares the policies on probabilities that a router gave to rows it was not fitted or calibrated on;
benchmarks/routing.py calls it. A policy is told nothing but those probabilities, turn by turn. Policies are to be compared
at the same promise: "moves at once where another task has P >= .9" holds for staying down to .1, for a margin of .8, and
for ours with clear=.9. The figures and what follows from them: docs/decisions/0007-sessions.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routing.sessions import Sessions, Turn

SESSIONS, TURNS, DRIFT = 1000, 20, 0.12

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Chooser = Callable[[Float64], int]  # P(task | x) of one turn, (T,) -> the number of a task
Policy = Callable[[], Chooser]  # a chooser for a conversation that begins


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a policy did."""

    turns: int
    switches: int
    spurious: int
    accuracy: float  # in [0, 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    policy: str
    figures: Figures


def simulate(
    true_task_of_row: Int64,
    rng: np.random.Generator,
    *,
    turns: int = TURNS,
    drift: float = DRIFT,
    sessions: int = SESSIONS,
    matter_of_row: Int64 | None = None,
) -> list[Int64]:
    """Conversations of so many turns each, as numbers of rows.

    Args:
        true_task_of_row: (N,).
        matter_of_row: (N,), finer than the task, such as the intent: then, as long as the task stays the same, so does
            the matter, drawn anew with each change of task. By default rows are drawn from the whole task.
    """
    matters = true_task_of_row if matter_of_row is None else matter_of_row
    rows_of = {int(matter): np.flatnonzero(matters == matter) for matter in np.unique(matters)}
    tasks = np.unique(true_task_of_row)
    matters_of = {int(task): np.unique(matters[true_task_of_row == task]) for task in tasks}
    found = []
    for _ in range(sessions):
        rows = np.empty(turns, dtype=np.int64)
        task = int(rng.choice(tasks))
        matter = int(rng.choice(matters_of[task]))
        for turn in range(turns):
            if turn > 0 and rng.random() < drift:
                task = int(rng.choice(tasks[tasks != task]))
                matter = int(rng.choice(matters_of[task]))
            rows[turn] = rng.choice(rows_of[matter])
        found.append(rows)
    return found


def play(policy: Policy, sessions: Sequence[Int64], probabilities: Float64, true: Int64) -> Figures:
    """What the policy does with these conversations.

    Args:
        probabilities: (N, T), P(task | x) of every row.
        true: (N,), the number of its true task.
    """
    turns = switches = spurious = right = 0
    for rows in sessions:
        chooser = policy()
        chosen = np.array([chooser(probabilities[row]) for row in rows])
        has_switched, has_drifted = np.diff(chosen) != 0, np.diff(true[rows]) != 0
        turns += len(rows)
        switches += int(has_switched.sum())
        spurious += int((has_switched & ~has_drifted).sum())
        right += int((chosen == true[rows]).sum())
    return Figures(turns=turns, switches=switches, spurious=spurious, accuracy=right / turns)


def argmax() -> Chooser:
    """No session at all."""
    return lambda chances: int(chances.argmax())


def first_task() -> Chooser:
    """The task of the first turn, for ever."""
    return stay_down_to(0.0)()


def stay_down_to(level: float) -> Policy:
    """Naive stickiness: stay as long as the session's task has at least this probability."""
    return lambda: _hysteresis(lambda chances, task: chances[task] < level)


def margin_of(band: float) -> Policy:
    """Move when the best task is ahead of the session's by this difference of probabilities."""
    return lambda: _hysteresis(lambda chances, task: chances.max() - chances[task] >= band)


def ours(tasks: Sequence[str], make: Callable[[], Sessions] = Sessions) -> Policy:
    """`routing.sessions`, with its own settings by default."""
    names, numbers = tuple(tasks), {name: number for number, name in enumerate(tasks)}

    def begin() -> Chooser:
        sessions = make()

        def choose(chances: Float64) -> int:
            turn = Turn(tasks=names, probabilities=tuple(chances.tolist()), in_scope=True)
            return numbers[str(sessions.settle("one", turn).task)]

        return choose

    return begin


def table(
    probabilities: Float64, true: Int64, tasks: Sequence[str], seed: int, *, matter_of_row: Int64 | None = None
) -> list[Row]:
    """Every policy on the same conversations.

    Args:
        probabilities: (N, T), P(task | x) of rows that the router has not seen.
        true: (N,), the number of each row's true task.
        tasks: T names.
        matter_of_row: as for `simulate`.
    """
    sessions = simulate(true, np.random.default_rng(seed), matter_of_row=matter_of_row)
    policies = {
        "argmax": argmax,
        "the first task for ever": first_task,
        "stay while P(own) >= .1": stay_down_to(0.1),
        "stay while P(own) >= .01": stay_down_to(0.01),
        "margin .8": margin_of(0.8),
        "ours": ours(tasks),
        "ours, clear .99": ours(tasks, lambda: Sessions(clear=0.99)),
    }
    return [Row(policy=name, figures=play(policy, sessions, probabilities, true)) for name, policy in policies.items()]


def markdown(rows: Sequence[Row]) -> str:
    """The table for a page: switches per 100 turns, accuracy in percent."""
    lines = ["| policy | switches | spurious | turn accuracy |", "|---|---|---|---|"]
    for row in rows:
        figures = row.figures
        switches, spurious = (100 * count / figures.turns for count in (figures.switches, figures.spurious))
        lines.append(f"| {row.policy} | {switches:.2f} | {spurious:.2f} | {100 * figures.accuracy:.2f} |")
    return "\n".join(lines)


def _hysteresis(leaves: Callable[[Float64, int], bool]) -> Chooser:
    """Stay with the task until `leaves(chances, task)`, then take the best."""
    task: int | None = None

    def choose(chances: Float64) -> int:
        nonlocal task
        if task is None or leaves(chances, task):
            task = int(chances.argmax())
        return task

    return choose
