"""Rows that went astray, asked of the adapters they went to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from portfolio.champions import champion_of
from portfolio.engine import Engine
from portfolio.evaluation import AskAstray, Astray, KnownTask
from portfolio.hosting.ready import Pass
from portfolio.hosting.trunk import unprepared
from portfolio.loading import load_passes
from portfolio.records import Snapshot, TaskRecord
from portfolio.running import predict_logits
from portfolio.tasks.splits import Split

ReadAgain = Callable[[TaskRecord], Split | None]  # a task's test split from its source; None if it is gone or changed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Newcomer:
    """A task that is not in the store yet."""

    name: str
    test: Split | None  # None: its texts are not here, as of a task that was imported
    labels: tuple[str, ...]
    passes: tuple[Pass, ...]  # of its adapter


def asker(engine: Engine, snapshot: Snapshot, read_again: ReadAgain, newcomer: Newcomer | None = None) -> AskAstray:
    """Runs rows that went astray under the adapters they went to."""
    records = {task.name: task for task in snapshot.tasks}

    def ask(task: KnownTask, astray: Sequence[Astray]) -> list[bool] | None:
        is_new = newcomer is not None and task.name == newcomer.name
        split = newcomer.test if newcomer is not None and is_new else read_again(records[task.name])
        if split is None:
            return None
        right = [False] * len(astray)
        for chosen in sorted({one.chosen for one in astray}):
            places = [place for place, one in enumerate(astray) if one.chosen == chosen]
            rows = split.select([astray[place].row for place in places])
            if newcomer is not None and chosen == newcomer.name:
                passes, labels = newcomer.passes, newcomer.labels
            else:
                passes, labels = (
                    load_passes(engine.store, champion_of(snapshot, chosen), host=engine.host),
                    records[chosen].labels,
                )
            said = predict_logits(engine.host, passes, unprepared(engine.encode(rows.texts, rows.pairs))).argmax(1)
            for place, number in zip(places, said.tolist(), strict=True):
                right[place] = labels[number] == astray[place].label
        return right

    return ask
