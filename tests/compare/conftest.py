"""Contests on the tiny base with made-up contestants: what they answer is known beforehand, and they learn in no time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from portfolio.compare.contestant import Answers, Keeps, Method, Settings
from portfolio.compare.world import World
from portfolio.errors import TrainingDiverged
from portfolio.tasks.sequences import Sequence, TaskSpec

NAMES = ("garden", "kitchen", "harbour")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@dataclass
class Diary:
    """What a test's contestants did, and when they are to fail."""

    learned: list[tuple[str, float, tuple[str, ...], int, int]] = field(default_factory=list)
    stop_before: int | None = None  # so many more tasks are learned, then Ctrl-C comes
    diverging: frozenset[float] = frozenset()  # rates


class Rote:
    """Knows a share of the rows of every task it learned by heart: the higher the rate, the more. Given the task: all."""

    def __init__(
        self, name: str, diary: Diary, world: World, settings: Settings, own: Path, in_directory: bool
    ) -> None:
        self._name, self._diary, self._world, self._settings = name, diary, world, settings
        self._learned = torch.zeros(len(world.tasks), dtype=torch.int64)
        self._own = own if in_directory else None

    def learn(self, number: int) -> None:
        if self._diary.stop_before == 0:
            raise KeyboardInterrupt
        if self._settings.rate in self._diary.diverging:
            raise TrainingDiverged("the loss is NaN")
        if self._diary.stop_before is not None:
            self._diary.stop_before -= 1
        order = tuple(task.name for task in self._world.tasks)
        self._diary.learned.append((self._name, self._settings.rate, order, self._settings.seed, number))
        self._learned[number] = 1
        if self._own is not None:
            (self._own / "learned").write_text(str(number + 1))

    def answer(self, number: int, split: str) -> Answers:
        labels = self._world.tasks[number].split(split).labels.numpy()
        share = min(1.0, 0.25 + self._settings.rate) - 0.05 * (int(self._learned.sum()) - 1)
        wrong = np.arange(len(labels)) >= round(share * len(labels))
        return Answers(free=np.where(wrong, labels + 1, labels), given=labels)

    def keeps(self) -> Keeps:
        return Keeps(parameters=100 * int(self._learned.sum()), numbers=7, texts=0)

    def state(self) -> dict[str, Tensor]:
        return {} if self._own is not None else {"learned": self._learned}

    def restore(self, state: Mapping[str, Tensor], learned: int) -> None:
        if self._own is not None:
            assert (self._own / "learned").read_text() == str(learned)
            self._learned[:learned] = 1
        else:
            self._learned = state["learned"].clone()
        assert int(self._learned.sum()) == learned


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def rote(diary: Diary) -> Callable[..., Method]:
    """A method of that name whose contestants are `Rote`."""

    def made(name: str, rates: tuple[float, ...] = (0.25, 0.75), **said: Any) -> Method:
        in_directory = bool(said.pop("in_directory", False))
        return Method(
            name=name,
            words=said.pop("words", f"learning {name} by rote"),
            source="a test",
            is_joint=said.pop("is_joint", False),
            knows_task=said.pop("knows_task", False),
            rates=rates,
            begin=lambda world, settings, own: Rote(name, diary, world, settings, own, in_directory),
        )

    return made


@pytest.fixture(scope="session")
def toy_sequence(tmp_path_factory: pytest.TempPathFactory, toy_files: Callable[..., Any]) -> Sequence:
    """Three tasks of two classes each, 24 train and 8 test rows."""
    folder = tmp_path_factory.mktemp("toy-sequence")
    specs = []
    for name in NAMES:
        files = toy_files(folder, name, train_rows=24, test_rows=8)
        specs.append(TaskSpec(name=name, train=str(files.train), test=str(files.test)))
    return Sequence(name="toys", seed=0, tasks=tuple(specs))
