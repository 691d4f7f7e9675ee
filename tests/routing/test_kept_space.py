"""A fit that is kept while tasks come and go: against a router fitted anew at each change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.kept_space import STALE_SHARE, fit_space
from routing.router import MOST_OWN, Calibration, CentroidRouter, covariance_of
from routing.statistics import Totals, summarise

WIDTH, FIRST = 6, 4
CLASSES, ROWS = 3, 8  # of a task, of a class
SETTINGS = Calibration(threshold=-5.0, temperature=2.0, shrinkage=0.2)
MIXING = np.random.default_rng(99).normal(size=(WIDTH, WIDTH))
QUERIES = np.random.default_rng(98).normal(scale=6, size=(60, WIDTH)).astype(np.float32)


def task(number):
    """Its centroids and its scatter."""
    chance = np.random.default_rng(number)
    middles = chance.normal(scale=6, size=(CLASSES, WIDTH))
    features = chance.normal(size=(CLASSES * ROWS, WIDTH)) @ MIXING + np.repeat(middles, ROWS, axis=0)
    return summarise(features.astype(np.float32), np.repeat(np.arange(CLASSES), ROWS), CLASSES, corner=2)


TASKS = {f"task{number:02}": task(number) for number in range(40)}


def totals_of(names):
    totals = Totals.zero(WIDTH)
    for name in names:
        totals = totals.add(*TASKS[name])
    return totals


def centroids_of(names):
    return {name: TASKS[name][0] for name in names}


def marks_of(names):
    return {name: f"digest of {name}" for name in names}


def fit(names, *, flat=10_000, shrinkage=SETTINGS.shrinkage):
    """All means loose by default, so that none is missed by a search."""
    totals = totals_of(names)
    return fit_space(
        covariance_of(totals),
        centroids_of(names),
        marks_of(names),
        shrinkage=shrinkage,
        widths=(WIDTH, FIRST),
        flat=flat,
    )


def moved(space, names):
    return space.changed(marks_of(names), centroids_of(names))


def router_on(space, names, **settings):
    return CentroidRouter(totals_of(names), centroids_of(names), settings=SETTINGS, space=space, **settings)


def assert_same_choices(one, other, queries=QUERIES, tolerance=1e-4):
    ours, theirs = one.choose(queries), other.choose(queries)
    for field in ("tasks", "nearest_tasks", "nearest_classes", "abstain"):
        np.testing.assert_array_equal(getattr(ours, field), getattr(theirs, field))
    np.testing.assert_allclose(ours.probabilities, theirs.probabilities, rtol=0, atol=tolerance)
    np.testing.assert_allclose(ours.in_scope, theirs.in_scope, rtol=0, atol=10 * tolerance)


ALL = list(TASKS)


def test_a_space_just_fitted_routes_as_a_router_that_is_fitted_at_each_change():
    exact = CentroidRouter(totals_of(ALL), centroids_of(ALL), settings=SETTINGS)
    kept = router_on(fit(ALL), ALL)
    assert_same_choices(kept, exact)
    assert_same_choices(kept.leading(FIRST), exact.leading(FIRST), QUERIES[:, :FIRST])
    np.testing.assert_array_equal(kept.class_means, exact.class_means)
    np.testing.assert_allclose(kept.whitened(QUERIES), exact.whitened(QUERIES), rtol=1e-9)
    assert (kept.is_kept, exact.is_kept) == (True, False)


def test_allowed_tasks_share_the_probability_as_a_router_of_all_their_classes_says():
    exact, kept = CentroidRouter(totals_of(ALL), centroids_of(ALL), settings=SETTINGS), router_on(fit(ALL), ALL)
    allowed = ["task07", "task31", "task02"]
    for ours, theirs in zip(
        kept.route(QUERIES, top_k=3, allowed=allowed), exact.route(QUERIES, top_k=3, allowed=allowed), strict=True
    ):
        assert dict(zip(ours.tasks, ours.scores, strict=True)) == pytest.approx(
            dict(zip(theirs.tasks, theirs.scores, strict=True)), abs=1e-4
        )
        assert [(near.task, near.number) for near in ours.nearest] == [
            (near.task, near.number) for near in theirs.nearest
        ]
        assert ours.in_scope == pytest.approx(theirs.in_scope, abs=1e-3)


def test_what_comes_is_whitened_by_the_fit_that_is_kept_and_what_goes_is_never_named():
    """Against plain distances under the covariance of the tasks that the space was fitted to."""
    then, now = ALL[:30], [*ALL[3:30], *ALL[30:33]]
    router = router_on(moved(fit(then), now), now)
    covariance = covariance_of(totals_of(then)).matrix
    shrunk = 0.8 * covariance + 0.2 * np.trace(covariance) / WIDTH * np.eye(WIDTH)
    means = np.concatenate([TASKS[name][0].means for name in now])
    gaps = QUERIES[:, None] - means
    expected = np.einsum("nkd,de,nke->nk", gaps, np.linalg.inv(shrunk), gaps)
    nearest = router.route(QUERIES)
    for row, decision in enumerate(nearest):
        near = decision.nearest[0]
        assert now.index(near.task) * CLASSES + near.number == expected[row].argmin()
        assert near.squared_distance == pytest.approx(expected[row].min(), rel=1e-4)
    np.testing.assert_array_equal(router.class_means, means)


@given(
    steps=st.lists(st.lists(st.sampled_from(ALL), min_size=2, max_size=12, unique=True), min_size=1, max_size=4),
    flat=st.sampled_from([0, 10_000]),
)
@settings(max_examples=25, deadline=None)
def test_whatever_came_and_went_in_between_only_the_tasks_that_are_there_count(steps, flat):
    """However it got there: tasks that leave and come again are numbered anew, which nobody sees."""
    start = fit(ALL[:10], flat=flat)
    space = start
    for names in steps:
        space = moved(space, names)
    direct = moved(start, steps[-1])
    queries = np.concatenate([TASKS[name][0].means for name in steps[-1]])
    one, other = router_on(space, steps[-1]), router_on(direct, steps[-1])
    assert one.tasks == tuple(steps[-1])
    assert_same_choices(one, other, queries)
    assert (one.choose(queries).nearest_tasks == np.repeat(np.arange(len(steps[-1])), CLASSES)).all()


@pytest.mark.parametrize("flat", [0, 10_000])
def test_a_fit_made_anew_is_the_same_whatever_the_order_in_which_tasks_came(flat):
    order = [ALL[number] for number in np.random.default_rng(5).permutation(len(ALL))]
    kept_for_a_while = moved(moved(fit(order[:36], flat=flat), order[:38]), order)
    assert set(kept_for_a_while.sizes) == {CLASSES}
    anew = {name: router_on(fit(names, flat=flat), names) for name, names in {"one": ALL, "other": order}.items()}
    ours, theirs = (anew[name].choose(QUERIES) for name in ("one", "other"))
    assert [ALL[number] for number in ours.tasks] == [order[number] for number in theirs.tasks]
    np.testing.assert_allclose(ours.probabilities, theirs.probabilities, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.in_scope, theirs.in_scope, rtol=0, atol=1e-5)


def test_a_task_that_comes_again_with_other_rows_is_not_taken_for_the_one_that_left():
    space = fit(ALL[:20])
    marks = marks_of(ALL[:20]) | {"task05": "another digest"}
    others = centroids_of(ALL[:20]) | {"task05": TASKS["task39"][0]}
    router = CentroidRouter(totals_of(ALL[:20]), others, settings=SETTINGS, space=space.changed(marks, others))
    [decision] = router.route(TASKS["task39"][0].means[1:2])
    assert (decision.nearest[0].task, decision.nearest[0].number) == ("task05", 1)
    assert decision.nearest[0].squared_distance == pytest.approx(0, abs=1e-6)


def test_only_tasks_that_are_new_are_read_when_a_space_changes():
    class Asked(dict):
        def __getitem__(self, name):
            names.append(name)
            return super().__getitem__(name)

    names = []
    space = fit(ALL[:30])
    centroids = Asked(centroids_of(ALL[1:32]))
    space.changed(marks_of(ALL[1:32]), centroids)
    assert set(names) == {"task30", "task31"}


def test_a_fit_serves_until_a_tenth_of_its_rows_came_and_went():
    space = fit(ALL[:30])
    rows = CLASSES * ROWS

    def serves(space, names):
        return space.serves(marks_of(names), rows * len(names))

    assert STALE_SHARE == 0.1
    assert serves(space, ALL[:33]) and not serves(space, ALL[:34])
    assert serves(space, ALL[3:30]) and not serves(space, ALL[4:30])
    assert serves(space, ALL[1:32]) and not serves(space, ALL[2:32])  # some came and some went
    larger = moved(space, ALL[:33])
    assert serves(larger, ALL[:30]) and serves(larger, ALL[:33]) and not serves(larger, ALL[:34])


def test_a_space_says_when_its_indexes_want_to_be_built_anew():
    space = fit(ALL[:30], flat=0)
    assert not moved(space, ALL[:33]).wants_rebuild
    assert moved(space, ALL[:34]).wants_rebuild
    assert moved(space, ALL[4:30]).wants_rebuild


def test_the_space_that_was_changed_stays_as_it_was():
    space = fit(ALL[:30], flat=0)
    before = router_on(space, ALL[:30]).choose(QUERIES)
    moved(space, ALL[5:33])
    after = router_on(space, ALL[:30]).choose(QUERIES)
    np.testing.assert_array_equal(before.probabilities, after.probabilities)
    np.testing.assert_array_equal(before.in_scope, after.in_scope)


def test_tasks_that_are_few_have_covariances_of_their_own_under_a_kept_fit_too():
    own = Calibration(threshold=-5.0, temperature=2.0, shrinkage=0.2, own_share=0.2)
    exact = CentroidRouter(totals_of(ALL), centroids_of(ALL), settings=own)
    kept = router_on(fit(ALL), ALL)
    queries = QUERIES / 3
    assert_same_choices(kept.calibrated(own), exact, queries)
    plain = np.abs(kept.choose(queries).probabilities - exact.choose(queries).probabilities)
    assert plain.max() > 0.01  # they say something else
    assert kept.may_own and len(ALL) <= MOST_OWN


def test_the_shrinkage_and_the_looks_are_those_of_the_fit():
    router = router_on(fit(ALL, shrinkage=SETTINGS.shrinkage), ALL)
    with pytest.raises(ValueError, match=r"expected the shrinkage 0\.2 of the fit that is kept, got 0\.3; fit it anew"):
        router.calibrated(Calibration(threshold=0.0, temperature=1.0, shrinkage=0.3))
    with pytest.raises(ValueError, match=r"expected a look at one of \[4, 6\] features, got 5"):
        router.leading(5)
    by_default = CentroidRouter(totals_of(ALL), centroids_of(ALL), space=fit(ALL, shrinkage=0.4))
    assert by_default.settings.shrinkage == 0.4
