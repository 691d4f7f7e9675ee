"""The cells of both results matrices, packed step by step: of a thousand tasks they are half a million.

A cell is made into a `Cell` when it is asked for; reports read their figures off the packed numbers.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, overload

from portfolio.records import Cell

# Of a cell, in the order in which they are stored: append only.
SCORES = ("oracle", "routed", "routing", "coverage", "selective", "floor", "baseline", "astray_right")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """The cells of one step, N of them."""

    tasks: array[int]  # (N,), their numbers, growing
    rows: array[int]  # (N,), test rows behind the figures
    scores: array[float]  # (len(SCORES) * N,), first all of the first score, and so on; NaN where not measured

    @classmethod
    def of(cls, cells: Mapping[int, Cell]) -> Line:
        """Of cells by the number of their task."""
        numbers = sorted(cells)
        scores = (getattr(cells[number], score) for score in SCORES for number in numbers)
        return cls(
            tasks=array("i", numbers),
            rows=array("i", (int(cells[number].rows) for number in numbers)),
            scores=array("d", (math.nan if score is None else score + 0.0 for score in scores)),  # no -0.0
        )

    def cells(self, step: str, names: Mapping[int, str]) -> dict[int, Cell]:
        """All of them, by the number of their task."""
        return {task: self.cell(place, step, names[task]) for place, task in enumerate(self.tasks)}

    def cell(self, place: int, step: str, task: str) -> Cell:
        """The one that stands there."""
        values = self.scores[place :: len(self.tasks)]
        known: dict[str, Any] = {
            name: None if math.isnan(value) else value for name, value in zip(SCORES, values, strict=True)
        }
        return Cell(step=step, task=task, rows=self.rows[place], **known)


class Cells(Sequence[Cell]):
    """All cells, row by row of the results matrices. Never changes once it is made."""

    def __init__(self, names: Mapping[int, str], lines: Mapping[int, Line]) -> None:
        """
        Args:
            names: of the tasks, by their numbers, in order.
            lines: by the number of the step, in order.
        """
        self.names = MappingProxyType(dict(names))
        self.lines = MappingProxyType(dict(lines))
        self._number = {name: number for number, name in names.items()}

    @classmethod
    def of(cls, cells: Iterable[Cell]) -> Cells:
        """These cells, the last of each step and task; steps and tasks in the order in which they are first named."""
        if isinstance(cells, Cells):
            return cells
        given = list(cells)
        names = dict(enumerate(dict.fromkeys(name for cell in given for name in (cell.step, cell.task))))
        number = {name: place for place, name in names.items()}
        steps: dict[int, dict[int, Cell]] = {}
        for cell in given:
            steps.setdefault(number[cell.step], {})[number[cell.task]] = cell
        return cls(names, {step: Line.of(steps[step]) for step in sorted(steps)})

    def of_step(self, step: str) -> list[Cell]:
        """The row of that step."""
        line = self.lines.get(self._number.get(step, -1))
        return [] if line is None else list(line.cells(step, self.names).values())

    def of_task(self, task: str) -> list[Cell]:
        """The column of that task, step by step."""
        number = self._number.get(task, -1)
        return [
            line.cell(line.tasks.index(number), self.names[step], task)
            for step, line in self.lines.items()
            if number in line.tasks
        ]

    def __len__(self) -> int:
        return sum(len(line.tasks) for line in self.lines.values())

    def __iter__(self) -> Iterator[Cell]:
        for step, line in self.lines.items():
            yield from line.cells(self.names[step], self.names).values()

    @overload
    def __getitem__(self, index: int) -> Cell: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Cell, ...]: ...

    def __getitem__(self, index: int | slice) -> Cell | tuple[Cell, ...]:
        return tuple(self)[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (Cells, tuple)) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]
