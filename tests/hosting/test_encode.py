"""Texts to token ids, and token ids to padded batches."""

from __future__ import annotations

import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from portfolio.hosting.encode import Batch, Encoded, batches_of_like_length, cut_by_padding, encode, pad


@pytest.fixture(scope="module")
def wordpiece(tiny_base_dir):
    return AutoTokenizer.from_pretrained(tiny_base_dir)


def test_a_text_becomes_what_the_tokenizer_says_of_it_alone(wordpiece):
    texts = ["the rose", "", "my old spade please"]
    for row, text in zip(encode(wordpiece, texts, None, 64), texts, strict=True):
        assert list(row.ids) == wordpiece(text)["input_ids"]
        assert row.types == (0,) * len(row.ids)


def test_a_pair_is_told_apart_by_its_types(wordpiece):
    [row] = encode(wordpiece, ["the rose"], ["fern"], 64)
    assert list(row.ids) == wordpiece("the rose", "fern")["input_ids"]
    assert row.types == (0, 0, 0, 0, 1, 1)  # [CLS] the rose [SEP] fern [SEP]


def test_long_texts_and_pairs_are_cut(wordpiece):
    texts, pairs = ["rose " * 40, "rose"], ["fern " * 30, "fern " * 30]
    assert [len(row.ids) for row in encode(wordpiece, texts, None, 10)] == [10, 3]
    assert [len(row.ids) for row in encode(wordpiece, texts, pairs, 10)] == [10, 10]


def test_no_text_gives_no_row(wordpiece):
    assert encode(wordpiece, [], None, 10) == []


def test_a_text_without_any_token_becomes_one_token(base_of):
    """A decoder's tokenizer adds none of its own, and a row of no token has no state to pool."""
    tokenizer = base_of("gpt2").tokenizer
    empty, word = encode(tokenizer, ["  ", "w7"], None, 10)
    assert empty.ids == (tokenizer.pad_token_id,)
    assert word.ids == (7,)


def test_a_tokenizer_that_knows_no_types_gives_none(own_base):
    tokenizer = own_base("roberta").tokenizer
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    assert encode(tokenizer, ["w7"], None, 10)[0].types is None


def test_rows_are_padded_on_the_right_and_masked():
    batch = pad([Encoded((5, 6, 7), (0, 0, 1)), Encoded((8,), (0,))], pad_id=9)
    assert batch.input_ids.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.token_type_ids.tolist() == [[0, 0, 1], [0, 0, 0]]
    assert set(batch.inputs()) == {"input_ids", "attention_mask", "token_type_ids"}


def test_rows_without_types_make_a_batch_without_types():
    batch = pad([Encoded((5, 6), None)], pad_id=0)
    assert batch.token_type_ids is None
    assert set(batch.inputs()) == {"input_ids", "attention_mask"}


@pytest.mark.parametrize("typed", [True, False])
def test_rows_can_be_selected_in_any_order_and_twice(typed):
    ids = torch.arange(6).view(3, 2)
    batch = Batch(ids, ids + 10, ids + 20 if typed else None).select(torch.tensor([2, 0, 2]))
    assert batch.input_ids.tolist() == [[4, 5], [0, 1], [4, 5]]
    assert batch.attention_mask.tolist() == [[14, 15], [10, 11], [14, 15]]
    assert (batch.token_type_ids is not None) == typed


@settings(max_examples=50, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 50), max_size=40),
    max_rows=st.integers(1, 8),
    max_tokens=st.integers(1, 100),
)
def test_batches_hold_every_row_once_and_keep_their_limits(lengths, max_rows, max_tokens):
    batches = batches_of_like_length(lengths, max_rows, max_tokens)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[row] for row in batch)
        assert len(batch) <= max_rows
        assert len(batch) == 1 or len(batch) * longest <= max_tokens
    in_turn = [lengths[row] for batch in batches for row in batch]
    assert in_turn == sorted(lengths)  # rows of like length stand together


def test_threads_that_cut_at_different_lengths_do_not_disturb_each_other(wordpiece):
    texts, found = ["rose " * 60] * 20, []

    def run(length):
        for _ in range(30):
            found.extend((length, len(row.ids)) for row in encode(wordpiece, texts, None, length))

    threads = [threading.Thread(target=run, args=(length,)) for length in (10, 20, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {(10, 10), (20, 20), (30, 30)}


@given(lengths=st.lists(st.integers(1, 60), min_size=1, max_size=40), worth=st.integers(0, 300))
def test_a_batch_is_cut_only_where_that_saves_more_padding_than_a_batch_costs(lengths, worth):
    lengths = sorted(lengths)
    cut = cut_by_padding(range(len(lengths)), lengths, worth)
    assert [row for rows in cut for row in rows] == list(range(len(lengths)))

    def padded(rows):
        return len(rows) * max(lengths[row] for row in rows)

    assert sum(map(padded, cut)) + worth * (len(cut) - 1) <= padded(range(len(lengths)))
    for rows in cut:  # no further cut is worth it
        for place in range(1, len(rows)):
            assert padded(rows[:place]) + padded(rows[place:]) + worth >= padded(rows)


def test_rows_of_like_length_stay_together_and_a_long_one_is_cut_off():
    assert cut_by_padding([0, 1, 2], [7, 7, 8], 10) == [[0, 1, 2]]
    assert cut_by_padding([4, 0, 2], [9, 0, 50, 0, 8], 10) == [[4, 0], [2]]
