"""Overlap of tasks, on class means whose distances are seen by eye. d = 4: two classes are near below 0.3 · √4 = 0.6."""

from __future__ import annotations

import math

import numpy as np
import pytest

from routing.overlap import overlap, stolen_by

FAR = 10.0


def means(*tasks):
    """Class means at these places of the first axis, all else 0; and the task of each."""
    places = [place for task in tasks for place in task]
    whitened = np.zeros((len(places), 4))
    whitened[:, 0] = places
    return whitened, np.repeat(np.arange(len(tasks)), [len(task) for task in tasks])


def rows(*chosen):
    return np.array(chosen, dtype=np.int64)


def names(pairs):
    return [(pair.first, pair.second, pair.verdict) for pair in pairs]


def test_the_share_taken_is_counted_row_by_row():
    chosen = [rows(0, 0, 1, 2), rows(1, 1), rows(0, 2, 2, 2, 2)]
    found = overlap(["a", "b", "c"], chosen, *means([0], [FAR], [2 * FAR]))
    np.testing.assert_allclose(found.taken, [[0.5, 0.25, 0.25], [0, 1, 0], [0.2, 0, 0.8]])
    assert names(found.pairs) == [("a", "c", "steals"), ("a", "b", "steals")]  # .225 and .125 exchanged
    assert (found.pairs[0].taken_by_second, found.pairs[0].taken_by_first) == (0.25, 0.2)
    assert found.pairs[0].exchanged == pytest.approx(0.225)


def test_tasks_that_keep_their_rows_and_lie_far_apart_are_not_mentioned():
    found = overlap(["a", "b"], [rows(0, 0), rows(1)], *means([0], [FAR]))
    assert found.pairs == ()


@pytest.mark.parametrize(
    ("lost", "verdict"), [(1, "apart"), (4, "apart"), (5, "steals"), (66, "steals"), (67, "near-duplicate")]
)
def test_the_verdict_follows_the_rows(lost, verdict):
    """Of 100 rows of `a`; half of 67 % is more than a third exchanged, half of 66 % is not."""
    chosen = [rows(*[1] * lost, *[0] * (100 - lost)), rows(1, 1, 1)]
    [pair] = overlap(["a", "b"], chosen, *means([0], [FAR])).pairs
    assert pair.verdict == verdict


def test_the_thief_may_be_the_task_that_came_first():
    [pair] = overlap(["a", "b"], [rows(0, 0), rows(0, 1, 1)], *means([0], [FAR])).pairs
    assert (pair.verdict, pair.taken_by_second, pair.taken_by_first) == ("steals", 0.0, pytest.approx(1 / 3))


@pytest.mark.parametrize(
    ("second", "shared", "verdict"),
    [
        ([0.5, FAR + 0.5, 30.0], 4 / 6, "near-duplicate"),
        ([0.5, 50.0, 60.0], 2 / 6, "apart"),
        ([0.7, FAR + 0.7, 30.0], 0.0, None),
        ([0.5, 0.1, 0.2, 0.3, 90.0], 5 / 8, "near-duplicate"),  # one class here has four partners there
        ([0.5, 0.2, 90.0], 3 / 6, "apart"),  # half is not the majority
    ],
)
def test_the_verdict_follows_the_classes_where_no_row_is_exchanged(second, shared, verdict):
    found = overlap(["a", "b"], [rows(0), rows(1)], *means([0.0, FAR, 2 * FAR], second)).pairs
    assert [(pair.shared_classes, pair.verdict) for pair in found] == ([(shared, verdict)] if verdict else [])


def test_the_closest_classes_are_numbered_within_their_tasks():
    whitened, task_of_class = means([70.0], [0.0, FAR], [40.0, 90.0, FAR + 3])
    found = overlap(["a", "b", "c"], [rows(0), rows(1, 2), rows(2)], whitened, task_of_class)
    [pair] = found.pairs
    assert (pair.first, pair.second, pair.nearest_classes) == ("b", "c", (1, 2))
    assert pair.distance == pytest.approx(3.0)


