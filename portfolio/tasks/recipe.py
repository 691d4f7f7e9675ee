"""How a task's examples were read, as JSON: so that they can be read again, as no text is ever stored."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from portfolio.errors import PortfolioError
from portfolio.records import TaskRecord
from portfolio.tasks.columns import GUESS, Columns
from portfolio.tasks.splits import Split
from portfolio.tasks.task import TaskData, read_task

_HUB = "hub:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The arguments of one reading. Paths are absolute."""

    train: str
    validation: str | None = None
    test: str | None = None
    columns: Columns = GUESS
    where: dict[str, str] = field(default_factory=dict)
    unknown_labels: str = "error"
    seed: int = 0

    def read(self, name: str) -> TaskData:
        """The task's examples; see `read_task` for what is raised."""
        return read_task(
            name,
            self.train,
            self.validation,
            self.test,
            columns=self.columns,
            seed=self.seed,
            unknown_labels=self.unknown_labels,
            where=self.where,
        )

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        fields = json.loads(text)
        return cls(**{**fields, "columns": Columns(**fields["columns"])})


def place(location: str | Path | None) -> str | None:
    """A location that still means the same from another working directory."""
    if location is None or str(location).startswith(_HUB):
        return None if location is None else str(location)
    return str(Path(location).absolute())


def read_test_again(task: TaskRecord) -> Split | None:
    """The task's test split from where it came; None if it is gone, or no longer what was measured."""
    try:
        test = Recipe.from_json(task.reading).read(task.name).test
    except PortfolioError:
        return None
    [source] = [one for one in task.sources if one.split == "test"]
    return test if test.digest() == source.sha256 else None
