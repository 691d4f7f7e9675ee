"""The router: expected answers seen by eye on clusters in a plane, or computed the long way round."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from routing.calibration import choose_temperature, choose_threshold
from routing.neighbours import NEAREST
from routing.router import MOST_OWN, NEAREST_TOLD, Calibration, CentroidRouter
from routing.statistics import Centroids, Totals, summarise
from routing.whitening import oas_shrinkage

CORNERS = {  # two classes a task
    "east": [(10, 0), (10, 4)],
    "north": [(0, 10), (4, 10)],
    "west": [(-10, 0), (-10, -4)],
}


def cluster(centre, rows=20, seed=0):
    return (np.array(centre) + np.random.default_rng(seed).normal(size=(rows, len(centre)))).astype(np.float32)


def statistics_of(corners=CORNERS, rows=20, corner=0):
    """Per task its centroids and scatter, from round clusters around its corners."""
    found = {}
    for seed, (name, centres) in enumerate(corners.items()):
        features = np.concatenate([cluster(centre, rows, seed * 10 + number) for number, centre in enumerate(centres)])
        found[name] = summarise(features, np.repeat(np.arange(len(centres)), rows), len(centres), corner)
    return found


def router_of(statistics, settings=None, **wishes):
    width = next(iter(statistics.values()))[0].width
    totals = Totals.zero(width)
    for centroids, scatter in statistics.values():
        totals = totals.add(centroids, scatter)
    tasks = {name: centroids for name, (centroids, _) in statistics.items()}
    return CentroidRouter(totals, tasks, settings=settings, **wishes)


def set_to(*, threshold=-math.inf, temperature=1.0, shrinkage=0.3, own_share=0.0):
    return Calibration(threshold=threshold, temperature=temperature, shrinkage=shrinkage, own_share=own_share)


def probabilities(router, queries, **wishes):
    """(N, T), in the order of the router's tasks; 0 for those that may not be chosen."""
    decisions = router.route(queries, top_k=len(router.tasks), **wishes)
    found = [dict(zip(decision.tasks, decision.scores, strict=True)) for decision in decisions]
    return np.array([[one.get(task, 0.0) for task in router.tasks] for one in found])


@pytest.fixture(scope="module")
def router():
    return router_of(statistics_of())


def points(*values):
    return np.array(values, dtype=np.float32)


def test_each_cluster_goes_to_its_task_in_the_order_of_the_rows(router):
    decisions = router.route(points((-10, -2), (10, 1), (2, 9)))
    assert [decision.tasks for decision in decisions] == [("west",), ("east",), ("north",)]
    assert all(decision.scores[0] > 0.99 and decision.margin > 0.98 for decision in decisions)


