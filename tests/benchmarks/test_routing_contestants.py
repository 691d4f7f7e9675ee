"""Routers that the benchmark compares with, on points whose answers are seen by eye or by a slower way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.routing_contestants import (
    NEIGHBOURS,
    ClassCentroids,
    Contestant,
    NearestTexts,
    OnLastBlock,
    Routed,
    TaskCentroids,
)
from benchmarks.routing_data import Float32, Int64, Rows
from benchmarks.routing_flips import flips_of, shares_by_quarter
from benchmarks.routing_ours import Ours, OursWhole
from benchmarks.routing_problems import Problem

WIDTH = 6


def rows(features: Float32, classes: Int64, prefix: str = "text") -> Rows:
    return Rows(texts=tuple(f"{prefix} {n}" for n in range(len(classes))), classes=classes, features=features)


@pytest.fixture
def problem() -> Problem:
    """Two tasks of two classes each. The classes of task 0 lie at opposite ends, so that its one centroid is nowhere."""
    rng = np.random.default_rng(0)
    centres = np.zeros((4, WIDTH))
    centres[[0, 1, 2, 3], [0, 0, 1, 2]] = [3, -3, 3, 3]

    def draw(count: int, prefix: str) -> Rows:
        classes = np.repeat(np.arange(4), count)
        points = centres[classes] + 0.3 * rng.standard_normal((len(classes), WIDTH))
        return rows(points.astype(np.float32), classes, prefix)

    outside = (rng.standard_normal((40, WIDTH)) * 0.3 + np.eye(WIDTH)[5] * 3).astype(np.float32)
    return Problem(
        name="toy",
        tasks=("ends", "sides"),
        task_of_class=np.array([0, 0, 1, 1]),
        train=draw(40, "train"),
        calibration=draw(40, "calibration"),
        judged=draw(25, "judged"),
        outside_calibration=outside[:20],
        outside_judged=outside[20:],
        trunk_width=3,
        block_width=1,
        upper_share=0.5,
    )


def accuracy(contestant: Contestant, problem: Problem) -> float:
    said = contestant.fit(problem).route(problem.judged.features)
    return float((said.tasks == problem.task_of(problem.judged)).mean())


def test_one_centroid_a_task_fails_where_classes_of_a_task_lie_at_opposite_ends(problem: Problem) -> None:
    assert accuracy(TaskCentroids(), problem) < 0.9


@pytest.mark.parametrize("contestant", [ClassCentroids(), NearestTexts(), OursWhole(), Ours()], ids=lambda c: c.name)
def test_every_other_router_tells_tasks_apart_and_texts_that_none_knows(
    contestant: Contestant, problem: Problem
) -> None:
    fitted = contestant.fit(problem)
    assert accuracy(contestant, problem) == 1
    assert fitted.route(problem.judged.features).scores.min() > fitted.route(problem.outside_judged).scores.max()


def test_class_centroids_choose_the_class_of_the_largest_cosine(problem: Problem) -> None:
    said = ClassCentroids().fit(problem).route(problem.outside_judged)
    for row, task, score, margin in zip(problem.outside_judged, said.tasks, said.scores, said.margins, strict=True):
        best = {0: -1.0, 1: -1.0}
        for number in range(4):
            centroid = problem.train.features[problem.train.classes == number].mean(axis=0)
            cosine = float(row @ centroid / np.linalg.norm(row) / np.linalg.norm(centroid))
            best[number // 2] = max(best[number // 2], cosine)
        assert task == max(best, key=lambda one: best[one])
        assert score == pytest.approx(max(best.values()), abs=1e-5)
        assert margin == pytest.approx(abs(best[0] - best[1]), abs=1e-5)


def test_the_nearest_texts_vote_with_their_cosines_and_the_last_of_them_gives_the_score(problem: Problem) -> None:
    said = NearestTexts().fit(problem).route(problem.outside_judged)
    stored = problem.train.features / np.linalg.norm(problem.train.features, axis=1, keepdims=True)
    for row, task, score in zip(problem.outside_judged, said.tasks, said.scores, strict=True):
        cosines = stored @ row / np.linalg.norm(row)
        nearest = sorted(range(len(cosines)), key=lambda number: -cosines[number])[:NEIGHBOURS]
        votes = [sum(cosines[n] for n in nearest if problem.train.classes[n] // 2 == one) for one in (0, 1)]
        assert task == int(votes[1] > votes[0])
        assert score == pytest.approx(cosines[nearest[-1]], abs=1e-5)


def test_what_sees_the_last_block_only_is_blind_to_the_other_columns(problem: Problem) -> None:
    fitted = OnLastBlock(inner=ClassCentroids(), width=4).fit(problem)
    other = problem.judged.features.copy()
    other[:, :2] = 7
    said, again = fitted.route(problem.judged.features), fitted.route(other)
    assert np.array_equal(said.scores, again.scores) and np.array_equal(said.tasks, again.tasks)


def test_only_routers_that_store_texts_say_so_and_count_their_bytes(problem: Problem) -> None:
    kept = NearestTexts().fit(problem)
    text_bytes = sum(len(text) for text in problem.train.texts)
    assert kept.texts_kept == len(problem.train) == 160
    assert kept.bytes_stored - kept.bytes_to_route == text_bytes
    assert ClassCentroids().fit(problem).bytes_stored == 4 * WIDTH * 4
    assert Ours().fit(problem).texts_kept == 0


def test_the_cascade_keeps_to_the_whole_router_and_asks_for_less(problem: Problem) -> None:
    cascade, whole = Ours().fit(problem), OursWhole().fit(problem)
    said = cascade.route(problem.judged.features)
    assert np.array_equal(said.tasks, whole.route(problem.judged.features).tasks)
    assert said.asked is not None and 0 < said.asked.mean() < 0.5


def test_rows_that_the_first_look_is_sure_of_rank_above_all_that_are_asked(problem: Problem) -> None:
    said = Ours().fit(replace(problem, trunk_width=1)).route(problem.judged.features)
    assert said.asked is not None and said.asked.any() and not said.asked.all()
    assert said.scores[said.asked].max() < said.scores[~said.asked].min()


def test_our_probabilities_of_tasks_add_up_to_one_and_agree_with_the_choice(problem: Problem) -> None:
    fitted = Ours().fit(problem)
    probabilities, said = fitted.task_probabilities(problem.judged.features), fitted.route(problem.judged.features)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert np.array_equal(probabilities.argmax(axis=1), said.tasks)
    np.testing.assert_allclose(probabilities.max(axis=1), said.probabilities)


def test_shares_are_taken_quarter_by_quarter_from_the_smallest_margin_on() -> None:
    margins = np.array([0.9, 0.1, 0.5, 0.3, 0.8, 0.2, 0.6, 0.4])
    values = (margins < 0.35).astype(np.float64)  # .1, .2 and .3
    assert shares_by_quarter(values, margins) == (1, 0.5, 0, 0)


def test_a_route_flips_where_the_changed_text_goes_to_another_task(problem: Problem) -> None:
    some = np.array([0, 30, 60, 90])
    same = problem.judged.features[some]
    moved = same.copy()
    moved[0] = problem.judged.features[99]
    flips = {one.change: one for one in flips_of(ClassCentroids(), problem, some, {"none": same, "first": moved})}
    assert (flips["none"].share, flips["none"].accuracy) == (0, 1)
    assert (flips["first"].share, flips["first"].accuracy, flips["first"].accuracy_before) == (0.25, 0.75, 1)
    assert sum(flips["first"].by_quarter) == 1


def test_a_sample_is_the_same_every_time_and_keeps_the_training_rows(problem: Problem) -> None:
    one, two = problem.sampled(10), problem.sampled(10)
    assert one.judged.texts == two.judged.texts and len(one.judged) == len(one.calibration) == 10
    assert len(one.outside_judged) == 10 and one.train is problem.train
    number = problem.judged.texts.index(one.judged.texts[3])
    assert np.array_equal(one.judged.features[3], problem.judged.features[number])


def test_routed_states_nothing_that_a_router_does_not_have(problem: Problem) -> None:
    said: Routed = TaskCentroids().fit(problem).route(problem.judged.features)
    assert said.probabilities is None and said.abstains is None and said.asked is None
