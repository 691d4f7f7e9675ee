"""Which column is the text, the pair, the label."""

from __future__ import annotations

import pytest

from portfolio.errors import DataError
from portfolio.tasks.columns import GUESS, Columns, choose_columns
from portfolio.tasks.faults import Faults


def choose(found, said=GUESS, **options):
    return choose_columns(found, said, Faults("a.csv"), **options)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["text", "label"], ("text", None, "label")),
        (["id", "Utterance", "Intent"], ("Utterance", None, "Intent")),
        (["premise", "hypothesis", "label", "idx"], ("premise", "hypothesis", "label")),
        (["label", "sentence1", "sentence2"], ("sentence1", "sentence2", "label")),
        (["text", "text_pair", "category"], ("text", "text_pair", "category")),
    ],
)
def test_usual_names_are_guessed(found, expected):
    chosen = choose(found)
    assert (chosen.text, chosen.pair, chosen.label) == expected
    assert set(chosen.guessed) == {"text", "label"} | ({"pair"} if expected[1] else set())
    assert chosen.unused == tuple(name for name in found if name not in expected)


def test_a_named_column_is_taken_and_not_guessed_again():
    chosen = choose(["sentence", "question", "label"], Columns(pair="sentence"))
    assert (chosen.text, chosen.pair, chosen.label) == ("question", "sentence", "label")
    assert chosen.guessed == ("text", "label")


def test_an_empty_name_for_the_pair_means_none():
    assert choose(["text", "text_pair", "label"], Columns(pair="")).pair is None


def test_choosing_again_with_what_was_chosen_gives_the_same():
    found = ["text", "label", "hypothesis"]
    for said in (GUESS, Columns(pair="")):
        first = choose(found, said)
        again = choose([*found, "sentence2", "intent"], first.said())
        assert (again.text, again.pair, again.label) == (first.text, first.pair, first.label)
        assert again.guessed == ()


def test_the_label_is_not_needed_for_texts_alone():
    assert choose(["text"], with_label=False).label is None


@pytest.mark.parametrize(
    ("found", "said", "message"),
    [
        (["a", "label"], GUESS, r"no text column.*--text-column NAME; its columns are 'a', 'label'"),
        (["text", "b"], GUESS, r"no label column.*--label-column NAME; its columns are 'text', 'b'"),
        (["text", "query", "label"], GUESS, r"text could be in 'text' or 'query': choose with --text-column NAME"),
        (["text", "label", "intent"], GUESS, r"label could be in 'label' or 'intent': choose with --label-column"),
        (["text", "label"], Columns(text="txt"), r"no column 'txt' \(--text-column\)"),
        (["text", "label"], Columns(pair="b"), r"no column 'b' \(--pair-column\)"),
        (["a", "b"], GUESS, r"no text column.*; no label column"),
    ],
)
def test_a_column_that_is_missing_or_unclear_is_named_with_the_option_to_use(found, said, message):
    with pytest.raises(DataError, match=message):
        choose(found, said)


def test_earlier_faults_of_the_file_are_told_along():
    faults = Faults("a.jsonl")
    faults.add("a.jsonl:1", "not JSON")
    with pytest.raises(DataError, match=r"(?s)2 faults.*a\.jsonl:1: not JSON.*no text column"):
        choose_columns(["a", "label"], GUESS, faults)
