"""A sequence's labels and shipped names go all the way into a portfolio."""

from __future__ import annotations

import json
import random

import pytest

from portfolio.errors import ConfigError, Conflict, NotFound
from portfolio.tasks.recipe import Recipe, read_test_again

WORDS = {
    "plant": ("rose", "tulip", "fern", "moss", "daisy", "ivy"),
    "tool": ("spade", "rake", "hoe", "shears", "trowel", "barrow"),
    "ship": ("ferry", "tug", "barge", "yacht", "trawler", "dinghy"),
    "weather": ("storm", "fog", "calm", "gale", "drizzle", "sun"),
}


@pytest.fixture
def sequence(tmp_path):
    """`sequence(LABELS, …)`: a file of one task for each, all of one set of four labels."""
    draw = random.Random(0)
    rows = {(" ".join(draw.sample(words, 3)), label) for label, words in WORDS.items() for _ in range(20)}
    lines = [json.dumps({"text": text, "label": label}) for text, label in sorted(rows)]
    (tmp_path / "all.jsonl").write_text("\n".join(lines))

    def written(*tasks):
        tables = [
            f'[[task]]\nname = "task{number}"\ntrain = ["${{NOWHERE_AT_ALL}}/x.csv", "all.jsonl"]\n'
            f"labels = {json.dumps(labels)}\n"
            for number, labels in enumerate(tasks)
        ]
        (tmp_path / "toy.toml").write_text("".join(tables))
        return tmp_path / "toy.toml"

    return written


def test_tasks_of_one_set_are_told_apart_by_their_labels(empty, sequence, quick):
    path = sequence(["plant", "tool"], ["weather", "ship"])
    empty.add_tasks(path, training=quick)
    assert [task.labels for task in empty.tasks()] == [("plant", "tool"), ("ship", "weather")]
    assert [Recipe.from_json(task.reading).labels for task in empty.tasks()] == [("plant", "tool"), ("weather", "ship")]
    assert all(read_test_again(task) is not None for task in empty.tasks())
    assert empty.missing_tasks(path).tasks == ()
    assert empty.missing_tasks(sequence(["tool", "plant"], ["weather", "ship"])).tasks == ()
    with pytest.raises(Conflict, match=r"only labels 'plant', 'tool'\), not from .*only labels 'plant', 'ship'\)"):
        empty.missing_tasks(sequence(["plant", "ship"], ["weather", "ship"]))


def test_one_text_is_refused_where_a_list_of_labels_is_meant(empty, sequence):
    train = sequence().parent / "all.jsonl"
    assert empty.read_task("a", train, labels=["plant", "ship"]).labels == ("plant", "ship")
    with pytest.raises(ConfigError, match="must be a list of labels, got one text: 'plant'"):
        empty.read_task("a", train, labels="plant")


def test_a_shipped_sequence_is_known_by_its_name(empty):
    assert [task.name for task in empty.missing_tasks("helpdesk").tasks][:2] == ["billing", "shipping"]
    with pytest.raises(NotFound, match="got helpdask, which is not there; shipped sequences: .*helpdesk"):
        empty.missing_tasks("helpdask")
