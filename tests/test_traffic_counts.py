"""Shares by hash, counts that add up, and what they say: against plain lists of rows."""

from __future__ import annotations

import json
import math
from statistics import fmean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_1samp, ttest_ind

from portfolio.records import Traffic
from portfolio.reports.traffic_figures import trial_figures, trials_to_dict
from portfolio.tally import EVERY_S, Tally
from portfolio.traffic import Counts, Said, Trial, add_up, counts_from_json, in_share

ANSWERS = st.lists(st.tuples(st.sampled_from(["card", "loan", "ä\udce9"]), st.floats(0, 1)), max_size=12)
CANARY = Trial(name="bank", version=2, beside=1, mode="canary")
SHADOW = Trial(name="bank", version=2, beside=1, mode="shadow")


# Shares


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_a_share_takes_about_its_part_of_many_inputs(share):
    taken = sum(in_share(share, "bank@2", "input", f"question {number}", None) for number in range(5000))
    assert binomtest(taken, 5000, share).pvalue > 1e-4


def test_everything_is_in_the_whole_and_nothing_in_no_share():
    assert all(in_share(1.0, "bank@2", str(number)) for number in range(200))
    assert not any(in_share(0.0, "bank@2", str(number)) for number in range(200))


@settings(max_examples=50)
@given(st.text(max_size=20) | st.just("\ud800"), st.floats(0, 1), st.floats(0, 1))
def test_whoever_is_in_a_share_is_in_every_larger_one_and_every_time(text, one, other):
    small, large = sorted((one, other))
    assert in_share(small, "bank@2", text) <= in_share(large, "bank@2", text)
    assert in_share(small, "bank@2", text) == in_share(small, "bank@2", text)


def test_another_challenger_is_tried_on_other_inputs():
    texts = [str(number) for number in range(400)]
    first, second = ({text for text in texts if in_share(0.5, ref, text)} for ref in ("bank@2", "bank@3"))
    assert 60 < len(first & second) < 140


def test_a_text_with_a_pair_is_not_the_text_that_reads_like_both():
    taken = {(text, pair): in_share(0.5, text, pair) for text in "abcdefgh" for pair in ("x", None)}
    assert len({taken[text, "x"] == taken[text, None] for text in "abcdefgh"}) == 2


# Counts


@settings(max_examples=50)
@given(ANSWERS, ANSWERS)
def test_counts_of_two_batches_add_up_to_those_of_both(first, second):
    added, whole = Said.of(first) + Said.of(second), Said.of(first + second)
    assert (added.rows, added.labels) == (whole.rows, whole.labels)
    assert added.probability == pytest.approx(whole.probability)
    assert added.squares == pytest.approx(whole.squares)


@settings(max_examples=50)
@given(ANSWERS, ANSWERS, st.integers(0, 9))
def test_counts_come_back_from_their_json(ours, theirs, failed):
    counts = Counts(champion=Said.of(ours), challenger=Said.of(theirs), same=3, gap=-0.25, failed=failed)
    assert counts_from_json(counts.to_json()) == counts


def test_sums_are_kept_trial_by_trial():
    one = Counts(champion=Said.of([("card", 0.5)]), same=1, different=2, gap=0.5, gap_squares=0.25, failed=3)
    total = add_up([{CANARY: one}, {SHADOW: one}, {CANARY: one}])
    assert total[SHADOW] == one
    assert total[CANARY] == Counts(
        champion=Said.of([("card", 0.5)] * 2), same=2, different=4, gap=1.0, gap_squares=0.5, failed=6
    )


# Figures


def compared(ours, theirs):
    """What a shadow counts of these rows."""
    gaps = [other - one for (_, one), (_, other) in zip(ours, theirs, strict=True)]
    same = sum(one == other for (one, _), (other, _) in zip(ours, theirs, strict=True))
    return Counts(
        champion=Said.of(ours),
        challenger=Said.of(theirs),
        same=same,
        different=len(ours) - same,
        gap=sum(gaps),
        gap_squares=sum(gap**2 for gap in gaps),
    )


OURS = [("card", 0.9), ("card", 0.7), ("loan", 0.55), ("card", 0.95), ("rate", 0.6)]
THEIRS = [("card", 0.8), ("loan", 0.75), ("loan", 0.9), ("card", 0.99), ("card", 0.4)]


def test_a_shadows_figures_are_those_of_the_rows_pair_by_pair():
    figures = trial_figures(SHADOW, compared(OURS, THEIRS), None)
    ours, theirs = ([probability for _, probability in side] for side in (OURS, THEIRS))
    assert (figures.champion.ref, figures.challenger.ref) == ("bank@1", "bank@2")
    assert (figures.same, figures.different, figures.agreement, figures.failed) == (3, 2, 0.6, 0)
    exact = binomtest(3, 5).proportion_ci(0.95, method="exact")
    assert (figures.agreement_interval.low, figures.agreement_interval.high) == pytest.approx((exact.low, exact.high))
    expected = ttest_1samp([b - a for a, b in zip(ours, theirs, strict=True)], 0).confidence_interval(0.95)
    assert figures.gap == pytest.approx(fmean(theirs) - fmean(ours))
    assert (figures.gap_interval.low, figures.gap_interval.high) == pytest.approx((expected.low, expected.high))
    assert figures.champion.labels == (("card", 3), ("loan", 1), ("rate", 1))
    assert figures.champion.probability == pytest.approx(fmean(ours))
    reach = 2.7764451 * stdev(ours) / math.sqrt(5)  # Student's t, 4 degrees of freedom
    assert figures.champion.interval.high == pytest.approx(fmean(ours) + reach)
    assert figures.distance == pytest.approx((abs(3 - 3) + abs(1 - 2) + abs(1 - 0)) / 5 / 2)
    assert figures.by_chance is None


