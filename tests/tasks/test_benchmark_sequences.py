"""The shipped sequences of public benchmarks, read from tiny data of the same labels: out of a folder and off the hub.

The labels of the standard four are written out here, as they are in the folder and on the hub, so that a column or label
that the sequence gets wrong shows up.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import datasets
import pytest

from portfolio.tasks.recipe import Recipe
from portfolio.tasks.sequences import Sequence, read_sequence
from portfolio.tasks.shipped import find_sequence
from portfolio.tasks.task import TaskData

DBPEDIA = [
    *("Company", "Educational Institution", "Artist", "Athlete", "Office Holder", "Mean of Transportation", "Building"),
    *("Natural Place", "Village", "Animal", "Plant", "Album", "Film", "Written Work"),
]
YAHOO = [
    *(
        "Society & Culture",
        "Science & Mathematics",
        "Health",
        "Education & Reference",
        "Computers & Internet",
        "Sports",
    ),
    *("Business & Finance", "Entertainment & Music", "Family & Relationships", "Politics & Government"),
]
FOUR = {
    "dbpedia": DBPEDIA,
    "amazon": ["very negative", "negative", "neutral", "positive", "very positive"],
    "yahoo": YAHOO,
    "agnews": ["World", "Sports", "Business", "Science or Technology"],
}
TRAIN_ROWS = 3  # of each label; every other split has one
Environment = Mapping[str, str]


def sequence_of(name: str, environment: Environment) -> Sequence:
    return read_sequence(find_sequence(name), environment=environment)


def labels_of(name: str) -> list[str]:
    """Of all tasks of a sequence."""
    return [label for task in sequence_of(name, {}).tasks for label in task.labels]


def read(sequence: Sequence) -> list[TaskData]:
    return [Recipe.of(task, sequence.seed).read(task.name) for task in sequence.tasks]


def rows_of(split: str, labels: list[str]) -> list[tuple[str, str]]:
    """Texts that all differ, with their labels."""
    times = TRAIN_ROWS if split == "train" else 1
    return [(f"{split} {number} of {label}", label) for label in labels for number in range(times)]


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Environment]:
    """`folder(NAME, SPLITS, LABELS)` writes a set into the folder that PORTFOLIO_DATA is to name."""

    def written(name: str, splits: tuple[str, ...], labels: list[str]) -> Environment:
        (tmp_path / name).mkdir()
        for split in splits:
            lines = [json.dumps({"text": text, "label": label, "more": 1}) for text, label in rows_of(split, labels)]
            (tmp_path / name / f"{split}.jsonl").write_text("\n".join(lines))
        return {"PORTFOLIO_DATA": str(tmp_path)}

    return written


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`hub(NAME, SPLITS, LABELS, TEXT, LABEL, MORE)` saves a set for `hub:NAME`, with these columns."""

    def place(name: str, config: str | None) -> Path:
        return tmp_path / f"{name}:{config}".replace("/", "--")

    def saved(
        name: str, splits: tuple[str, ...], labels: list[str], text: str, label: str, more: tuple[str, ...] = ()
    ) -> None:
        string = datasets.Value("string")
        features = {text: string, label: datasets.ClassLabel(names=labels), **dict.fromkeys(more, string)}
        tables = {}
        for split in splits:
            rows = rows_of(split, labels)
            columns = {text: [row[0] for row in rows], label: [row[1] for row in rows]}
            columns |= {column: [""] * len(rows) for column in more}
            tables[split] = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
        path, _, config = name.partition(":")
        datasets.DatasetDict(tables).save_to_disk(place(path, config or None))

    monkeypatch.setattr(
        datasets, "load_dataset", lambda name, config: datasets.load_from_disk(str(place(name, config)))
    )
    return saved


@pytest.mark.parametrize(("name", "tasks", "labels"), [("clinc150-domains", 10, 15), ("clinc150-15x10", 15, 10)])
def test_clinc150_is_read_out_of_a_folder(name, tasks, labels, folder):
    environment = folder("clinc150", ("train", "validation", "test"), labels_of(name))
    found = read(sequence_of(name, environment))
    assert len(found) == tasks
    for task in found:
        assert len(task.labels) == labels
        assert [len(task.train), len(task.validation), len(task.test)] == [TRAIN_ROWS * labels, labels, labels]
        assert task.columns == ("text", None, "label")
    assert len({label for task in found for label in task.labels}) == tasks * labels == 150