@pytest.mark.parametrize("shrinkage", [None, 0.01, 0.7])
def test_probabilities_are_the_softmax_of_mahalanobis_distances_summed_over_classes(shrinkage):
    statistics = statistics_of()
    queries = points((3, 3), (-2, 5), (9, 9))
    scatter = sum(scatter for _, scatter in statistics.values())
    covariance = scatter / (120 - 6)
    router = router_of(statistics)
    assert router.settings == set_to(shrinkage=oas_shrinkage(covariance, 114))
    if shrinkage is None:
        shrinkage, router = router.settings.shrinkage, router.at_temperature(7.0)
    else:
        router = router_of(statistics, set_to(temperature=7.0, shrinkage=shrinkage))
    inverse = np.linalg.inv((1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / 2 * np.eye(2))
    for query, got in zip(queries, probabilities(router, queries), strict=True):
        weights = [
            sum(math.exp(-((query - mean) @ inverse @ (query - mean)) / 14) for mean in centroids.means)
            for centroids, _ in statistics.values()
        ]
        np.testing.assert_allclose(got, np.array(weights) / sum(weights), rtol=1e-6)
        assert sum(got) == pytest.approx(1)


def test_a_point_in_no_cluster_is_less_in_scope_than_every_training_cluster(router):
    inside = router.in_scope_scores(points((10, 0), (0, 10), (-10, -4)))
    outside = router.in_scope_scores(points((0, 0), (0, -10), (10, -10)))
    assert inside.min() > outside.max()


def test_below_the_threshold_the_router_abstains_says_why_and_still_names_its_best_guess():
    statistics = statistics_of()
    inside = np.concatenate([cluster(centre, 50, 99) for corners in CORNERS.values() for centre in corners])
    threshold = choose_threshold(router_of(statistics).in_scope_scores(inside), 0.95)
    router = router_of(statistics, set_to(threshold=threshold))
    known, unknown = router.route(points((10, 0), (6, -8)))
    assert not known.abstain and re.search(r"; in scope -?\d+\.\d, threshold -?\d+\.\d$", known.reason)
    assert unknown.abstain and unknown.in_scope < threshold
    assert unknown.threshold == known.threshold == threshold
    assert unknown.tasks == ("east",)
    assert re.match(r"abstained: in scope -?\d+\.\d, below the threshold -?\d+\.\d; nearest class is ", unknown.reason)


def test_a_threshold_keeps_the_wanted_share_of_the_rows_it_was_chosen_on(router):
    features = np.concatenate([cluster(centre, 50, 7) for corners in CORNERS.values() for centre in corners])
    threshold = choose_threshold(router.in_scope_scores(features), 0.9)
    decisions = router_of(statistics_of(), set_to(threshold=threshold)).route(features)
    assert sum(not decision.abstain for decision in decisions) == 270


def test_the_reason_names_the_nearest_class_and_the_runner_up(router):
    [decision] = router.route(points((10, 4)))
    assert decision.reason == "nearest class is class 1 of 'east'; P 1.00, runner-up 'north' 0.00"


NAMES = {"west": ["refund", "return"], "east": ["login", "password"], "north": ["fee", "card"]}


def test_the_reason_names_classes_by_their_names_where_it_has_them():
    router = router_of(statistics_of(), class_names=NAMES)
    reasons = [decision.reason for decision in router.route(points((10, 4), (-10, 0)))]
    assert [reason.split(";")[0] for reason in reasons] == [
        "nearest class is 'password' of 'east'",
        "nearest class is 'refund' of 'west'",
    ]


def test_the_reason_says_so_where_the_nearest_class_is_of_another_task():
    statistics = statistics_of({"many": [(-2, 3), (0, 3.5), (2, 3)], "one": [(0, -3)]}, rows=200)
    [decision] = router_of(statistics, set_to(temperature=20.0)).route(points((0, -0.2)))
    assert decision.tasks == ("many",)
    assert decision.reason.startswith(
        "nearest class is class 0 of 'one'; all classes of 'many' together weigh more; P 0."
    )


@pytest.mark.parametrize("names", [{}, {**NAMES, "north": ["fee"]}])
def test_names_that_are_not_one_for_each_class_are_refused(names):
    with pytest.raises(ValueError, match="for the 2 of 'north'"):
        router_of(statistics_of(), class_names=names)


def test_top_k_names_the_best_tasks_first_and_no_more_than_there_are(router):
    [two] = router.route(points((7, 7.5)), top_k=2)
    [all_of_them] = router.route(points((7, 7.5)), top_k=9)
    assert set(two.tasks) == {"east", "north"}
    assert list(two.scores) == sorted(two.scores, reverse=True)
    assert len(all_of_them.tasks) == 3
    assert sum(all_of_them.scores) == pytest.approx(1)
    assert two.margin == pytest.approx(two.scores[0] - two.scores[1])


def test_the_runner_up_is_named_however_many_tasks_are(router):
    [one], [two] = router.route(points((7, 7.5))), router.route(points((7, 7.5)), top_k=2)
    assert one.tasks == two.tasks[:1]
    assert one.runner_up == two.runner_up == two.tasks[1]


def test_the_probabilities_of_the_allowed_tasks_are_those_of_all_shared_out_again():
    router = router_of(statistics_of(), set_to(temperature=9.0))
    queries = points((3, 3), (-2, 5), (0, -7))
    everything, some = probabilities(router, queries), probabilities(router, queries, allowed=["west", "east"])
    np.testing.assert_array_equal(some[:, 1], 0)
    rest = everything[:, [0, 2]]
    np.testing.assert_allclose(some[:, [0, 2]], rest / rest.sum(axis=1, keepdims=True), rtol=1e-9)


def test_the_margin_does_not_depend_on_how_many_tasks_are_named(router):
    query = points((7, 7))
    assert router.route(query)[0].margin == router.route(query, top_k=3)[0].margin


def test_only_allowed_tasks_are_chosen_whatever_the_order_they_are_named_in(router):
    query = points((10, 0))
    [decision] = router.route(query, top_k=3, allowed=["west", "north"])
    assert decision.tasks == ("north", "west")
    assert sum(decision.scores) == pytest.approx(1)
    assert decision == router.route(query, top_k=3, allowed=["north", "west"])[0]
    assert {near.task for near in decision.nearest} == {"north", "west"}
    assert decision.in_scope < router.route(query)[0].in_scope


def test_a_single_allowed_task_is_certain_and_says_that_it_had_no_rival(router):
    [decision] = router.route(points((10, 0)), top_k=2, allowed=["west"])
    assert (decision.tasks, decision.scores, decision.margin) == (("west",), (1.0,), 1.0)
    assert decision.runner_up is None
    assert decision.reason.endswith("; no other task to choose from")


def test_a_task_that_is_not_known_cannot_be_allowed(router):
    with pytest.raises(ValueError, match=r"one or more of the tasks east, north, west; got \['south'\]"):
        router.route(points((0, 0)), allowed=["south", "east"])
    with pytest.raises(ValueError, match="got none"):
        router.route(points((0, 0)), allowed=[])


def distance_by_hand(statistics, query, shrinkage):
    """To every class, under the shared covariance; of the classes of each task, in order."""
    degrees = sum(int(centroids.counts.sum()) - len(centroids.counts) for centroids, _ in statistics.values())
    covariance = sum(scatter for _, scatter in statistics.values()) / degrees
    width = len(covariance)
    inverse = np.linalg.inv((1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / width * np.eye(width))
    means = np.concatenate([centroids.means for centroids, _ in statistics.values()])
    return [(query - mean) @ inverse @ (query - mean) for mean in means]


@pytest.mark.parametrize("own_share", [0.0, 0.5])
def test_a_decision_names_the_nearest_classes_nearest_first_by_the_distance_that_all_classes_share(own_share):
    statistics = statistics_of(corner=2)
    router = router_of(statistics, set_to(own_share=own_share))
    [decision] = router.route(points((10, 3)))
    assert [(near.task, near.number) for near in decision.nearest] == [("east", 1), ("east", 0), ("north", 1)]
    by_hand = sorted(distance_by_hand(statistics, points((10, 3))[0], 0.3))
    assert len(decision.nearest) == NEAREST_TOLD
    np.testing.assert_allclose([near.squared_distance for near in decision.nearest], by_hand[:NEAREST_TOLD], rtol=1e-6)


def test_where_there_are_fewer_classes_all_are_named():
    [decision] = router_of(statistics_of({"east": [(10, 0), (10, 4)]})).route(points((10, 3)))
    assert [near.number for near in decision.nearest] == [1, 0]


def test_class_distances_are_those_to_every_class():
    statistics = statistics_of()
    router = router_of(statistics, set_to(temperature=5.0))
    queries = points((3, 3), (-2, 5))
    got = router.class_distances(router.whitened(queries))
    assert got.are_all
    np.testing.assert_array_equal(got.columns, [range(6)] * 2)
    expected = [distance_by_hand(statistics, query, 0.3) for query in queries]
    np.testing.assert_allclose(got.squared_distances, expected, rtol=1e-6)
    np.testing.assert_array_equal(router.task_of_class, [0, 0, 1, 1, 2, 2])


def test_whitened_features_are_as_far_apart_as_the_router_finds_them():
    router = router_of(statistics_of(), set_to())
    queries = points((3, 3), (-2, 5))
    gaps = router.whitened(queries)[:, None] - router.whitened(router.class_means)
    np.testing.assert_allclose(
        (gaps**2).sum(axis=2), router.class_distances(router.whitened(queries)).squared_distances, rtol=1e-9
    )
    assert router.width == 2


def test_a_higher_temperature_is_more_modest_and_changes_no_nearest_class():
    query = points((7, 6))
    cool = router_of(statistics_of())
    hot = cool.at_temperature(50.0)
    assert hot.settings == replace(cool.settings, temperature=50.0)
    assert hot.route(query)[0].margin < cool.route(query)[0].margin
    assert hot.route(query)[0].nearest == cool.route(query)[0].nearest


def test_the_calibrated_temperature_lowers_the_loss_on_the_rows_it_was_chosen_on():
    near_each_other = {"a": [(0, 0), (1, 1)], "b": [(1, 0), (2, 1)]}
    statistics = statistics_of(near_each_other)
    features = np.concatenate([cluster(c, 200, 5) for corners in near_each_other.values() for c in corners]) * 3
    true = np.repeat([0, 1], 400)
    plain = router_of(statistics)
    temperature = choose_temperature(plain, features, true)
    calibrated = plain.at_temperature(temperature)

    def loss(router):
        return -np.log(probabilities(router, features)[np.arange(800), true]).mean()

    assert temperature > 1.5
    assert loss(calibrated) < loss(plain)


OWN = [set_to(temperature=4.0), set_to(temperature=4.0, own_share=0.5)]


@pytest.mark.parametrize("settings", OWN)
def test_the_order_of_tasks_changes_only_the_order_of_the_scores(settings):
    statistics = statistics_of(corner=2)
    backwards = dict(reversed(statistics.items()))
    queries = points((3, 3), (-2, 5), (9, 9), (0, -7))
    forwards, reverse = router_of(statistics, settings), router_of(backwards, settings)
    assert reverse.tasks == ("west", "north", "east")
    np.testing.assert_allclose(
        probabilities(forwards, queries), probabilities(reverse, queries)[:, ::-1], rtol=0, atol=1e-9
    )
    np.testing.assert_allclose(forwards.in_scope_scores(queries), reverse.in_scope_scores(queries), rtol=0, atol=1e-9)


@pytest.mark.parametrize("settings", OWN)
def test_removing_a_task_restores_the_earlier_router(settings):
    statistics = statistics_of(corner=2)
    queries = points((3, 3), (-2, 5), (9, 9))
    totals = Totals.zero(2)
    for centroids, scatter in statistics.values():
        totals = totals.add(centroids, scatter)
    left = {name: centroids for name, (centroids, _) in statistics.items() if name != "north"}
    restored = CentroidRouter(totals.subtract(*statistics["north"]), left, settings=settings)
    earlier = router_of({name: statistics[name] for name in left}, settings)
    np.testing.assert_allclose(probabilities(restored, queries), probabilities(earlier, queries), rtol=0, atol=1e-9)
    np.testing.assert_allclose(restored.in_scope_scores(queries), earlier.in_scope_scores(queries), rtol=0, atol=1e-9)


def wide_statistics(*, own_corner, width=6, leading=4, rows=9):
    """Of four tasks; the leading features vary as much as all do, so that a router of them shrinks by the same."""
    generator = np.random.default_rng(11)
    mixing = generator.normal(size=(width, width))
    found = {}
    for number in range(4):
        features = generator.normal(scale=1 + number, size=(2 * rows, width)) @ mixing
        features[rows:] += generator.normal(scale=3, size=width)
        found[f"task{number}"] = summarise(features, np.arange(2 * rows) // rows, 2)
    variances = np.diag(sum(scatter for _, scatter in found.values()))
    trailing = np.sqrt(variances[:leading].mean() / variances[leading:].mean())
    scale = np.where(np.arange(width) < leading, 1.0, trailing)
    return {
        name: scaled(centroids, scatter * np.outer(scale, scale), scale, own_corner)
        for name, (centroids, scatter) in found.items()
    }


def scaled(centroids, scatter, scale, own_corner):
    corner = scatter[:own_corner, :own_corner] if own_corner else None
    return Centroids(counts=centroids.counts, means=centroids.means * scale, corner=corner), scatter


def cut_short(statistics, leading, own_corner):
    return {
        name: scaled(
            Centroids(counts=centroids.counts, means=centroids.means[:, :leading]),
            scatter[:leading, :leading],
            np.ones(leading),
            own_corner,
        )
        for name, (centroids, scatter) in statistics.items()
    }


@pytest.mark.parametrize(("own_corner", "kept"), [(0, 0), (3, 3), (4, 4), (5, 0)])
def test_the_leading_features_are_routed_as_by_a_router_of_these_alone(own_corner, kept):
    """A task's own covariance of more features than these is left out."""
    statistics = wide_statistics(own_corner=own_corner)
    settings = set_to(threshold=-1.0, temperature=3.0, shrinkage=0.2, own_share=0.3)
    whole = router_of(statistics, settings)
    alone = router_of(cut_short(statistics, 4, kept), settings)
    assert alone.covariance.mean_variance == pytest.approx(whole.covariance.mean_variance, rel=1e-9)
    queries = np.random.default_rng(12).normal(scale=4, size=(30, 4))
    leading = whole.leading(4)
    assert (leading.settings, leading.width, leading.tasks) == (settings, 4, whole.tasks)
    np.testing.assert_allclose(probabilities(leading, queries), probabilities(alone, queries), rtol=0, atol=1e-9)
    np.testing.assert_allclose(leading.in_scope_scores(queries), alone.in_scope_scores(queries), rtol=1e-9, atol=1e-9)
    other = replace(settings, shrinkage=0.6)
    changed = probabilities(leading.calibrated(other), queries)
    np.testing.assert_allclose(changed, probabilities(alone.calibrated(other), queries), rtol=0, atol=1e-9)
    assert whole.width == 6  # unchanged


def test_the_leading_features_have_the_first_numbers_of_the_whitened_ones():
    whole = router_of(wide_statistics(own_corner=0), set_to())
    queries = np.random.default_rng(13).normal(size=(5, 6))
    np.testing.assert_allclose(whole.leading(4).whitened(queries[:, :4]), whole.whitened(queries)[:, :4], rtol=1e-9)


def test_own_covariances_decide_by_the_distances_that_class_distances_gives():
    router = router_of(wide_statistics(own_corner=3), set_to(temperature=2.0, own_share=0.4))
    queries = np.random.default_rng(14).normal(scale=4, size=(30, 6))
    near = router.class_distances(router.whitened(queries))
    weights = np.exp((near.squared_distances.min(axis=1, keepdims=True) - near.squared_distances) / 4)
    by_task = weights.reshape(30, 4, 2).sum(axis=2)
    expected = by_task / by_task.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities(router, queries), expected, rtol=0, atol=1e-9)
    shared = router.calibrated(replace(router.settings, own_share=0.0))
    assert np.abs(probabilities(shared, queries) - expected).max() > 0.05


def test_a_task_has_the_covariance_of_its_own_scatter_by_rows_less_classes():
    statistics = wide_statistics(own_corner=3, rows=4)
    router = router_of(statistics, set_to(own_share=0.4))
    queries = np.random.default_rng(16).normal(scale=4, size=(5, 6))
    to_white = router.whitened(np.eye(6)) - router.whitened(np.zeros((1, 6)))  # (6, 6), its transpose whitens
    expected = []
    for query in router.whitened(queries):
        for centroids, scatter in statistics.values():
            covariance = np.eye(6)
            own = to_white.T[:3, :3] @ scatter[:3, :3] @ to_white[:3, :3] / (8 - 2)
            covariance[:3, :3] = 0.6 * np.eye(3) + 0.4 * own
            for mean in router.whitened(centroids.means):
                gap = query - mean
                expected.append(gap @ np.linalg.inv(covariance) @ gap + np.log(np.linalg.det(covariance)))
    got = router.class_distances(router.whitened(queries)).squared_distances
    np.testing.assert_allclose(got.ravel(), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("tasks", "have_their_own"), [(MOST_OWN, True), (MOST_OWN + 1, False)])
def test_very_many_tasks_have_no_covariances_of_their_own(tasks, have_their_own):
    generator = np.random.default_rng(15)
    corners = {f"task{number}": generator.normal(scale=3, size=(1, 2)) for number in range(tasks)}
    plain = router_of(statistics_of(corners, rows=3, corner=2), set_to())
    own = plain.calibrated(set_to(own_share=0.4))
    queries = generator.normal(scale=3, size=(10, 2))
    assert (probabilities(own, queries) != probabilities(plain, queries)).any() == have_their_own


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
    scores = probabilities(nearest, queries)
    assert (scores == 0).any()  # 64 of 300 classes cannot be of all 60 tasks for every query
    distances = nearest.class_distances(nearest.whitened(queries))
    assert distances.squared_distances.shape == distances.columns.shape == (40, NEAREST)
    assert not distances.are_all


@pytest.mark.parametrize("own_share", [0.0, 0.5])
@pytest.mark.parametrize("exhaustive_up_to", [4096, 50])
def test_choosing_for_many_rows_says_what_routing_them_says(exhaustive_up_to, own_share):
    generator = np.random.default_rng(8)
    corners = {f"task{number}": generator.normal(scale=2, size=(1 + number % 3, 4)) for number in range(40)}
    settings = set_to(threshold=-3.0, own_share=own_share)
    router = router_of(statistics_of(corners, rows=3, corner=3), settings, exhaustive_up_to=exhaustive_up_to)
    queries = generator.normal(scale=2, size=(1100, 4)).astype(np.float32)
    choices, decisions = router.choose(queries), router.route(queries)
    assert [router.tasks[number] for number in choices.tasks] == [decision.tasks[0] for decision in decisions]
    np.testing.assert_array_equal(choices.probabilities, [decision.scores[0] for decision in decisions])
    np.testing.assert_array_equal(choices.margins, [decision.margin for decision in decisions])
    np.testing.assert_array_equal(choices.in_scope, [decision.in_scope for decision in decisions])
    np.testing.assert_array_equal(choices.abstain, [decision.abstain for decision in decisions])
    assert 0 < choices.abstain.sum() < 1100
    nearest = [
        (router.tasks[task], number)
        for task, number in zip(choices.nearest_tasks, choices.nearest_classes, strict=True)
    ]
    assert nearest == [(decision.nearest[0].task, decision.nearest[0].number) for decision in decisions]


def test_choosing_between_one_task_has_a_margin_of_one():
    choices = router_of(statistics_of({"east": [(10, 0)]})).choose(points((0, 0), (10, 0)))
    np.testing.assert_array_equal(choices.margins, [1, 1])
    np.testing.assert_array_equal(choices.probabilities, [1, 1])


@pytest.mark.parametrize("own_share", [0.0, 0.3])
def test_other_settings_give_the_router_that_would_be_made_with_them(own_share):
    statistics = statistics_of(corner=2)
    settings = set_to(threshold=0.5, temperature=3.0, shrinkage=0.4, own_share=own_share)
    for earlier in (None, set_to(own_share=0.6), set_to(own_share=own_share), replace(settings, own_share=0.6)):
        plain = router_of(statistics, earlier)
        before = plain.route(points((7, 6)))
        assert plain.calibrated(settings).route(points((7, 6))) == router_of(statistics, settings).route(points((7, 6)))
        assert plain.calibrated(settings).settings == settings
        assert plain.route(points((7, 6))) == before != plain.calibrated(settings).route(points((7, 6)))


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
    assert router.in_scope_scores(nothing).shape == (0,)
    assert router.class_distances(router.whitened(nothing)).squared_distances.shape == (0, 6)
    choices = router.choose(nothing)
    assert len(choices.tasks) == len(choices.abstain) == len(choices.nearest_classes) == 0


@pytest.mark.parametrize(
    "ask",
    [
        lambda router, features: router.route(features),
        lambda router, features: router.choose(features),
        lambda router, features: router.in_scope_scores(features),
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
    assert 0 < router.settings.shrinkage < 1


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
    assert router.settings.shrinkage == 1.0
    [decision] = router.route(points((4, 0)))
    assert [(near.task, near.squared_distance) for near in decision.nearest] == [("left", 16.0), ("right", 36.0)]


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
        router_of(statistics_of(), set_to(temperature=temperature))


def test_a_threshold_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="threshold must be a number"):
        router_of(statistics_of(), set_to(threshold=math.nan))


@pytest.mark.parametrize("shrinkage", [-0.1, 1.1, math.nan])
def test_a_shrinkage_that_is_no_share_is_refused(shrinkage):
    with pytest.raises(ValueError, match="shrinkage must be a share"):
        router_of(statistics_of(), set_to(shrinkage=shrinkage))


@pytest.mark.parametrize("own_share", [-0.1, 1.0, math.nan])
def test_an_own_share_that_leaves_nothing_shared_or_is_no_share_is_refused(router, own_share):
    with pytest.raises(ValueError, match="own share must be from 0 to below 1"):
        router.calibrated(set_to(own_share=own_share))


def test_asking_for_no_task_is_refused(router):
    with pytest.raises(ValueError, match="top_k must be 1 or more, got 0"):
        router.route(points((0, 0)), top_k=0)
