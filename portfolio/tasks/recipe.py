"""How a task's examples were read, as JSON: so that they can be read again, as no text is ever stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from portfolio.errors import PortfolioError, require
from portfolio.records import Lineage, TaskRecord
from portfolio.tasks.columns import GUESS, Columns
from portfolio.tasks.faults import listed, shown
from portfolio.tasks.sequences import TaskSpec
from portfolio.tasks.splits import Split
from portfolio.tasks.task import TaskData, read_task

_HUB = "hub:"
_IMPORTED = "imported:"  # before the adapter that it was elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The arguments of one reading. Paths are absolute."""

    train: str
    validation: str | None = None
    test: str | None = None
    columns: Columns = GUESS
    where: dict[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()  # only rows with one of these; none for all
    unknown_labels: str = "error"
    seed: int = 0

    @classmethod
    def of(cls, task: TaskSpec, seed: int) -> Recipe:
        """How a task of a sequence is read, with the sequence's seed."""
        return cls(
            train=task.train,
            validation=task.validation,
            test=task.test,
            columns=task.columns,
            where=dict(task.where),
            labels=task.labels,
            seed=seed,
        )

    def read(self, name: str, *, beside: bool = False) -> TaskData:
        """The task's examples, with the other columns of its rows if asked for; see `read_task` for what is raised."""
        return read_task(
            name,
            self.train,
            self.validation,
            self.test,
            columns=self.columns,
            seed=self.seed,
            unknown_labels=self.unknown_labels,
            where=self.where,
            labels=self.labels,
            beside=beside,
        )

    @classmethod
    def of_import(cls, origin: str, columns: Columns, seed: int) -> Recipe:
        """Of a task whose files stayed where it came from."""
        return cls(train=f"{_IMPORTED}{origin}", columns=columns, seed=seed)

    @property
    def is_elsewhere(self) -> bool:
        """Whether the files are not here, as the task was imported."""
        return self.train.startswith(_IMPORTED)

    def has_train_of(self, other: Recipe) -> bool:
        """Whether both take the same rows of the same place for training."""
        return (self.train, self.where, set(self.labels)) == (other.train, other.where, set(other.labels))

    def shown_train(self) -> str:
        """The place of the training rows, and which of them are taken, for messages."""
        kept = [f"{column} = {shown(value)}" for column, value in self.where.items()]
        kept += [f"labels {listed(sorted(self.labels))}"] if self.labels else []
        return f"{self.train} (only {', '.join(kept)})" if kept else self.train

    def to_json(self) -> str:
        """Canonical. `labels` stands in it only where there are some, so that earlier versions read all others."""
        fields = asdict(self)
        if not self.labels:
            del fields["labels"]
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        fields = json.loads(text)
        columns, labels = Columns(**fields["columns"]), tuple(fields.get("labels", ()))
        return cls(**{**fields, "columns": columns, "labels": labels})


def place(location: str | Path | None) -> str | None:
    """A location that still means the same from another working directory."""
    if location is None or str(location).startswith(_HUB):
        return None if location is None else str(location)
    return str(Path(location).absolute())


def listed_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """These labels.

    Raises:
        ConfigError: it is one text, whose characters would pass for labels.
    """
    require(not isinstance(labels, str), f"labels must be a list of labels, got one text: {shown(labels)}")
    return tuple(labels)


def read_test_again(task: TaskRecord | Lineage, *, beside: bool = False) -> Split | None:
    """The test split of a task, or of one version, from where it came; None if it is gone, or not what was measured.

    Args:
        beside: with the other columns of its rows.
    """
    try:
        test = Recipe.from_json(task.reading).read(task.name, beside=beside).test
    except PortfolioError:
        return None
    [source] = [one for one in task.sources if one.split == "test"]
    return test if test.digest() == source.sha256 else None
