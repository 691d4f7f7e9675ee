"""The router: expected answers seen by eye on clusters in a plane, or computed the long way round."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from routing.calibration import choose_temperature, choose_threshold
from routing.neighbours import NEAREST
from routing.router import CentroidRouter
from routing.statistics import Totals, summarise
from routing.whitening import oas_shrinkage

CORNERS = {  # two classes a task
    "east": [(10, 0), (10, 4)],
    "north": [(0, 10), (4, 10)],
    "west": [(-10, 0), (-10, -4)],
}


def cluster(centre, rows=20, seed=0):
    return (np.array(centre) + np.random.default_rng(seed).normal(size=(rows, len(centre)))).astype(np.float32)


def statistics_of(corners=CORNERS, rows=20):
    """Per task its centroids and scatter, from round clusters around its corners."""
    found = {}
    for seed, (name, centres) in enumerate(corners.items()):
        features = np.concatenate([cluster(centre, rows, seed * 10 + number) for number, centre in enumerate(centres)])
        found[name] = summarise(features, np.repeat(np.arange(len(centres)), rows), len(centres))
    return found


def router_of(statistics, **settings):
    width = next(iter(statistics.values()))[0].width
    totals = Totals.zero(width)
    for centroids, scatter in statistics.values():
        totals = totals.add(centroids, scatter)
    return CentroidRouter(totals, {name: centroids for name, (centroids, _) in statistics.items()}, **settings)


@pytest.fixture(scope="module")
def router():
    return router_of(statistics_of())


def points(*values):
    return np.array(values, dtype=np.float32)


def test_each_cluster_goes_to_its_task_in_the_order_of_the_rows(router):
    decisions = router.route(points((-10, -2), (10, 1), (2, 9)))
    assert [decision.tasks for decision in decisions] == [("west",), ("east",), ("north",)]
    assert all(decision.scores[0] > 0.99 and decision.margin > 0.98 for decision in decisions)


def test_probabilities_are_the_softmax_of_mahalanobis_distances_summed_over_classes():
    statistics = statistics_of()
    queries = points((3, 3), (-2, 5), (9, 9))
    scatter = sum(scatter for _, scatter in statistics.values())
    covariance = scatter / (120 - 6)
    router = router_of(statistics, temperature=7.0)
    covariance = (1 - router.shrinkage) * covariance + router.shrinkage * np.trace(covariance) / 2 * np.eye(2)
    inverse = np.linalg.inv(covariance)
    for query, got in zip(queries, router.task_scores(queries), strict=True):
        weights = [
            sum(math.exp(-((query - mean) @ inverse @ (query - mean)) / 14) for mean in centroids.means)
            for centroids, _ in statistics.values()
        ]
        np.testing.assert_allclose(np.exp(got), np.array(weights) / sum(weights), rtol=1e-6)


def shrunken(scatter, degrees):
    covariance = scatter / degrees
    rho = oas_shrinkage(covariance, degrees)
    return (1 - rho) * covariance + rho * np.trace(covariance) / len(covariance) * np.eye(len(covariance))


def test_the_in_scope_score_is_the_background_distance_less_the_nearest_class():
    features = np.concatenate([cluster((6, 0), seed=1), cluster((-6, 1), seed=2)]).astype(np.float64)
    centroids, scatter = summarise(features, np.repeat([0, 1], 20), 2)
    query, middle, nearest = np.array([5.0, 1.0]), features.mean(axis=0), features[:20].mean(axis=0)
    background = shrunken((features - middle).T @ (features - middle), 39)
    expected = (query - middle) @ np.linalg.inv(background) @ (query - middle)
    expected -= (query - nearest) @ np.linalg.inv(shrunken(scatter, 38)) @ (query - nearest)
    router = router_of({"only": (centroids, scatter)})
    assert router.in_scope_scores(query[None])[0] == pytest.approx(expected, rel=1e-9)


def test_a_point_in_no_cluster_is_less_in_scope_than_every_training_cluster(router):
    inside = router.in_scope_scores(points((10, 0), (0, 10), (-10, -4)))
    outside = router.in_scope_scores(points((0, 0), (0, -10), (10, -10)))
    assert inside.min() > outside.max()


def test_below_the_threshold_the_router_abstains_says_why_and_still_names_its_best_guess():
    statistics = statistics_of()
    inside = np.concatenate([cluster(centre, 50, 99) for corners in CORNERS.values() for centre in corners])
    threshold = choose_threshold(router_of(statistics).in_scope_scores(inside), 0.95)
    router = router_of(statistics, threshold=threshold)
    known, unknown = router.route(points((10, 0), (6, -8)))
    assert not known.abstain and "reaches the threshold" in known.reason
    assert unknown.abstain and unknown.in_scope < threshold
    assert unknown.tasks == ("east",)
    assert re.match(r"abstained: in-scope score -?\d+\.\d is below the threshold", unknown.reason)


def test_a_threshold_keeps_the_wanted_share_of_the_rows_it_was_chosen_on(router):
    features = np.concatenate([cluster(centre, 50, 7) for corners in CORNERS.values() for centre in corners])
    threshold = choose_threshold(router.in_scope_scores(features), 0.9)
    decisions = router_of(statistics_of(), threshold=threshold).route(features)
    assert sum(not decision.abstain for decision in decisions) == 270


def test_the_reason_names_the_nearest_class_and_the_runner_up(router):
    [decision] = router.route(points((10, 4)))
    assert "nearest is class 1 of 'east'" in decision.reason
    assert "the runner-up 'north' 0.000" in decision.reason


def test_top_k_names_the_best_tasks_first_and_no_more_than_there_are(router):
    [two] = router.route(points((7, 7.5)), top_k=2)
    [all_of_them] = router.route(points((7, 7.5)), top_k=9)
    assert set(two.tasks) == {"east", "north"}
    assert list(two.scores) == sorted(two.scores, reverse=True)
    assert len(all_of_them.tasks) == 3
    assert sum(all_of_them.scores) == pytest.approx(1)
    assert two.margin == pytest.approx(two.scores[0] - two.scores[1])


def test_the_margin_does_not_depend_on_how_many_tasks_are_named(router):
    query = points((7, 7))
    assert router.route(query)[0].margin == router.route(query, top_k=3)[0].margin


def test_only_allowed_tasks_are_chosen_whatever_the_order_they_are_named_in(router):
    query = points((10, 0))
    [decision] = router.route(query, top_k=3, allowed=["west", "north"])
    assert decision.tasks == ("north", "west")
    assert sum(decision.scores) == pytest.approx(1)
    assert decision == router.route(query, top_k=3, allowed=["north", "west"])[0]
    assert decision.in_scope < router.route(query)[0].in_scope


def test_a_single_allowed_task_is_certain_and_says_that_it_had_no_rival(router):
    [decision] = router.route(points((10, 0)), top_k=2, allowed=["west"])
    assert (decision.tasks, decision.scores, decision.margin) == (("west",), (1.0,), 1.0)
    assert "the only task to choose from" in decision.reason


def test_a_task_that_is_not_known_cannot_be_allowed(router):
    with pytest.raises(ValueError, match=r"one or more of the tasks east, north, west; got \['south'\]"):
        router.route(points((0, 0)), allowed=["south", "east"])
    with pytest.raises(ValueError, match="got none"):
        router.route(points((0, 0)), allowed=[])


def test_a_class_gets_its_share_within_its_task(router):
    got = np.exp(router.class_log_probabilities(points((10, 0), (10, 4), (-9, 1)), "east"))
    assert got.shape == (3, 2)
    np.testing.assert_allclose(got.sum(axis=1), 1)
    assert got[0, 0] > 0.9 and got[1, 1] > 0.9


def test_task_and_class_shares_multiply_to_the_softmax_over_all_classes(router):
    queries = points((3, 3), (-2, 5))
    joint = np.exp(
        np.concatenate(
            [
                router.task_scores(queries)[:, [number]] + router.class_log_probabilities(queries, task)
                for number, task in enumerate(router.tasks)
            ],
            axis=1,
        )
    )
    weights = np.exp(router.negative_half_distances(queries))
    np.testing.assert_allclose(joint, weights / weights.sum(axis=1, keepdims=True), rtol=1e-9)


def test_the_nearest_classes_come_nearest_first(router):
    [near] = router.nearest_classes(points((10, 3)), 3)
    assert [(found.task, found.number) for found in near] == [("east", 1), ("east", 0), ("north", 1)]
    assert near[0].squared_distance < near[1].squared_distance < near[2].squared_distance
    assert len(router.nearest_classes(points((10, 3)), 99)[0]) == 6


def test_a_higher_temperature_is_more_modest_and_changes_no_nearest_class():
    query = points((7, 6))
    cool, hot = (router_of(statistics_of(), temperature=temperature) for temperature in (1.0, 50.0))
    assert hot.route(query)[0].margin < cool.route(query)[0].margin
    assert hot.nearest_classes(query, 1) == cool.nearest_classes(query, 1)


def test_the_calibrated_temperature_lowers_the_loss_on_the_rows_it_was_chosen_on():
    near_each_other = {"a": [(0, 0), (1, 1)], "b": [(1, 0), (2, 1)]}
    statistics = statistics_of(near_each_other)
    features = np.concatenate([cluster(c, 200, 5) for corners in near_each_other.values() for c in corners]) * 3
    true = np.repeat([0, 1], 400)
    plain = router_of(statistics)
    temperature = choose_temperature(plain.negative_half_distances(features), plain.task_of_class, true)
    calibrated = router_of(statistics, temperature=temperature)

    def loss(router):
        return -router.task_scores(features)[np.arange(800), true].mean()

    assert temperature > 1.5
    assert loss(calibrated) < loss(plain)


def test_the_order_of_tasks_changes_only_the_order_of_the_scores():
    statistics = statistics_of()
    backwards = dict(reversed(statistics.items()))
    queries = points((3, 3), (-2, 5), (9, 9), (0, -7))
    forwards, reverse = router_of(statistics), router_of(backwards)
    np.testing.assert_allclose(forwards.task_scores(queries), reverse.task_scores(queries)[:, ::-1], atol=1e-9)
    np.testing.assert_allclose(forwards.in_scope_scores(queries), reverse.in_scope_scores(queries), atol=1e-9)
    assert reverse.tasks == ("west", "north", "east")


def test_removing_a_task_restores_the_earlier_router():
    statistics = statistics_of()
    queries = points((3, 3), (-2, 5), (9, 9))
    totals = Totals.zero(2)
    for centroids, scatter in statistics.values():
        totals = totals.add(centroids, scatter)
    left = {name: centroids for name, (centroids, _) in statistics.items() if name != "north"}
    restored = CentroidRouter(totals.subtract(*statistics["north"]), left)
    earlier = router_of({name: statistics[name] for name in left})
    np.testing.assert_allclose(restored.task_scores(queries), earlier.task_scores(queries), rtol=0, atol=1e-9)
    np.testing.assert_allclose(restored.in_scope_scores(queries), earlier.in_scope_scores(queries), atol=1e-9)


def test_looking_at_the_nearest_classes_only_agrees_with_looking_at_all():
    generator = np.random.default_rng(3)
    corners = {f"task{number}": generator.normal(scale=8, size=(5, 6)) for number in range(60)}
    statistics = statistics_of(corners, rows=4)
    exhaustive, nearest = router_of(statistics), router_of(statistics, exhaustive_up_to=50)
    queries = generator.normal(scale=8, size=(40, 6)).astype(np.float32)
    for allowed in (None, [f"task{number}" for number in range(0, 60, 2)]):
        exact, approximate = (router.route(queries, top_k=2, allowed=allowed) for router in (exhaustive, nearest))
        for left, right in zip(exact, approximate, strict=True):
            assert left.tasks[0] == right.tasks[0]
            np.testing.assert_allclose(left.scores, right.scores, atol=1e-3)
            assert left.in_scope == pytest.approx(right.in_scope, rel=1e-4, abs=1e-3)
    scores = nearest.task_scores(queries)
    assert scores.shape == (40, 60)
    assert np.isneginf(scores).any()  # 64 of 300 classes cannot be of all 60 tasks for every query
    assert len(nearest.nearest_classes(queries[:1], 300)[0]) == NEAREST


def test_a_row_is_routed_the_same_alone_and_in_a_batch_larger_than_one_piece(router):
    features = np.random.default_rng(4).normal(scale=8, size=(2100, 2)).astype(np.float32)
    together = router.route(features)
    assert len(together) == 2100
    for row in (0, 1023, 1024, 2099):
        [alone] = router.route(features[row : row + 1])
        assert alone.tasks == together[row].tasks
        assert alone.scores == pytest.approx(together[row].scores, abs=1e-9)
        assert alone.in_scope == pytest.approx(together[row].in_scope, abs=1e-9)


def test_no_rows_give_no_decisions(router):
    nothing = np.empty((0, 2), dtype=np.float32)
    assert router.route(nothing) == []
    assert router.task_scores(nothing).shape == (0, 3)
    assert router.in_scope_scores(nothing).shape == (0,)
    assert router.class_log_probabilities(nothing, "east").shape == (0, 2)
    assert router.negative_half_distances(nothing).shape == (0, 6)
    assert router.nearest_classes(nothing, 2) == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda router, features: router.route(features),
        lambda router, features: router.task_scores(features),
        lambda router, features: router.in_scope_scores(features),
        lambda router, features: router.negative_half_distances(features),
        lambda router, features: router.class_log_probabilities(features, "east"),
        lambda router, features: router.nearest_classes(features, 1),
    ],
)
def test_features_that_are_not_finite_or_not_as_wide_are_refused_at_every_door(router, ask):
    with pytest.raises(ValueError, match="NaN or infinity in row 1"):
        ask(router, points((0, 0), (np.nan, 0)))
    with pytest.raises(ValueError, match="NaN or infinity in row 0"):
        ask(router, points((0, np.inf), (0, 0)))
    with pytest.raises(ValueError, match=r"expected \(N, 2\) float32 features, got \(1, 3\) float32"):
        ask(router, points((0, 0, 0)))
    with pytest.raises(ValueError, match=r"got \(2,\) float32"):
        ask(router, np.zeros(2, dtype=np.float32))


def test_five_examples_a_class_in_many_dimensions_still_route_well():
    generator = np.random.default_rng(5)
    centres = {name: generator.normal(size=(3, 200)) for name in ("a", "b", "c")}
    statistics = statistics_of(centres, rows=5)
    router = router_of(statistics)
    queries = np.concatenate([cluster(centre, 10, 77) for corners in centres.values() for centre in corners])
    routed = [decision.tasks[0] for decision in router.route(queries)]
    assert np.mean([got == name for got, name in zip(routed, np.repeat(list(centres), 30), strict=True)]) > 0.95
    assert 0 < router.shrinkage < 1


def test_one_class_of_one_example_is_a_task_like_any_other():
    statistics = statistics_of({"east": [(10, 0)]})
    statistics["lonely"] = summarise(points((-30, 5)), np.array([0]), 1)
    decisions = router_of(statistics).route(points((10, 0), (-30, 5)))
    assert [decision.tasks[0] for decision in decisions] == ["east", "lonely"]


def test_a_portfolio_of_single_examples_falls_back_to_euclidean_distance():
    statistics = {
        name: summarise(points(place), np.array([0]), 1) for name, place in {"left": (0, 0), "right": (10, 0)}.items()
    }
    router = router_of(statistics)
    assert router.shrinkage == 1.0
    [near] = router.nearest_classes(points((4, 0)), 2)
    assert [(found.task, found.squared_distance) for found in near] == [("left", 16.0), ("right", 36.0)]


def test_identical_features_everywhere_give_even_odds_and_finite_scores():
    same = np.ones((4, 3), dtype=np.float32)
    statistics = {name: summarise(same, np.array([0, 0, 1, 1]), 2) for name in ("a", "b")}
    [decision] = router_of(statistics).route(same[:1], top_k=2)
    assert decision.tasks == ("a", "b")  # of equals, the one that came first
    assert decision.scores == (0.5, 0.5)
    assert decision.in_scope == 0


def test_one_task_alone_is_always_chosen():
    [decision] = router_of(statistics_of({"east": [(10, 0), (10, 4)]})).route(points((-10, 0)))
    assert (decision.tasks, decision.scores, decision.margin) == (("east",), (1.0,), 1.0)


def test_a_router_needs_a_task():
    with pytest.raises(ValueError, match="one task or more"):
        CentroidRouter(Totals.zero(2), {})


def test_totals_of_other_tasks_are_refused():
    statistics = statistics_of()
    centroids, scatter = statistics["east"]
    with pytest.raises(ValueError, match="120 rows in 6 classes; got totals of 40 in 2"):
        CentroidRouter(Totals.zero(2).add(centroids, scatter), {name: c for name, (c, _) in statistics.items()})


@pytest.mark.parametrize("temperature", [0, -1, math.nan, math.inf])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature must be a positive number"):
        router_of(statistics_of(), temperature=temperature)


def test_a_threshold_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="threshold must be a number"):
        router_of(statistics_of(), threshold=math.nan)


def test_asking_for_no_task_or_no_class_is_refused(router):
    with pytest.raises(ValueError, match="top_k must be 1 or more, got 0"):
        router.route(points((0, 0)), top_k=0)
    with pytest.raises(ValueError, match="k must be 1 or more, got 0"):
        router.nearest_classes(points((0, 0)), 0)
