"""What `--dry-run` says of a task's examples."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from portfolio.records import Source
from portfolio.reports.reading import print_reading, reading_to_dict
from portfolio.tasks.splits import Split
from portfolio.tasks.task import TaskData


def split(*labels: str) -> Split:
    return Split(texts=tuple(f"text {row}" for row in range(len(labels))), pairs=None, labels=labels)


def task(labels: tuple[str, ...], train: Split) -> TaskData:
    return TaskData(
        name="sky",
        labels=labels,
        train=train,
        validation=split("fog"),
        test=split("fog", "ice"),
        columns=("text", None, "label"),
        sources=(
            Source(split="train", path="/data/sky.csv", sha256="a" * 64, rows=3),
            Source(split="validation", path="/data/sky.csv", sha256="b" * 64, rows=1, held_out_of="train"),
            Source(split="test", path="/data/test.csv", sha256="c" * 64, rows=2),
        ),
        seed=0,
        where=(),
        notes=("test: 1 of 2 rows have labels that train lacks: 'ice' (1); kept",),
    )


SKY = task(("fog", "sun"), split("fog", "sun", "sun"))


def test_json_counts_each_label_in_each_split_also_those_that_train_lacks() -> None:
    fields = reading_to_dict(SKY)
    assert json.loads(json.dumps(fields)) == fields
    assert fields["labels"] == {
        "fog": {"train": 1, "validation": 1, "test": 1},
        "sun": {"train": 2, "validation": 0, "test": 0},
        "ice": {"train": 0, "validation": 0, "test": 1},
    }
    assert [source["split"] for source in fields["sources"]] == ["train", "validation", "test"]


def test_people_read_counts_places_and_notes(screen: Callable[..., Any]) -> None:
    page = screen()
    print_reading(SKY, page.console)
    lines = [line.split() for line in page.lines()]
    assert ["sky:", "2", "labels"] in lines
    assert (
        ["fog", "1", "1", "1"] in lines
        and ["ice", "0", "0", "1"] in lines
        and ["all", "labels", "3", "1", "2"] in lines
    )
    assert "validation: /data/sky.csv, held out of train" in page.lines()
    assert any(line.startswith("note: test: 1 of 2 rows") for line in page.lines())


def test_very_many_labels_are_counted_not_listed(screen: Callable[..., Any]) -> None:
    labels = tuple(f"label{number:04}" for number in range(500))
    page = screen()
    print_reading(task(labels, split(*labels)), page.console)
    assert len(page.lines()) < 220
    assert ["and", "302", "more"] in [line.split() for line in page.lines()]
