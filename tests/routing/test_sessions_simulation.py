"""The simulated conversations behind docs/decisions/0007-sessions.md, and what they must show of sessions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from benchmarks.sessions import Figures, argmax, first_task, margin_of, markdown, play, simulate, stay_down_to, table

TRUE = np.repeat(np.arange(4), 30)  # 120 rows of 4 tasks
MATTER = np.repeat(np.arange(12), 10)  # 3 matters a task


def test_conversations_drift_as_often_as_asked_and_to_every_task():
    sessions = simulate(TRUE, np.random.default_rng(0), sessions=500, turns=11, drift=0.12)
    true = TRUE[np.stack(sessions)]  # (500, 11)
    assert np.mean(true[:, 1:] != true[:, :-1]) == pytest.approx(0.12, abs=0.015)  # 5,000 turns
    assert np.bincount(true[:, 0]) / 500 == pytest.approx([0.25] * 4, abs=0.08)
    assert {tuple(pair) for one in true for pair in pairwise(one)} == set(np.ndindex(4, 4))


def test_without_drift_a_conversation_is_of_one_task_and_of_many_rows():
    for rows in simulate(TRUE, np.random.default_rng(0), sessions=5, turns=40, drift=0.0):
        assert len(set(TRUE[rows])) == 1
        assert len(set(MATTER[rows])) == 3


def test_a_matter_lasts_as_long_as_its_task():
    for rows in simulate(TRUE, np.random.default_rng(0), sessions=20, turns=40, drift=0.12, matter_of_row=MATTER):
        np.testing.assert_array_equal(np.diff(MATTER[rows]) != 0, np.diff(TRUE[rows]) != 0)


def test_the_same_seed_gives_the_same_conversations():
    one, same, other = (np.stack(simulate(TRUE, np.random.default_rng(s), sessions=3, turns=9)) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_switches_are_counted_as_seen_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]])
    true = np.array([0, 0, 1, 1])
    sessions = [np.array([0, 1, 0, 2, 3]), np.array([2, 2])]
    got = play(argmax, sessions, probabilities, true)  # says 0 1 0 1 0 and 1 1, where 0 0 0 1 1 and 1 1 is true
    assert got == Figures(turns=7, switches=4, spurious=3, accuracy=5 / 7)
    assert play(first_task, sessions, probabilities, true) == Figures(turns=7, switches=0, spurious=0, accuracy=5 / 7)
    got = play(stay_down_to(0.25), sessions, probabilities, true)  # 0 0 0 1 1
    assert got == Figures(turns=7, switches=1, spurious=0, accuracy=1.0)
    got = play(margin_of(0.65), sessions, probabilities, true)  # 0 0 0 0 0
    assert got.switches == 0


SIX = np.repeat(np.arange(6), 100)  # 600 rows of 6 tasks


def noisy_probabilities():
    """A calibrated router of six tasks, right in 85 % of rows: the posterior of Gaussians 2.4 from the origin."""
    seen = 2.4 * np.eye(6)[SIX] + np.random.default_rng(0).normal(size=(600, 6))
    weights = np.exp(2.4 * (seen - seen.max(axis=1, keepdims=True)))
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def measured():
    return table(noisy_probabilities(), SIX, "abcdef", seed=0)


def test_sessions_beat_no_session_and_the_naive_ways_of_the_same_promise(measured):
    rows = {row.policy: row.figures for row in measured}
    ours = rows["ours"]
    assert rows["argmax"].accuracy == pytest.approx(0.85, abs=0.03)
    assert ours.spurious < rows["argmax"].spurious / 2
    for other in ("argmax", "the first task for ever", "stay while P(own) >= .1", "margin .8"):
        assert ours.accuracy > rows[other].accuracy + 0.01, other


def test_the_table_counts_switches_per_hundred_turns(measured):
    lines = markdown(measured).splitlines()
    assert len(lines) == 2 + len(measured)
    figures = measured[0].figures
    assert lines[2] == (
        f"| argmax | {figures.switches / 200:.2f} | {figures.spurious / 200:.2f} | {100 * figures.accuracy:.2f} |"
    )  # of 20,000 turns
