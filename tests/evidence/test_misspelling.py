"""Typos that are the same each time."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.evidence.misspelling import misspelt

TEXT = "Where is my parcel, and when will it come?"


def test_the_same_text_and_seed_are_misspelt_the_same_way_everywhere() -> None:
    """A change of what is written here would change every robustness figure on record; made by the call beside it."""
    assert misspelt(TEXT, 0.3, 0) == misspelt(TEXT, 0.3, 0)
    assert misspelt(TEXT, 0.3, 0) != misspelt(TEXT, 0.3, 1)
    assert misspelt("hello there", 0.5, 7) == "hello theeer"


def test_at_rate_0_nothing_is_hit_and_at_rate_1_every_letter() -> None:
    assert misspelt(TEXT, 0.0, 3) == TEXT
    assert all(misspelt("e", 1.0, seed) != "e" for seed in range(50))


@pytest.mark.parametrize(("letter", "possible"), [("g", {"", "gg", "f", "h", "t", "b"}), ("P", {"", "PP", "O"})])
def test_a_letter_alone_is_left_out_doubled_or_replaced_by_a_key_beside_it(letter: str, possible: set[str]) -> None:
    assert {misspelt(letter, 1.0, seed) for seed in range(200)} == possible


def test_two_letters_may_change_places() -> None:
    assert "ba" in {misspelt("ab", 1.0, seed) for seed in range(50)}


def test_about_the_share_that_was_asked_for_is_hit() -> None:
    letters = "e" * 4000
    doubled_or_lost = abs(len(misspelt(letters, 0.2, 0)) - len(letters))
    changed = sum(letter != "e" for letter in misspelt(letters, 0.2, 0))
    assert doubled_or_lost < 120  # as many are doubled as are lost
    assert 120 <= changed <= 280  # a neighbouring key a quarter of the time: 200 expected


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=40), rate=st.floats(0, 1), seed=st.integers(0, 5))
def test_what_is_no_letter_stays_where_it_is(text: str, rate: float, seed: int) -> None:
    def others(written: str) -> Counter[str]:
        return Counter(letter for letter in written if not letter.isalpha())

    hit = misspelt(text, rate, seed)
    assert others(hit) == others(text)
    assert [one for one in hit if not one.isalpha()] == [one for one in text if not one.isalpha()]