def test_a_canarys_figures_are_those_of_two_groups():
    figures = trial_figures(CANARY, Counts(champion=Said.of(OURS), challenger=Said.of(THEIRS[:3])), None)
    ours, theirs = ([probability for _, probability in side] for side in (OURS, THEIRS[:3]))
    expected = ttest_ind(theirs, ours, equal_var=False).confidence_interval(0.95)
    assert figures.gap == pytest.approx(fmean(theirs) - fmean(ours))
    assert (figures.gap_interval.low, figures.gap_interval.high) == pytest.approx((expected.low, expected.high))
    assert figures.distance == pytest.approx((abs(3 / 5 - 1 / 3) + abs(1 / 5 - 2 / 3) + 1 / 5) / 2)
    assert (figures.same, figures.agreement, figures.failed) == (None, None, None)


def test_the_distance_by_chance_is_what_two_draws_from_the_same_answers_come_to(draws=400):
    import random

    draw, answers = random.Random(3), ["card"] * 6 + ["loan"] * 3 + ["rate"]
    seen, said = [], []
    for _ in range(draws):
        ours, theirs = (Said.of((draw.choice(answers), 0.5) for _ in range(rows)) for rows in (200, 40))
        figures = trial_figures(CANARY, Counts(champion=ours, challenger=theirs), None)
        seen.append(figures.distance)
        said.append(figures.by_chance)
    assert fmean(said) == pytest.approx(fmean(seen), rel=0.1)


@pytest.mark.parametrize("trial", [CANARY, SHADOW])
@pytest.mark.parametrize("rows", [0, 1])
def test_of_hardly_any_rows_nothing_is_made_up(trial, rows):
    counts = compared(OURS[:rows], THEIRS[:rows]) if trial is SHADOW else Counts(champion=Said.of(OURS[:rows]))
    figures = trial_figures(trial, counts, Traffic(name="bank", version=2, mode=trial.mode, share=0.1, by="input"))
    assert figures.gap_interval is figures.champion.interval is None
    assert (figures.gap is None) == (trial is CANARY or rows == 0)
    assert (figures.agreement is None) == (trial is CANARY or rows == 0)
    json.dumps(trials_to_dict((figures,)), allow_nan=False)


def test_answers_that_are_all_alike_have_an_interval_without_width():
    figures = trial_figures(CANARY, Counts(champion=Said.of(OURS[:1] * 3), challenger=Said.of(OURS[:1] * 4)), None)
    assert (figures.gap_interval.low, figures.gap_interval.high) == pytest.approx((0, 0), abs=1e-7)


# Gathering


class Books:
    """Takes observations like a store's releases; refuses while `error` is set."""

    def __init__(self):
        self.error = None
        self.kept = {}

    @property
    def releases(self):
        return self

    def add_observations(self, counted):
        if self.error is not None:
            raise self.error
        self.kept = add_up([self.kept, counted])


ONE = {CANARY: Counts(champion=Said.of([("card", 0.5)]))}


@pytest.fixture
def clock():
    """Seconds, as a list that a test sets."""
    return [0.0]


def test_counts_are_written_now_and_then_and_when_asked_for(clock):
    books = Books()
    tally = Tally(books, clock=lambda: clock[0])
    tally.add(ONE)
    assert books.kept == {}
    clock[0] = EVERY_S
    tally.add(ONE)
    assert books.kept[CANARY].champion.rows == 2
    tally.add(ONE)
    assert books.kept[CANARY].champion.rows == 2
    assert tally.flush() == {}
    assert books.kept[CANARY].champion.rows == 3


def test_what_cannot_be_written_waits_in_memory(clock):
    from portfolio.errors import Unwritable

    books = Books()
    tally = Tally(books, clock=lambda: clock[0])
    books.error = Unwritable("read-only")
    for clock[0] in (EVERY_S, 2 * EVERY_S, 3 * EVERY_S):
        tally.add(ONE)
    assert tally.flush()[CANARY].champion.rows == 3
    books.error = None
    assert tally.flush() == {}
    assert books.kept[CANARY].champion.rows == 3


def test_threads_lose_no_count(clock):
    import threading

    books = Books()
    tally = Tally(books, clock=lambda: clock[0])

    def count():
        for _ in range(200):
            clock[0] += 1.0
            tally.add(ONE)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.flush()
    assert books.kept[CANARY].champion.rows == 800