def test_distances_and_partners_are_those_of_a_loop_over_classes():
    generator = np.random.default_rng(0)
    whitened, task_of_class = generator.normal(size=(30, 4)) * 0.5, np.repeat([0, 1, 2, 3], [10, 2, 17, 1])
    found = overlap(list("abcd"), [rows(0)] * 4, whitened, task_of_class)
    assert len(found.pairs) >= 4
    for pair in found.pairs:
        first, second = (whitened[task_of_class == "abcd".index(name)] for name in (pair.first, pair.second))
        gaps = {(a, b): math.dist(x, y) for a, x in enumerate(first) for b, y in enumerate(second)}
        assert pair.nearest_classes == min(gaps, key=gaps.get)
        assert pair.distance == pytest.approx(min(gaps.values()))
        partnered = {("first", a) for (a, b), gap in gaps.items() if gap < 0.6}
        partnered |= {("second", b) for (a, b), gap in gaps.items() if gap < 0.6}
        assert pair.shared_classes == pytest.approx(len(partnered) / (len(first) + len(second)))


def test_a_task_without_validation_rows_is_judged_by_its_classes_and_its_share_is_unknown():
    found = overlap(["a", "b"], [rows(), rows(0, 1, 1, 1)], *means([0], [0.5]))
    assert np.isnan(found.taken[0]).all()
    [pair] = found.pairs
    assert math.isnan(pair.taken_by_second)
    assert (pair.taken_by_first, pair.exchanged, pair.verdict) == (0.25, 0.125, "near-duplicate")


def test_pairs_come_in_the_order_of_what_they_exchange_then_of_the_classes_they_share():
    chosen = [rows(0), rows(1), rows(2, 2, 2, 3), rows(2, 3)]
    found = overlap(list("abcd"), chosen, *means([0, 90], [0.5, FAR, 3 * FAR], [0.2], [50]))
    shared = [(pair.first, pair.second, round(pair.shared_classes, 3)) for pair in found.pairs]
    assert shared == [("c", "d", 0.0), ("a", "c", 0.667), ("b", "c", 0.5), ("a", "b", 0.4)]


def before_and_after():
    """`new` comes to stand first; row 2 of `a` had gone astray before, and row 3 moves to `b`."""
    before = overlap(["a", "b"], [rows(0, 0, 1, 0), rows(1, 1, 1)], *means([0], [FAR]))
    after = overlap(["new", "b", "a"], [rows(0), rows(1, 0, 0), rows(2, 0, 0, 1)], *means([5], [FAR], [0]))
    return before, after


def test_a_theft_is_a_row_that_went_home_before_and_to_the_new_task_now():
    thefts = stolen_by(*before_and_after(), "new")
    assert [(theft.task, theft.rows) for theft in thefts] == [("b", (1, 2)), ("a", (1,))]
    assert [theft.share for theft in thefts] == pytest.approx([2 / 3, 1 / 4])


def test_a_new_task_that_takes_nothing_stole_nothing():
    before = overlap(["a"], [rows(0, 0)], *means([0]))
    after = overlap(["a", "new"], [rows(0, 0), rows(0, 1)], *means([0], [FAR]))
    assert stolen_by(before, after, "new") == ()


def test_only_two_states_one_task_apart_can_be_compared():
    before, after = before_and_after()
    for wrong in ((after, before, "new"), (before, after, "b"), (before, before, "a"), (before, after, "other")):
        with pytest.raises(ValueError, match="the same tasks and rows"):
            stolen_by(*wrong)
    fewer_rows = overlap(["new", "b", "a"], [rows(0), rows(1), rows(2, 0, 0, 1)], *means([5], [FAR], [0]))
    with pytest.raises(ValueError, match="the same tasks and rows"):
        stolen_by(before, fewer_rows, "new")


@pytest.mark.parametrize(
    ("tasks", "chosen", "classes", "message"),
    [
        ([], [], [], "of 0 tasks"),
        (["a", "b"], [rows(0)], [0, 1], "got 1 lots"),
        (["a", "b"], [rows(0), rows(2)], [0, 1], "0 to 1"),
        (["a", "b"], [rows(0), rows(-1)], [0, 1], "0 to 1"),
        (["a", "b"], [rows(0), rows(1)], [1, 0], "growing"),
        (["a", "b"], [rows(0), rows(1)], [0], "growing"),
        (["a", "b"], [rows(0), rows(1)], [0, 0], "growing, each of 2"),
        (["a"], [rows(0)], [-1, 0], "growing, each of 1"),
        (["a"], [rows(0)], [0, 1], "growing, each of 1"),
        (["a", "b"], [rows(0), rows(1)], [1, 1], "growing, each of 2"),
        (["a", "b"], [rows(0), rows(1)], [0, 2], "growing, each of 2"),
    ],
)
def test_arguments_that_do_not_agree_are_refused(tasks, chosen, classes, message):
    with pytest.raises(ValueError, match=message):
        overlap(tasks, chosen, np.zeros((2, 4)), np.array(classes, dtype=np.int64))
