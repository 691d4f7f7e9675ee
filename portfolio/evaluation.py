"""Measure every task under the router as it is now: one row of both results matrices.

What is kept of a task for this is no text: the router's features of its validation and test rows, their labels, and
what its own adapter said. A row that goes to its own task needs no model again. A row that goes astray is wrong for
certain unless the other task knows its label; only then is the other adapter asked.

What became of every row is kept beside the scores, so that a report can say which rows a task lost, and to whom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portfolio.evaluation_set import EvaluationSet
from portfolio.outcomes import NOBODY, UNASKED, Bool, Float32, Int8, Int32, TaskOutcomes
from portfolio.records import UNKNOWN_LABEL
from portfolio.standing import Measured, Standing
from routing.cascade import Cascade
from routing.reach import Reach

LED_BY = 16  # tasks named for a row that went astray, to find its own among them
_ROWS_AT_ONCE = 4096  # of several tasks, routed together

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownTask:
    """A task as its measurement needs it."""

    name: str
    labels: tuple[str, ...]
    rows: EvaluationSet

    def label_of(self, number: int) -> str | None:
        return None if number == UNKNOWN_LABEL else self.labels[number]


@dataclass(frozen=True, slots=True)
class Astray:
    """A test row that went to another task which knows its label, so that the other adapter must be asked."""

    row: int
    label: str
    chosen: str


# Called with a task and its rows that went astray: for each, whether the chosen adapter said the right label; None
# where the texts cannot be read any more.
AskAstray = Callable[[KnownTask, Sequence[Astray]], list[bool] | None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SomeRows:
    """Test rows of one task that are to be looked at."""

    task: KnownTask
    rows: Int64  # (n,), their numbers

    @classmethod
    def all_of(cls, task: KnownTask) -> SomeRows:
        return cls(task=task, rows=np.arange(len(task.rows.test_labels)))


def measure(
    step: str,
    tasks: Iterable[KnownTask],
    router: Cascade,
    ask: AskAstray,
    labels: Mapping[str, Sequence[str]],
    allowed: Sequence[str] | None = None,
) -> Measured:
    """The row of the results matrices named `step`: one cell for each of `tasks`, forced choices.

    A cell's routed score is None where rows went astray to adapters that would have to be asked and the texts are gone.

    Args:
        labels: of all tasks that the router knows.
        allowed: the tasks, one at least, that the router may choose from; all by default.
    """
    standings = look_at((SomeRows.all_of(task) for task in tasks), router, ask, labels, allowed)
    return Measured.of(step, router.tasks, list(standings))


def look_at(
    some: Iterable[SomeRows],
    router: Cascade,
    ask: AskAstray,
    labels: Mapping[str, Sequence[str]],
    allowed: Sequence[str] | None = None,
) -> Iterator[Standing]:
    """Where these rows stand, task by task; args as of `measure`. Rows of several tasks are routed together."""
    waiting: list[SomeRows] = []
    for one in some:
        waiting.append(one)
        if sum(len(of.rows) for of in waiting) >= _ROWS_AT_ONCE:
            yield from _together(waiting, router, ask, labels, allowed)
            waiting = []
    if waiting:
        yield from _together(waiting, router, ask, labels, allowed)


def _together(
    some: Sequence[SomeRows],
    router: Cascade,
    ask: AskAstray,
    labels: Mapping[str, Sequence[str]],
    allowed: Sequence[str] | None,
) -> Iterator[Standing]:
    number = {name: place for place, name in enumerate(router.tasks)}
    counts = [len(one.rows) for one in some]
    home = np.repeat([number.get(one.task.name, NOBODY) for one in some], counts)
    features = np.concatenate([one.task.rows.test_features[one.rows] for one in some])
    seen = _seen(features, home, router, allowed, number)
    runner_up, lead = _leads(features, home, seen.chosen, router, allowed, number)
    end = 0
    for one, count in zip(some, counts, strict=True):
        part = slice(end, end := end + count)
        rows = one.task.rows
        own = (rows.test_predictions == rows.test_labels)[one.rows]
        yield Standing(
            outcomes=TaskOutcomes(
                task=one.task.name,
                own_right=own,
                chosen=seen.chosen[part].astype(np.int32),
                right=_right(one, own, seen.chosen[part], home[part], labels, router.tasks, ask),
                kept=~seen.abstain[part],
                runner_up=runner_up[part],
                lead=lead[part],
            ),
            floor_right=_floor(one, labels, router.tasks, seen.nearest_tasks[part], seen.nearest_classes[part]),
            baseline=rows.baseline,
            reach=seen.reach.select(part),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seen:
    """What the router says of rows (N,)."""

    chosen: Int64  # the task that a row goes to
    abstain: Bool  # whether the router would rather
    nearest_tasks: Int64  # of the nearest class centroid
    nearest_classes: Int64
    reach: Reach


def _seen(
    features: Float32, home: Int64, router: Cascade, allowed: Sequence[str] | None, number: Mapping[str, int]
) -> _Seen:
    everything = Reach.everything(len(features))
    if allowed is None:
        survey = router.survey(features)
        choices, whole = survey.choices, survey.whole
        chosen, abstain = choices.tasks, choices.abstain
        reach = router.reach(survey, told=chosen != home) if router.whole.is_kept else everything
    else:
        whole = router.whole.choose(features)
        looked = router.route(features[:, : router.first_width], lambda rows: features[rows], allowed=allowed)
        chosen = np.array([number[one.decision.tasks[0]] for one in looked], dtype=np.int64)
        abstain, reach = np.array([one.decision.abstain for one in looked], dtype=np.bool_), everything
    return _Seen(
        chosen=chosen,
        abstain=abstain,
        nearest_tasks=whole.nearest_tasks,
        nearest_classes=whole.nearest_classes,
        reach=reach,
    )


def _right(
    some: SomeRows,
    own: Bool,
    chosen: Int64,
    home: Int64,
    labels: Mapping[str, Sequence[str]],
    tasks: Sequence[str],
    ask: AskAstray,
) -> Int8:
    """(n,): 1 where the row is answered rightly, 0 where not, UNASKED where nobody could be asked."""
    places, astray = [], []
    for place in np.flatnonzero(chosen != home).tolist():
        row = int(some.rows[place])
        label, name = some.task.label_of(int(some.task.rows.test_labels[row])), tasks[chosen[place]]
        if label is not None and label in labels[name]:
            places.append(place)
            astray.append(Astray(row=row, label=label, chosen=name))
    right: Int8 = (own & (chosen == home)).astype(np.int8)
    said = ask(some.task, astray) if astray else []
    right[places] = UNASKED if said is None else said
    return right


def _leads(
    features: Float32,
    home: Int64,
    chosen: Int64,
    router: Cascade,
    allowed: Sequence[str] | None,
    number: Mapping[str, int],
) -> tuple[Int32, Float32]:
    """(N,) each: of rows that went astray, the second best task, and how far the best is ahead of their own."""
    runner_up, lead = np.full(len(features), NOBODY, dtype=np.int32), np.zeros(len(features), dtype=np.float32)
    astray = np.flatnonzero(chosen != home)
    if not len(astray):
        return runner_up, lead
    some = features[astray]
    top_k = min(LED_BY, len(number if allowed is None else allowed))
    looked = router.route(some[:, : router.first_width], lambda rows: some[rows], top_k=top_k, allowed=allowed)
    for row, one in zip(astray, looked, strict=True):
        decision = one.decision
        scores = {number[name]: score for name, score in zip(decision.tasks, decision.scores, strict=True)}
        runner_up[row] = NOBODY if decision.runner_up is None else number[decision.runner_up]
        lead[row] = decision.scores[0] - scores.get(int(home[row]), 0.0)
    return runner_up, lead


def _floor(
    some: SomeRows, labels: Mapping[str, Sequence[str]], tasks: Sequence[str], nearest: Int64, classes: Int64
) -> Bool:
    """(n,): right with no adapter at all, by the label of the nearest whitened class centroid."""
    said = [labels[tasks[number]][label] for number, label in zip(nearest, classes, strict=True)]
    truth = [some.task.label_of(int(number)) for number in some.task.rows.test_labels[some.rows]]
    return np.array([a == b for a, b in zip(said, truth, strict=True)], dtype=np.bool_)
