"""Made-up scores of synthetic tasks: what became of every test row at every step, and the cells that follow from it.

Of a task's rows nine in ten are answered rightly by its own adapter. A few go astray to one other task for good, from the
step at which that one came; no other task knows their label, so they are wrong then. Cells and outcomes of a step agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portfolio.outcomes import NOBODY, Outcomes, TaskOutcomes
from portfolio.records import Cell

Bool = npt.NDArray[np.bool_]
Int32 = npt.NDArray[np.int32]

_RIGHT, _ASTRAY, _KEPT, _FLOOR = 0.9, 0.03, 0.95, 0.95  # shares of rows
_LEAD = 0.4  # largest, of a row that went astray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnRows:
    """The N test rows of T tasks."""

    own_right: Bool  # (T, N)
    taker: Int32  # (T, N), the task that a row goes to once it is there; its own for most
    kept: Bool  # (T, N)
    floor_right: Bool  # (T, N), of those at home, by the nearest class mean
    lead: npt.NDArray[np.float32]  # (T, N), of those astray

    @classmethod
    def of(cls, tasks: int, rows: int, seed: int) -> DrawnRows:
        chance = np.random.default_rng((seed, 3))
        shape = (tasks, rows)
        own = np.arange(tasks, dtype=np.int32)[:, None]
        others = (own + chance.integers(1, max(tasks, 2), size=shape)) % tasks
        right = chance.random(shape) < _RIGHT
        return cls(
            own_right=right,
            taker=np.where(chance.random(shape) < _ASTRAY, others, own).astype(np.int32),
            kept=chance.random(shape) < _KEPT,
            floor_right=right & (chance.random(shape) < _FLOOR),
            lead=(_LEAD * chance.random(shape)).astype(np.float32),
        )

    @staticmethod
    def baseline(labels: int) -> float:
        return 1 / labels

    def outcomes(self, names: Sequence[str], step: int) -> Outcomes:
        """What became of the rows of all tasks up to that step."""
        there = step + 1
        chosen = self._chosen(step)
        home = chosen == np.arange(there)[:, None]
        return Outcomes(
            names=tuple(names[:there]),
            tasks=tuple(
                TaskOutcomes(
                    task=names[task],
                    own_right=self.own_right[task],
                    chosen=chosen[task],
                    right=(self.own_right[task] & home[task]).astype(np.int8),
                    kept=self.kept[task],
                    runner_up=np.where(home[task], NOBODY, task).astype(np.int32),
                    lead=np.where(home[task], np.float32(0), self.lead[task]),
                )
                for task in range(there)
            ),
        )

    def cells(self, names: Sequence[str], step: int, labels: int = 10) -> list[Cell]:
        """The row of the results matrices of that step."""
        there = step + 1
        home = self._chosen(step) == np.arange(there)[:, None]
        right, kept = self.own_right[:there] & home, self.kept[:there]
        counts = np.maximum(kept.sum(axis=1), 1)
        columns = {
            "oracle": self.own_right[:there].mean(axis=1),
            "routed": right.mean(axis=1),
            "routing": home.mean(axis=1),
            "coverage": kept.mean(axis=1),
            "selective": (right & kept).sum(axis=1) / counts,
            "floor": (self.floor_right[:there] & home).mean(axis=1),
        }
        lists = {name: values.tolist() for name, values in columns.items()}
        return [
            Cell(
                step=names[step],
                task=names[task],
                rows=self.own_right.shape[1],
                baseline=self.baseline(labels),
                astray_right=0.0,
                **{name: values[task] for name, values in lists.items()},
            )
            for task in range(there)
        ]

    def _chosen(self, step: int) -> Int32:
        """(step + 1, N): the task that each row goes to."""
        taker = self.taker[: step + 1]
        own = np.arange(step + 1, dtype=np.int32)[:, None]
        return np.where(taker <= step, taker, own).astype(np.int32)
