"""Where every test row stands: what became of it at the last measurement, and what it would take to change that.

Kept beside the portfolio between changes (`cache/standing`), so that a change looks again only at rows that a class mean
came near to or went from (routing/reach.py), and asks adapters only about rows whose route changed. All of it is derived:
what is missing, damaged, or of another fit or other settings is measured anew from the store (remeasuring.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from portfolio.errors import DamagedBlob
from portfolio.outcomes import UNASKED, Bool, Outcomes, TaskOutcomes
from portfolio.records import Cell
from portfolio.store.durable import write_whole
from routing.reach import Reach

CACHE = Path("cache", "standing")
FORMAT = "standing-1"
_DIGEST_BYTES = 64  # hex digits, before all else in the file
_OUTCOMES = ("own_right", "chosen", "right", "kept", "runner_up", "lead")  # arrays of one number a row
_REACH = tuple(Reach.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standing:
    """The N test rows of one task, or some of them."""

    outcomes: TaskOutcomes
    floor_right: Bool  # (N,), whether the nearest class centroid has the right label
    baseline: float  # accuracy of always saying the most frequent label of train
    reach: Reach

    def cell(self, step: str, number: int) -> Cell:
        """The task's cell of the row of the results matrices named `step`.

        Args:
            number: of the task, as `chosen` knows it.
        """
        outcomes = self.outcomes
        if len(outcomes.right) == 0:
            return Cell(step=step, task=outcomes.task, rows=0)
        right, kept, home = outcomes.right == 1, outcomes.kept, outcomes.chosen == number
        is_known = not (outcomes.right == UNASKED).any()
        return Cell(
            step=step,
            task=outcomes.task,
            rows=len(home),
            oracle=float(outcomes.own_right.mean()),
            routed=float(right.mean()) if is_known else None,
            routing=float(home.mean()),
            coverage=float(kept.mean()),
            selective=float(right[kept].mean()) if is_known and kept.any() else None,
            floor=float(self.floor_right.mean()),
            baseline=self.baseline,
            astray_right=float((right & ~home).mean()) if is_known else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """One row of the results matrices, and what became of the rows behind it."""

    cells: tuple[Cell, ...]
    outcomes: Outcomes

    @classmethod
    def of(cls, step: str, names: Sequence[str], standings: Sequence[Standing]) -> Measured:
        """Args: names: of the tasks that the router knew, by their numbers."""
        outcomes = Outcomes(names=tuple(names), tasks=tuple(one.outcomes for one in standings))
        cells = tuple(one.cell(step, outcomes.number(one.outcomes.task)) for one in standings)
        return cls(cells=cells, outcomes=outcomes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A task as it was measured. Of equal marks, the rows have the same features, labels and answers."""

    name: str
    centroids: str  # digest
    rest: str  # of all else


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standings:
    """All tasks of one measurement, in the router's order, and what they were measured under."""

    under: str  # what must be the same for a row's reach to hold
    marks: tuple[Mark, ...]
    tasks: tuple[Standing, ...]  # in the same order

    def to_bytes(self) -> bytes:
        """Safetensors behind their digest."""
        columns = {name: [getattr(one.outcomes, name) for one in self.tasks] for name in _OUTCOMES}
        columns |= {f"reach.{name}": [getattr(one.reach, name) for one in self.tasks] for name in _REACH}
        columns["floor_right"] = [one.floor_right for one in self.tasks]
        arrays = {name: np.concatenate(parts) for name, parts in columns.items() if parts}
        arrays["counts"] = np.array([len(one.floor_right) for one in self.tasks], dtype=np.int64)
        arrays["baselines"] = np.array([one.baseline for one in self.tasks], dtype=np.float64)
        said = {"format": FORMAT, "under": self.under, "marks": [asdict(mark) for mark in self.marks]}
        data = save(arrays, metadata={"standing": json.dumps(said, ensure_ascii=False)})
        return hashlib.sha256(data).hexdigest().encode() + data

    @classmethod
    def from_bytes(cls, data: bytes) -> Standings:
        """What `to_bytes` wrote.

        Raises:
            DamagedBlob: the bytes are anything else.
        """
        digest, rest = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if hashlib.sha256(rest).hexdigest().encode() != digest:
            raise DamagedBlob("expected where test rows stand, got bytes of another digest than they begin with")
        try:
            return _read(rest)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise DamagedBlob(f"expected where test rows stand, got bytes that say something else: {error}") from error


def read_standings(root: Path) -> Standings | None:
    """Those of the last measurement of a portfolio; None where they cannot be had."""
    try:
        return Standings.from_bytes((root / CACHE).read_bytes())
    except (OSError, DamagedBlob):
        return None


def write_standings(root: Path, standings: Standings) -> None:
    """Keep them for the next change, if the portfolio's directory can be written."""
    path = root / CACHE
    with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        write_whole(path, standings.to_bytes())


def _read(data: bytes) -> Standings:
    arrays = load(data)
    length = int.from_bytes(data[:8], "little")
    said = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["standing"])
    if said["format"] != FORMAT:
        raise ValueError(f"format {said['format']!r}")
    marks = tuple(Mark(**mark) for mark in said["marks"])
    counts = arrays["counts"]
    tasks = []
    for mark, start, end, baseline in zip(
        marks, np.cumsum(counts) - counts, np.cumsum(counts), arrays["baselines"], strict=True
    ):
        part = slice(int(start), int(end))
        standing = Standing(
            outcomes=TaskOutcomes(task=mark.name, **{name: arrays[name][part] for name in _OUTCOMES}),
            floor_right=arrays["floor_right"][part],
            baseline=float(baseline),
            reach=Reach(**{name: arrays[f"reach.{name}"][part] for name in _REACH}),
        )
        tasks.append(standing)
    return Standings(under=said["under"], marks=marks, tasks=tuple(tasks))
