"""Rows that no class mean came near to, or went from, are decided as they were; by deciding all of them again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.cascade import Cascade, FirstLook
from routing.kept_space import fit_space
from routing.own import RESCORED, farthest_scored
from routing.reach import Reach, Surroundings
from routing.router import Calibration, CentroidRouter, covariance_of
from routing.statistics import Totals, summarise

WIDTH, FIRST, CLASSES = 5, 3, 2
SCALE = np.array([4, 0.5, 2, 1, 0.2])  # so that the in-scope score, more shrunk, sees other classes nearest


def task(number):
    """Of three tasks that lie close together, its classes of 2 to 30 rows."""
    centre = np.random.default_rng(number // 3).normal(scale=2, size=WIDTH)
    chance = np.random.default_rng((number, 0))
    counts = np.array([2, 3, 8, 30])[[number % 4, number % 3]]
    middles = np.repeat(centre + chance.normal(scale=2, size=(CLASSES, WIDTH)), counts, axis=0)
    rows = ((middles + chance.normal(size=middles.shape)) * SCALE).astype(np.float32)
    return summarise(rows, np.repeat(np.arange(CLASSES), counts), CLASSES, corner=2)


TASKS = [task(number) for number in range(60)]
ROWS = (np.random.default_rng(1).normal(scale=3, size=(1500, WIDTH)) * SCALE).astype(np.float32)


def cascade_of(numbers, whole, look, space=None, flat=1000):
    """The cascade of these tasks, their space fitted, or changed from an earlier one."""
    totals = Totals.zero(WIDTH)
    for number in numbers:
        totals = totals.add(*TASKS[number])
    centroids = {f"task{number:02}": TASKS[number][0] for number in numbers}
    marks = {name: name for name in centroids}
    if space is None:
        fitted_to = covariance_of(totals), centroids, marks
        space = fit_space(*fitted_to, shrinkage=whole.shrinkage, widths=(WIDTH, FIRST), flat=flat)
    else:
        space = space.changed(marks, centroids)
    return Cascade(CentroidRouter(totals, centroids, settings=whole, space=space), FIRST, look), space


def moved_by(cascade, tasks):
    return cascade.moved(np.concatenate([one.means for one in tasks]), np.concatenate([one.counts for one in tasks]))


def decided(cascade, told):
    """What is recorded of each row, and its reach."""
    survey = cascade.survey(ROWS)
    choices, whole = survey.choices, survey.whole
    said = np.stack([choices.tasks, survey.asked, choices.abstain & survey.asked, whole.nearest_tasks], axis=1)
    names = np.array(cascade.tasks)
    recorded = [names[said[:, 0]], said[:, 1], said[:, 2], names[said[:, 3]], whole.nearest_classes]
    lead = np.where(told, choices.margins, 0)
    return recorded, lead, cascade.reach(survey, told=told)


@given(
    staying=st.integers(34, 50),
    going=st.sets(st.integers(0, 30), max_size=4),
    coming=st.sets(st.integers(50, 59), max_size=4),
    threshold=st.sampled_from([-3.0, 0.0, 3.0]),
    temperature=st.sampled_from([0.5, 2.0, 6.0]),
    margin=st.sampled_from([0.1, 0.5, 0.9]),
    own_share=st.sampled_from([0.0, 0.2]),
    has_first=st.booleans(),
    flat=st.sampled_from([20, 1000]),
)
@settings(max_examples=40, deadline=None)
def test_what_stays_out_of_reach_changes_nothing(
    staying, going, coming, threshold, temperature, margin, own_share, has_first, flat
):
    whole = Calibration(threshold=threshold, temperature=temperature, shrinkage=0.02, own_share=own_share)
    look = FirstLook(margin=margin, in_scope=threshold, temperature=temperature) if has_first else None
    before, space = cascade_of(range(staying), whole, look, flat=flat)
    numbers = [number for number in range(staying) if number not in going] + sorted(coming)
    after, _ = cascade_of(numbers, whole, look, space)
    told = np.arange(len(ROWS)) % 3 == 0
    (was, was_lead, reach), (now, lead, _) = decided(before, told), decided(after, told)
    moved = [TASKS[number][0] for number in going | coming]
    touched = np.zeros(len(ROWS), dtype=bool)
    if moved:
        touched = moved_by(after, moved).touches(ROWS, reach)
    for one, other in zip(was, now, strict=True):
        np.testing.assert_array_equal(one[~touched], other[~touched])
    np.testing.assert_allclose(was_lead[~touched], lead[~touched], rtol=0, atol=1e-9)


@pytest.mark.parametrize("look", ["first", "whole"])
@pytest.mark.parametrize("column", [0, 1])
def test_a_mean_of_few_rows_comes_as_near_as_its_corrected_distance_says(look, column):
    """Within reach just beyond that distance, out of it just below; task 54 has classes of 8 and of 2 rows."""
    whole = Calibration(threshold=-3.0, temperature=2.0, shrinkage=0.02)
    settings_of_first = FirstLook(margin=0.5, in_scope=-3.0, temperature=2.0)
    _, space = cascade_of(range(50), whole, settings_of_first)
    after, _ = cascade_of([*range(50), 54], whole, settings_of_first, space)
    task54 = TASKS[54][0]
    one = replace(task54, counts=task54.counts[[column]], means=task54.means[[column]])
    assert sorted(task54.counts.tolist()) == [2, 8]
    router = after.whole if look == "whole" else after.first
    points = router.whitened(ROWS[:, : router.width])
    corrected = router.noise.variance * (1 / 30 - 1 / one.counts[0])
    distances = ((points - router.whitened(one.means[:, : router.width])) ** 2).sum(axis=1) + corrected
    within = distances - (points**2).sum(axis=1)
    nowhere = Reach(**dict.fromkeys(Reach.__dataclass_fields__, np.full(len(ROWS), -np.inf)))
    moved = moved_by(after, [one])
    assert moved.touches(ROWS, replace(nowhere, **{look: within})).all()
    assert not moved.touches(ROWS, replace(nowhere, **{look: within - 0.1})).any()
    assert corrected < -0.2


def test_few_rows_are_touched_by_a_task_that_comes():
    whole = Calibration(threshold=-2.0, temperature=0.5, shrinkage=0.1)
    look = FirstLook(margin=0.5, in_scope=-1.0, temperature=0.5)
    before, space = cascade_of(range(50), whole, look)
    after, _ = cascade_of(range(51), whole, look, space)
    _, _, reach = decided(before, np.zeros(len(ROWS), dtype=bool))
    touched = moved_by(after, [TASKS[50][0]]).touches(ROWS, reach)
    assert 0 < touched.sum() < len(ROWS) / 4


def test_a_survey_says_what_a_choice_says():
    whole = Calibration(threshold=-2.0, temperature=2.0, shrinkage=0.1)
    for look in (None, FirstLook(margin=0.5, in_scope=-1.0, temperature=2.0)):
        cascade, _ = cascade_of(range(40), whole, look)
        survey, chosen = cascade.survey(ROWS), cascade.choose(ROWS)
        np.testing.assert_array_equal(survey.asked, chosen.asked)
        np.testing.assert_array_equal(survey.choices.tasks, chosen.choices.tasks)
        np.testing.assert_allclose(survey.choices.margins, chosen.choices.margins, rtol=0, atol=1e-9)
        np.testing.assert_array_equal(survey.whole.nearest_tasks, cascade.whole.choose(ROWS).nearest_tasks)


def test_the_reach_grows_as_the_slack_shrinks_and_ends_at_the_farthest_class_looked_at():
    one = np.ones(1)
    around = Surroundings(
        origin=one, nearest=one, scored=2 * one, farthest=50 * one, together=one, scope_origin=one, scope_nearest=one
    )
    within = [around.within(np.array([slack]), 3.0)[0] for slack in (8.0, 1.0, 0.1, 1e-3, 0.0)]
    expected = [2.0, 1 + 6 * np.log(8), 1 + 6 * np.log(80), 50.0, 50.0]
    assert within == pytest.approx(expected)


def test_a_row_whose_margin_is_the_one_that_decides_reaches_much_farther():
    whole = Calibration(threshold=-2.0, temperature=0.5, shrinkage=0.1)
    look = FirstLook(margin=0.5, in_scope=-1.0, temperature=0.5)
    nobody = np.zeros(len(ROWS), dtype=bool)
    before, space = cascade_of(range(40), whole, look)
    survey = before.survey(ROWS)
    assert survey.first is not None
    row = int(np.abs(survey.first.margins - 0.9).argmin())
    strict, _ = cascade_of(range(40), whole, replace(look, margin=survey.first.margins[row]), space)
    reach, farther = (one.reach(one.survey(ROWS), told=nobody).first[row] for one in (before, strict))
    assert reach + 30 < farther < np.inf


def test_whatever_comes_is_within_the_reach_of_everything():
    whole = Calibration(threshold=-2.0, temperature=2.0, shrinkage=0.1)
    cascade, _ = cascade_of(range(40), whole, None)
    assert moved_by(cascade, [TASKS[50][0]]).touches(ROWS, Reach.everything(len(ROWS))).all()


def test_the_tasks_scored_under_their_own_covariance_end_at_the_fourth_nearest():
    """Task 7 counts once, by its nearer class; a row near three tasks only has no fourth."""
    assert RESCORED == 4
    distances = np.array([[5.0, 1, 2, 3, 4, 9], [5.0, 1, 2, 3, 4, 9]])
    tasks = np.array([[7, 7, 1, 2, 3, 4], [7, 7, 1, 1, 2, 2]])
    assert farthest_scored(distances, tasks).tolist() == [4.0, np.inf]
