"""Holding rows out: what must hold for any labels and texts."""

from __future__ import annotations

import hashlib
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.tasks.splits import Split, count_repeats, hold_out

modest = settings(max_examples=50, deadline=None)


def split_of(rows, pairs=None):
    texts, labels = zip(*rows, strict=True)
    return Split(texts=texts, pairs=pairs, labels=labels)


def distinct(labels):
    """One row of its own text for each label."""
    return split_of([(f"text {row}", label) for row, label in enumerate(labels)])


rows = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("XYZ")), min_size=1, max_size=40)


@modest
@given(rows=rows, most=st.integers(1, 20), seed=st.integers(0, 3))
def test_held_out_rows_are_gone_from_train_and_every_class_stays(rows, most, seed):
    split = split_of(rows)
    stays, held = hold_out(split, most, seed, "test")
    together = Counter(zip(stays.texts, stays.labels, strict=True)) + Counter(zip(held.texts, held.labels, strict=True))
    assert together == Counter(rows)
    assert not set(stays.texts) & set(held.texts)
    assert set(stays.labels) == set(split.labels)
    assert len(held) <= most


@modest
@given(labels=st.lists(st.sampled_from("XYZ"), min_size=2, max_size=60), most=st.integers(1, 20))
def test_each_class_gives_its_share_to_within_a_row(labels, most):
    sizes = Counter(labels)
    most = min(most, len(labels) // 2)  # so that no class would have to give all of its rows
    if min(sizes.values()) == 1:
        labels = labels * 2
        sizes = Counter(labels)
    _, held = hold_out(distinct(labels), most, 0, "test")
    assert len(held) == most
    for label, size in sizes.items():
        assert abs(Counter(held.labels)[label] - Fraction(most * size, len(labels))) < 1


def test_a_class_of_one_row_stays_in_train():
    stays, held = hold_out(distinct("X" * 10 + "Y"), 5, 0, "test")
    assert Counter(held.labels) == {"X": 5}
    assert Counter(stays.labels) == {"X": 5, "Y": 1}


def test_nothing_is_held_out_where_every_class_has_one_row():
    stays, held = hold_out(distinct("XYZ"), 2, 0, "test")
    assert (len(stays), len(held)) == (3, 0)


def test_a_text_with_two_labels_stays_in_train():
    rows = [("same", "X"), ("same", "Y")] + [(f"x{row}", "X") for row in range(5)] + [("y", "Y")]
    for seed in range(20):
        _, held = hold_out(split_of(rows), 4, seed, "test")
        assert "same" not in held.texts


def test_equal_texts_with_different_pairs_are_different_rows():
    split = Split(texts=("same",) * 6, pairs=tuple("abcdef"), labels=("X",) * 6)
    stays, held = hold_out(split, 2, 0, "test")
    assert (len(stays), len(held)) == (4, 2)
    assert held.pairs is not None
    assert set(stays.pairs) & set(held.pairs) == set()


def test_both_parts_keep_the_order_of_the_file():
    split = distinct("XY" * 20)
    for part in hold_out(split, 10, 3, "test"):
        assert sorted(part.texts, key=split.texts.index) == list(part.texts)


def test_the_same_seed_holds_out_the_same_rows_and_another_does_not():
    split = distinct("XY" * 50)
    assert hold_out(split, 20, 7, "test") == hold_out(split, 20, 7, "test")
    assert hold_out(split, 20, 7, "test") != hold_out(split, 20, 8, "test")
    assert hold_out(split, 20, 7, "test") != hold_out(split, 20, 7, "validation")


def test_the_rows_with_the_smallest_digests_are_held_out():
    """SHA-256 decides, not a library's generator: a portfolio must find its test rows again years later."""

    def digest(text):
        return hashlib.sha256(f'0 test ["{text}", null]'.encode()).digest()

    split = distinct("XY" * 10)
    expected = {text for label in "XY" for text in sorted(split.texts["XY".index(label) :: 2], key=digest)[:2]}
    _, held = hold_out(split, 4, 0, "test")
    assert set(held.texts) == expected


@modest
@given(rows=rows, random=st.randoms(use_true_random=False))
def test_the_order_of_the_file_does_not_matter(rows, random):
    rows = list(dict.fromkeys(rows))
    shuffled = random.sample(rows, len(rows))
    _, held = hold_out(split_of(rows), 5, 0, "test")
    _, held_of_shuffled = hold_out(split_of(shuffled), 5, 0, "test")
    assert set(held.texts) == set(held_of_shuffled.texts)


def test_repeats_are_counted_row_by_row():
    train = split_of([("a", "X"), ("b", "Y")])
    assert count_repeats(split_of([("a", "X"), ("a", "Y"), ("c", "X")]), train) == 2


def test_the_digest_tells_apart_what_differs():
    digests = {
        Split(texts=("a", "b"), pairs=None, labels=("X", "Y")).digest(),
        Split(texts=("b", "a"), pairs=None, labels=("Y", "X")).digest(),
        Split(texts=("a", "b"), pairs=None, labels=("Y", "X")).digest(),
        Split(texts=("a", "b"), pairs=("", ""), labels=("X", "Y")).digest(),
        Split(texts=('a", "b',), pairs=None, labels=("X",)).digest(),
        Split(texts=("a\x00b",), pairs=None, labels=("X",)).digest(),
    }
    assert len(digests) == 6
    same = Split(texts=("a", "b"), pairs=None, labels=("X", "Y"))
    assert same.digest() == split_of([("a", "X"), ("b", "Y")]).digest()


def test_a_split_of_uneven_columns_cannot_be():
    with pytest.raises(AssertionError, match="differ in number"):
        Split(texts=("a", "b"), pairs=None, labels=("X",))
