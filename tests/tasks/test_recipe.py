"""How a task was read comes back from JSON, also from that of earlier versions."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.errors import ConfigError
from portfolio.tasks.columns import Columns
from portfolio.tasks.recipe import Recipe, listed_labels
from portfolio.tasks.sequences import TaskSpec

BEFORE_LABELS = (
    '{"columns":{"label":null,"pair":null,"text":"body"},"seed":3,"test":null,"train":"/a.csv",'
    '"unknown_labels":"error","validation":null,"where":{"domain":"x"}}'
)


def test_json_of_before_there_were_labels_is_read_and_written_the_same():
    recipe = Recipe(train="/a.csv", columns=Columns(text="body"), where={"domain": "x"}, seed=3)
    assert Recipe.from_json(BEFORE_LABELS) == recipe
    assert recipe.to_json() == BEFORE_LABELS


@settings(max_examples=25, deadline=None)
@given(labels=st.lists(st.text(max_size=5), max_size=3), seed=st.integers(0, 9))
def test_a_recipe_comes_back_from_json_as_it_was(labels, seed):
    recipe = Recipe(train="hub:a:b", test="/t.csv", labels=tuple(labels), seed=seed)
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert ("labels" in json.loads(recipe.to_json())) is bool(labels)


def test_a_recipe_reads_only_the_rows_with_its_labels(write):
    train = write("a.jsonl", [{"text": f"t{n}", "label": "abc"[n % 3]} for n in range(60)])
    assert Recipe(train=str(train), labels=("a", "c")).read("letters").labels == ("a", "c")


def test_the_same_rows_are_those_of_one_place_filter_and_set_of_labels():
    recipe = Recipe(train="/a.csv", where={"domain": "x"}, labels=("a", "b"))
    assert recipe.has_train_of(Recipe(train="/a.csv", where={"domain": "x"}, labels=("b", "a"), test="/t.csv"))
    others = (
        Recipe(train="/b.csv", where={"domain": "x"}, labels=("a", "b")),
        Recipe(train="/a.csv", where={"domain": "y"}, labels=("a", "b")),
        Recipe(train="/a.csv", where={"domain": "x"}, labels=("a", "c")),
        Recipe(train="/a.csv", where={"domain": "x"}),
    )
    assert not any(recipe.has_train_of(other) for other in others)
    assert recipe.shown_train() == "/a.csv (only domain = 'x', labels 'a', 'b')"
    assert Recipe(train="/a.csv").shown_train() == "/a.csv"


def test_one_text_is_no_list_of_labels():
    assert listed_labels(["a", "b"]) == ("a", "b")
    with pytest.raises(ConfigError, match="must be a list of labels, got one text: 'ab'"):
        listed_labels("ab")


def test_a_task_of_a_sequence_is_read_as_it_says():
    task = TaskSpec(
        name="a",
        train="/a.csv",
        validation="/v.csv",
        test="hub:t",
        columns=Columns(text="body"),
        where=(("domain", "x"),),
        labels=("a", "b"),
    )
    assert Recipe.of(task, 7) == Recipe(
        train="/a.csv",
        validation="/v.csv",
        test="hub:t",
        columns=Columns(text="body"),
        where={"domain": "x"},
        labels=("a", "b"),
        seed=7,
    )
