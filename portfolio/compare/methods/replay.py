"""Experience replay: at each step as many rows of a small memory as there are new ones.

    L = mean over B ∪ M_B of −log P(y | x)        B: a batch of the task, M_B: as many rows drawn from the memory M

M is a reservoir of training rows, ROWS_PER_CLASS for every class of all tasks: each row seen so far is in it with the
same chance (Vitter, 1985). Chaudhry et al., 2019, On tiny episodic memories in continual learning, arXiv:1902.10486,
algorithms 1 and 2. There a task's rows are seen once and enter as they come; here they are seen in several epochs, so they
enter once, at the task's end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from portfolio.compare.contestant import Keeps, Method
from portfolio.compare.in_turn import ADAPTER_RATES, FULL_RATES, adapter_of, in_turn, whole_base_of
from portfolio.compare.loop import Lesson, Loss, plain_loss
from portfolio.compare.rows import joined, picked
from portfolio.compare.trainee import Trainee
from portfolio.compare.world import World
from portfolio.running import Labelled

ROWS_PER_CLASS = 3
_SOURCE = "Chaudhry et al., 2019, arXiv:1902.10486"


class Replay:
    """The memory, and the loss with it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._size = ROWS_PER_CLASS * len(world.labels)
        self._seen = 0  # rows, of all tasks up to now
        self._memory: list[tuple[int, int]] = []  # number of the task, row of its train

    def loss(self, trainee: Trainee, lesson: Lesson) -> Loss:
        if not self._memory:
            return plain_loss(trainee, lesson)
        new, old, draw = lesson.rows, self._rows(), lesson.generator("replay")

        def loss(rows: Sequence[int]) -> Tensor:
            again = draw.choice(len(old.prepared), size=min(len(rows), len(old.prepared)), replace=False).tolist()
            logits = torch.cat(
                [
                    trainee.logits(new.prepared, rows, training=True),
                    trainee.logits(old.prepared, again, training=True),
                ]
            )
            return lesson.cross_entropy(logits, torch.cat([new.labels[list(rows)], old.labels[again]]))

        return loss

    def end(self, trainee: Trainee, lesson: Lesson) -> None:
        draw = lesson.generator("reservoir")
        for row in range(len(lesson.rows.prepared)):
            self._seen += 1
            if len(self._memory) < self._size:
                self._memory.append((lesson.number, row))
                continue
            place = int(draw.integers(self._seen))
            if place < self._size:
                self._memory[place] = (lesson.number, row)

    def keeps(self) -> Keeps:
        return Keeps(parameters=0, numbers=0, texts=len(self._memory))

    def state(self) -> dict[str, Tensor]:
        return {
            "memory": torch.tensor(self._memory, dtype=torch.int64).reshape(-1, 2),
            "seen": torch.tensor([self._seen]),
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._memory = [(task, row) for task, row in state["memory"].tolist()]
        self._seen = int(state["seen"].item())

    def _rows(self) -> Labelled:
        """The rows of the memory, task by task."""
        by_task: dict[int, list[int]] = {}
        for task, row in self._memory:
            by_task.setdefault(task, []).append(row)
        return joined([picked(self._world.tasks[task].train, rows) for task, rows in sorted(by_task.items())])


REPLAY = Method(
    name="replay",
    words=f"one adapter with a memory of {ROWS_PER_CLASS} training texts a class",
    source=_SOURCE,
    is_joint=False,
    knows_task=False,
    rates=ADAPTER_RATES,
    begin=in_turn(adapter_of, Replay),
)
REPLAY_FULL = Method(
    name="replay-full",
    words=f"all weights with a memory of {ROWS_PER_CLASS} training texts a class",
    source=_SOURCE,
    is_joint=False,
    knows_task=False,
    rates=FULL_RATES,
    begin=in_turn(whole_base_of, Replay),
)