@pytest.mark.parametrize("name", ["clinc150-domains", "clinc150-15x10"])
def test_clinc150_is_read_off_the_hub_without_its_rows_out_of_scope(name, hub):
    labels = labels_of(name)
    splits = ("train", "validation", "test")
    hub("clinc/clinc_oos:plus", splits, [*labels, "oos"], "text", "intent")
    found = read(sequence_of(name, {}))
    assert sum(len(task.train) for task in found) == TRAIN_ROWS * 150
    assert sum(len(task.test) for task in found) == sum(len(task.validation) for task in found) == 150
    assert "oos" not in {label for task in found for label in task.labels}


def test_banking77_is_read_out_of_a_folder_and_off_the_hub_alike(folder, hub):
    labels, splits = labels_of("banking77-7x11"), ("train", "test")
    assert len(set(labels)) == 77
    environment = folder("banking77", splits, labels)
    hub("legacy-datasets/banking77", splits, labels, "text", "label")
    for found in (read(sequence_of("banking77-7x11", environment)), read(sequence_of("banking77-7x11", {}))):
        assert [len(task.labels) for task in found] == [11] * 7
        assert [len(task.train) + len(task.validation) for task in found] == [TRAIN_ROWS * 11] * 7
        assert {task.sources[1].held_out_of for task in found} == {"train"}
        assert [len(task.test) for task in found] == [11] * 7


def test_the_standard_four_are_read_out_of_a_folder(folder):
    for name, labels in FOUR.items():
        environment = folder(f"cl_{name}", ("train", "test"), labels)
    found = {task.name: task for task in read(sequence_of("standard-four", environment))}
    assert {name: set(task.labels) for name, task in found.items()} == {name: set(FOUR[name]) for name in FOUR}
    assert {name: len(task.test) for name, task in found.items()} == {name: len(FOUR[name]) for name in FOUR}
    assert {task.columns for task in found.values()} == {("text", None, "label")}


def test_the_standard_four_are_read_off_the_hub_with_the_columns_and_labels_they_have_there(hub):
    splits = ("train", "test")
    dbpedia = ["".join(word[:1].upper() + word[1:] for word in label.split()) for label in DBPEDIA]
    agnews = ["World", "Sports", "Business", "Sci/Tech"]
    hub("fancyzhx/dbpedia_14", splits, dbpedia, "content", "label", ("title",))
    hub("fancyzhx/amazon_polarity", splits, ["negative", "positive"], "content", "label", ("title",))
    more = ("question_content", "best_answer")
    hub("community-datasets/yahoo_answers_topics", splits, YAHOO, "question_title", "topic", more)
    hub("fancyzhx/ag_news", splits, agnews, "text", "label")
    found = {task.name: task for task in read(sequence_of("standard-four", {}))}
    assert {name: (task.columns[0], len(task.labels)) for name, task in found.items()} == {
        "dbpedia": ("content", 14),
        "amazon": ("content", 2),
        "yahoo": ("question_title", 10),
        "agnews": ("text", 4),
    }
    assert found["yahoo"].columns[2] == "topic"


def test_the_standard_four_come_in_the_published_orders():
    sequence = sequence_of("standard-four", {})
    orders = [[task.name for task in sequence.in_order(name).tasks] for name, _ in sequence.orders]
    assert orders == [
        ["dbpedia", "amazon", "yahoo", "agnews"],
        ["dbpedia", "amazon", "agnews", "yahoo"],
        ["yahoo", "amazon", "agnews", "dbpedia"],
    ]


@pytest.mark.parametrize(("name", "size"), [("clinc150-15x10", 10), ("banking77-7x11", 11)])
def test_intents_are_drawn_as_the_file_says(name, size):
    names = sorted(labels_of(name))
    random.Random(0).shuffle(names)
    tasks = sequence_of(name, {}).tasks
    assert [task.name for task in tasks] == [f"intents-{number:02}" for number in range(1, len(tasks) + 1)]
    assert [set(task.labels) for task in tasks] == [
        set(names[start : start + size]) for start in range(0, len(names), size)
    ]
