"""Careless typing: what may change in a text, and that the same seed gives the same slips."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.routing_texts import CHANGES, SHARE, changed, dropped_words, typos, upper_case

SEEDS = st.integers(0, 2**32)
WORDS = " ".join(["abcdef"] * 4000)


def one_slip_from(word: str) -> set[str]:
    """Every word that one swapped, dropped or doubled letter makes of it, and the word itself."""
    places = range(len(word) - 1)
    swapped = {word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in places}
    dropped = {word[:at] + word[at + 1 :] for at in places}
    doubled = {word[: at + 1] + word[at:] for at in places}
    return {word} | swapped | dropped | doubled


@given(st.text(), SEEDS)
@settings(max_examples=50)
def test_a_typo_is_one_slip_of_one_letter_in_a_word(text: str, seed: int) -> None:
    words, typed = text.split(" "), typos(text, Random(seed)).split(" ")
    assert len(typed) == len(words)
    assert all(after in one_slip_from(before) for before, after in zip(words, typed, strict=True))


def test_about_the_wanted_share_of_words_gets_a_typo_and_every_kind_of_slip_occurs() -> None:
    typed = Counter(len(word) for word in typos(WORDS, Random(0)).split() if word != "abcdef")
    assert typed.total() / 4000 == pytest.approx(SHARE, abs=0.02)
    assert set(typed) == {5, 6, 7}


@given(st.text(), SEEDS)
@settings(max_examples=50)
def test_dropping_words_keeps_the_order_of_those_that_stay_and_one_at_least(text: str, seed: int) -> None:
    left = iter(text.split())
    kept = dropped_words(text, Random(seed)).split()
    assert all(word in left for word in kept)  # `in` moves the iterator on: a subsequence
    assert bool(kept) == bool(text.split())


def test_about_the_wanted_share_of_words_is_dropped() -> None:
    assert len(dropped_words(WORDS, Random(0)).split()) / 4000 == pytest.approx(1 - SHARE, abs=0.02)


def test_upper_case_is_all_capitals() -> None:
    assert upper_case("Book me a flight", Random(0)) == "BOOK ME A FLIGHT"


@pytest.mark.parametrize("name", CHANGES)
def test_what_becomes_of_a_text_depends_on_the_seed_and_not_on_its_neighbours(name: str) -> None:
    texts = ["please freeze my account at once", "how many miles are left on this tyre", "what is my balance now"]
    typed = changed(texts, CHANGES[name], seed=1)
    assert changed(texts[::-1], CHANGES[name], seed=1) == typed[::-1]
    others = [changed(texts, CHANGES[name], seed=seed) for seed in range(20)]
    assert (typed in others) and (name == "upper case" or any(other != typed for other in others))
