"""What was read of a task before anything is learned of it: for `--dry-run`, as JSON and on a terminal."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from portfolio.reports.tables import figures_table, print_table
from portfolio.reports.wording import count, plain

if TYPE_CHECKING:
    from portfolio.tasks.task import TaskData

_LISTED_LABELS = 200


def reading_to_dict(data: TaskData) -> dict[str, Any]:
    """The task's columns, splits, notes, and how many rows of each split have each label."""
    text, pair, label = data.columns
    counts = _counts(data)
    return {
        "name": data.name,
        "columns": {"text": text, "pair": pair, "label": label},
        "seed": data.seed,
        "sources": [dataclasses.asdict(source) for source in data.sources],
        "labels": {
            name: {split: of_split[name] for split, of_split in counts.items()} for name in _names(data, counts)
        },
        "notes": list(data.notes),
    }


def print_reading(data: TaskData, console: Console) -> None:
    """Write the counts of each label and split, the notes, and where it all came from."""
    counts = _counts(data)
    names = _names(data, counts)
    console.print(Text(f"{data.name}: {count(len(data.labels), 'label')}", style="bold"))
    rows: list[list[str | Text]] = [
        [plain(name, console), *(count(of_split[name]) for of_split in counts.values())]
        for name in names[:_LISTED_LABELS]
    ]
    if len(names) > _LISTED_LABELS:
        rows.append([f"and {count(len(names) - _LISTED_LABELS)} more", *("" for _ in counts)])
    rows.append([Text("all labels", style="bold"), *(count(of_split.total()) for of_split in counts.values())])
    print_table(figures_table(["label", *counts], rows, console), console)
    for source in data.sources:
        held_out = f", held out of {source.held_out_of}" if source.held_out_of else ""
        console.print(Text(plain(f"{source.split}: {source.path}{held_out}", console)), soft_wrap=True)
    for note in data.notes:
        console.print(Text(plain(f"note: {note}", console)), soft_wrap=True)


def _counts(data: TaskData) -> dict[str, Counter[str]]:
    splits = (("train", data.train), ("validation", data.validation), ("test", data.test))
    return {name: Counter(split.labels) for name, split in splits}


def _names(data: TaskData, counts: dict[str, Counter[str]]) -> list[str]:
    """The labels of train, then those that only other splits have."""
    others = {name for of_split in counts.values() for name in of_split} - set(data.labels)
    return [*data.labels, *sorted(others)]
