"""What became of every test row at one moment: where the router sent it, whether that was answered rightly, by how much.

Kept in the store at every change that measures, though no text is: so a report can say which rows were lost, to whom, and
how sure one can be of a difference. Most rows go to their own task, so only the others are written out: a row costs a bit
for its own adapter's answer, and some bytes more if it went astray or was abstained on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from portfolio.errors import DamagedBlob

Bool = npt.NDArray[np.bool_]
Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Float32 = npt.NDArray[np.float32]

UNASKED = -1  # instead of right or wrong: the texts could not be read to ask the adapter that the row went to
NOBODY = -1  # instead of the number of a task
NO_ROW: Int32 = np.zeros(0, dtype=np.int32)  # so that there is something to put together


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskOutcomes:
    """The N test rows of one task, in their order; the router was forced to choose."""

    task: str
    own_right: Bool  # (N,), whether the task's own adapter says the right label: the oracle
    chosen: Int32  # (N,), number of the task that the row went to
    right: Int8  # (N,), routed: 1 right, 0 wrong, or UNASKED
    kept: Bool  # (N,), whether it would be answered if the router may abstain
    runner_up: Int32  # (N,), of a row that went astray: the second best task; NOBODY where there is none, or at home
    lead: Float32  # (N,), of a row that went astray: P(chosen | x) - P(own task | x); 0 at home


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcomes:
    """The test rows of all tasks that were measured at one moment."""

    names: tuple[str, ...]  # of the tasks that the router knew; `chosen` and `runner_up` are numbers of these
    tasks: Sequence[TaskOutcomes]
    _places: dict[str, int] = field(init=False, repr=False)
    _numbers: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        measured = self.tasks.names if isinstance(self.tasks, _Parts) else [one.task for one in self.tasks]
        object.__setattr__(self, "_places", {name: place for place, name in enumerate(measured)})
        object.__setattr__(self, "_numbers", {name: number for number, name in enumerate(self.names)})

    def of(self, task: str) -> TaskOutcomes | None:
        """Those of one task; None if it was not measured."""
        place = self._places.get(task)
        return None if place is None else self.tasks[place]

    def number(self, task: str) -> int:
        """Of a task among `names`; NOBODY if the router did not know it."""
        return self._numbers.get(task, NOBODY)

    def to_bytes(self) -> bytes:
        """Safetensors; equal outcomes give equal bytes."""
        counts = [len(one.own_right) for one in self.tasks]
        home = np.repeat([self.number(one.task) for one in self.tasks], counts)
        chosen = np.concatenate([NO_ROW, *(one.chosen for one in self.tasks)])
        astray = np.flatnonzero(chosen != home)
        tensors: dict[str, npt.NDArray[np.generic]] = {
            "counts": np.array(counts, dtype=np.int32),
            "own_right": np.packbits(np.concatenate([NO_ROW, *(one.own_right for one in self.tasks)]).astype(np.bool_)),
            "astray": astray.astype(np.int32),
            "astray_to": chosen[astray].astype(np.int32),
            "astray_right": np.concatenate([NO_ROW, *(one.right for one in self.tasks)])[astray].astype(np.int8),
            "astray_runner_up": np.concatenate([NO_ROW, *(one.runner_up for one in self.tasks)])[astray],
            "astray_lead": np.concatenate([NO_ROW, *(one.lead for one in self.tasks)])[astray].astype(np.float32),
            "abstained": np.flatnonzero(np.concatenate([NO_ROW, *(~one.kept for one in self.tasks)])).astype(np.int32),
        }
        said = {"names": list(self.names), "tasks": [one.task for one in self.tasks]}
        return save(tensors, metadata={"outcomes": json.dumps(said, ensure_ascii=False)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Outcomes:
        """What `to_bytes` wrote.

        Raises:
            DamagedBlob: the bytes are anything else.
        """
        try:
            return _read(data)
        except (SafetensorError, KeyError, TypeError, ValueError, IndexError) as error:
            raise DamagedBlob(f"expected what became of test rows, got bytes that are none: {error}") from error


def _read(data: bytes) -> Outcomes:
    tensors = load(data)
    length = int.from_bytes(data[:8], "little")
    said = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["outcomes"])
    names, measured = tuple(said["names"]), said["tasks"]
    number = {name: index for index, name in enumerate(names)}
    counts = tensors["counts"].astype(np.int64)
    if len(counts) != len(measured):
        raise ValueError(f"rows of {len(counts)} tasks, names of {len(measured)}")
    rows = int(counts.sum())
    own_right = np.unpackbits(tensors["own_right"], count=rows).astype(np.bool_)
    chosen = np.repeat(np.array([number[task] for task in measured], dtype=np.int32), counts)
    right, kept = own_right.astype(np.int8), np.ones(rows, dtype=np.bool_)
    runner_up, lead = np.full(rows, NOBODY, dtype=np.int32), np.zeros(rows, dtype=np.float32)
    astray = tensors["astray"]
    chosen[astray], right[astray] = tensors["astray_to"], tensors["astray_right"]
    runner_up[astray], lead[astray] = tensors["astray_runner_up"], tensors["astray_lead"]
    kept[tensors["abstained"]] = False
    return Outcomes(
        names=names,
        tasks=_Parts(
            names=tuple(measured),
            ends=tuple(np.cumsum(counts).tolist()),
            arrays={
                "own_right": own_right,
                "chosen": chosen,
                "right": right,
                "kept": kept,
                "runner_up": runner_up,
                "lead": lead,
            },
        ),
    )


class _Parts(Sequence[TaskOutcomes]):
    """The rows of all tasks one after the other, each task's made out when it is asked for: of a thousand few are."""

    def __init__(
        self, *, names: tuple[str, ...], ends: tuple[int, ...], arrays: Mapping[str, npt.NDArray[Any]]
    ) -> None:
        self.names = names
        self._ends = ends
        self._arrays = arrays

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> TaskOutcomes: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[TaskOutcomes]: ...

    def __getitem__(self, index: int | slice) -> TaskOutcomes | Sequence[TaskOutcomes]:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        place = range(len(self))[index]  # IndexError beyond the last
        part = slice(self._ends[place - 1] if place else 0, self._ends[place])
        return TaskOutcomes(task=self.names[place], **{name: array[part] for name, array in self._arrays.items()})
