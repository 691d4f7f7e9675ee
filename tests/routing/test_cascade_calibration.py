"""The settings of both looks: each promise counted on the rows that they were chosen on."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.calibration import MOST_ROWS, choose_threshold, sharpened
from routing.cascade import Cascade
from routing.cascade_calibration import DOUBTED, LEAST_ASKED, TOLERANCE, Quality, calibrate_cascade
from routing.measures import expected_calibration_error
from routing.router import CentroidRouter
from routing.statistics import Totals, summarise

WIDTH, FIRST = 6, 3


def portfolio(seed=0, tasks=3, rows=60, spread=1.2):
    """A cascade, `rows` validation rows of each task, and as many rows that are of none."""
    generator = np.random.default_rng(seed)
    totals, centroids, validation = Totals.zero(WIDTH), {}, []
    for number in range(tasks):
        means = generator.normal(scale=spread, size=(2, WIDTH))
        one, scatter = summarise(means.repeat(20, axis=0) + generator.normal(size=(40, WIDTH)), np.arange(40) // 20, 2)
        totals, centroids[f"task{number}"] = totals.add(one, scatter), one
        noise = generator.normal(size=(rows, WIDTH))
        validation.append((means[generator.integers(2, size=rows)] + noise).astype(np.float32))
    outside = generator.normal(scale=2 * spread, size=(rows, WIDTH)).astype(np.float32)
    return Cascade(CentroidRouter(totals, centroids), FIRST), validation, outside


def pooled(validation):
    return np.concatenate(validation), np.repeat(np.arange(len(validation)), [len(rows) for rows in validation])


def first_router(cascade, found):
    whole = cascade.whole.calibrated(found.whole)
    return whole.leading(FIRST).at_temperature(found.first.temperature)


def kept_share(cascade, found, features):
    return float((~cascade.calibrated(found).choose(features).choices.abstain).mean())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.6, 1.2, 2.0]), st.sampled_from([20, 60, 400]))
def test_the_margin_is_the_smallest_that_spoils_few_enough_rows_and_doubts_a_fifth(seed, spread, rows):
    cascade, validation, _ = portfolio(seed, rows=rows, spread=spread)
    features, true = pooled(validation)
    found, _ = calibrate_cascade(cascade, validation, 0.95)
    early = first_router(cascade, found).choose(features[:, :FIRST])
    late = cascade.whole.calibrated(found.whole).choose(features)

    def spoils_few(margin):
        spoiled = [
            row
            for row, task in enumerate(true)
            if early.margins[row] >= margin and early.tasks[row] != task and late.tasks[row] == task
        ]
        return len(spoiled) <= TOLERANCE * len(true)

    candidates = [0.0, *(np.nextafter(margin, np.inf) for margin in early.margins)]
    smallest = min(margin for margin in candidates if spoils_few(margin))
    assert found.first.margin == max(smallest, np.quantile(early.margins, LEAST_ASKED))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.6, 1.2, 2.0]), st.sampled_from([20, 60, 400]))
def test_one_pass_costs_no_more_accuracy_than_is_tolerated(seed, spread, rows):
    cascade, validation, _ = portfolio(seed, rows=rows, spread=spread)
    features, true = pooled(validation)
    found, quality = calibrate_cascade(cascade, validation, 0.95)
    made = cascade.calibrated(found).choose(features)
    late = cascade.whole.calibrated(found.whole).choose(features)
    assert (made.choices.tasks == true).mean() >= (late.tasks == true).mean() - TOLERANCE - 1e-12
    assert quality.asked == made.asked.mean()


def test_a_fifth_of_the_rows_is_asked_for_their_margin_where_tasks_lie_far_apart():
    cascade, validation, _ = portfolio(3, rows=400, spread=6.0)
    features, _ = pooled(validation)
    found, _ = calibrate_cascade(cascade, validation, 1.0)
    early = first_router(cascade, found).choose(features[:, :FIRST])
    assert (early.margins < found.first.margin).mean() == pytest.approx(LEAST_ASKED, abs=1 / len(features))


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([1, 2, 20, 60]),
    st.sampled_from([0.3, 0.7, 0.9, 0.95, 0.99, 1.0]),
    st.sampled_from([0.6, 4.0]),
)
def test_the_wanted_share_of_rows_is_kept_and_hardly_more(seed, rows, coverage, spread):
    cascade, validation, _ = portfolio(seed, rows=rows, spread=spread)
    features, _ = pooled(validation)
    found, quality = calibrate_cascade(cascade, validation, coverage)
    made = cascade.calibrated(found).choose(features)
    kept, sure = int((~made.choices.abstain).sum()), int((~made.asked).sum())
    wanted = math.ceil(coverage * len(features) - 1e-9)
    assert quality.coverage == kept / len(features)
    if sure < wanted:
        assert kept == wanted
    else:  # any threshold keeps enough
        second = cascade.whole.calibrated(found.whole).in_scope_scores(features)
        assert found.whole.threshold == choose_threshold(second, coverage)


def test_the_threshold_is_the_largest_that_keeps_the_share():
    cascade, validation, _ = portfolio(4, rows=80)
    features, _ = pooled(validation)
    found, _ = calibrate_cascade(cascade, validation, 0.9)
    made = cascade.calibrated(found).choose(features)
    candidates = made.choices.in_scope[made.asked]
    assert 20 < len(candidates) < 220

    def is_kept(threshold):
        return (~made.asked).sum() + (candidates >= threshold).sum() >= 0.9 * len(features)

    assert found.whole.threshold == max(threshold for threshold in candidates if is_kept(threshold))


def test_three_times_as_many_rows_are_doubted_for_their_scope_as_may_be_refused():
    cascade, validation, _ = portfolio(5, rows=100)
    features, _ = pooled(validation)
    found, _ = calibrate_cascade(cascade, validation, 0.9)
    early = first_router(cascade, found).choose(features[:, :FIRST])
    assert (early.in_scope < found.first.in_scope).sum() == round(DOUBTED * 0.1 * 300)


@pytest.mark.parametrize("rows", [1, 40])
def test_where_every_row_is_sure_the_threshold_is_the_one_for_a_second_look_at_all(rows):
    """Far apart, and nothing may be refused: then no row of the trunk's needs the base."""
    cascade, validation, _ = portfolio(6, rows=rows, spread=30.0)
    features, _ = pooled(validation)
    found, quality = calibrate_cascade(cascade, validation, 1.0)
    assert (quality.asked, quality.coverage) == (0.0, 1.0)
    assert found.whole.threshold == cascade.whole.in_scope_scores(features).min()


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([1e-12, 0.07, 0.5, 0.9, 0.99, 1.0]),
    st.sampled_from([1, 20, 100]),
    st.sampled_from([0.3, 1.2, 4.0]),
)
def test_a_wanted_recall_is_reached_on_the_out_of_scope_rows_and_hardly_exceeded(seed, recall, rows, spread):
    cascade, validation, outside = portfolio(seed, rows=rows, spread=spread)
    found, quality = calibrate_cascade(cascade, validation, 0.95, out_of_scope=outside, recall=recall)
    made = cascade.calibrated(found).choose(outside)
    refused = int(made.choices.abstain.sum())
    assert quality.recall == refused / rows
    wanted = max(1, math.ceil(recall * rows - 1e-9))
    assert refused == wanted
    assert quality.coverage == kept_share(cascade, found, pooled(validation)[0])


def test_a_recall_makes_the_first_look_doubt_what_it_would_take_for_known():
    """Without its wish to refuse, more out-of-scope rows than may be missed would be answered at first sight."""
    cascade, validation, _ = portfolio(7, rows=60, spread=3.0)
    outside = pooled(validation)[0][::3]  # not to be told apart from what is known
    plain, without = calibrate_cascade(cascade, validation, 0.95, out_of_scope=outside)
    wary, quality = calibrate_cascade(cascade, validation, 0.95, out_of_scope=outside, recall=0.9)
    assert without.recall < 0.2
    assert (~cascade.calibrated(plain).choose(outside).asked).mean() > 0.1
    missed = ~cascade.calibrated(wary).choose(outside).asked
    assert missed.sum() <= 0.1 * len(outside) / DOUBTED
    assert wary.first.in_scope > plain.first.in_scope
    assert (wary.first.margin, wary.first.temperature) == (plain.first.margin, plain.first.temperature)
    assert quality.recall == pytest.approx(0.9)


def test_out_of_scope_rows_without_a_wanted_recall_are_counted_only():
    cascade, validation, outside = portfolio(8)
    found, quality = calibrate_cascade(cascade, validation, 0.9, out_of_scope=outside)
    plain, before = calibrate_cascade(cascade, validation, 0.9)
    assert found == plain
    assert before == replace(quality, recall=None)
    assert quality.recall == cascade.calibrated(found).choose(outside).choices.abstain.mean()
    assert 0.2 < quality.recall < 1


def test_a_row_whose_score_is_the_threshold_itself_is_kept_in_and_out_of_scope():
    cascade, validation, _ = portfolio(8)
    _, quality = calibrate_cascade(cascade, validation, 0.9, out_of_scope=pooled(validation)[0])
    assert quality.coverage == pytest.approx(0.9)
    assert quality.recall == pytest.approx(0.1)


def test_calibration_errors_are_those_of_the_same_rows():
    cascade, validation, _ = portfolio(9, rows=100, spread=0.8)
    features, true = pooled(validation)
    found, quality = calibrate_cascade(cascade, validation, 0.9)

    def error(choices):
        return expected_calibration_error(choices.probabilities, choices.tasks == true)

    assert quality.ece == error(cascade.calibrated(found).choose(features).choices)
    before = cascade.whole.calibrated(replace(found.whole, temperature=1.0))
    assert quality.ece_before == error(before.choose(features))
    assert quality.ece != quality.ece_before


def test_both_looks_have_a_temperature_of_their_own_and_share_all_else():
    cascade, validation, _ = portfolio(10, rows=100, spread=0.8)
    found, _ = calibrate_cascade(cascade, validation, 0.9)
    assert replace(found.whole, threshold=-math.inf) == sharpened(cascade.whole, validation).settings
    assert found.first.temperature != found.whole.temperature
    other_settings, _ = calibrate_cascade(cascade.calibrated(found), validation, 0.9)
    assert other_settings == found


@pytest.mark.parametrize("coverage", [0.1, 0.5, 2 / 3])
def test_where_so_many_rows_may_be_refused_that_none_is_sure_everyone_is_asked(coverage):
    cascade, validation, _ = portfolio(11)
    features, _ = pooled(validation)
    found, quality = calibrate_cascade(cascade, validation, coverage)
    assert (found.first, quality.asked) == (None, 1.0)
    scores = cascade.whole.calibrated(found.whole).in_scope_scores(features)
    assert found.whole.threshold == choose_threshold(scores, coverage)


@pytest.mark.parametrize("width", [0, WIDTH])
def test_where_the_trunk_makes_no_features_or_all_of_them_everyone_is_asked(width):
    cascade, validation, outside = portfolio(12)
    found, quality = calibrate_cascade(
        Cascade(cascade.whole, width), validation, 0.95, out_of_scope=outside, recall=0.5
    )
    assert (found.first, quality.asked) == (None, 1.0)
    assert quality.recall == 0.5


def test_without_validation_rows_nothing_is_chosen_by_them():
    cascade, validation, outside = portfolio(13)
    nothing = [rows[:0] for rows in validation]
    found, quality = calibrate_cascade(cascade, nothing, 0.95)
    assert (found.first, quality) == (None, Quality())
    assert (found.whole.threshold, found.whole.temperature) == (-math.inf, 1.0)
    assert found.whole.shrinkage == cascade.whole.covariance.oas
    _, counted = calibrate_cascade(cascade, nothing, 0.95, out_of_scope=outside)
    assert counted == Quality(recall=0.0)
    wanted, reached = calibrate_cascade(cascade, nothing, 0.95, out_of_scope=outside, recall=0.5)
    assert reached == Quality(recall=0.5)
    assert math.isfinite(wanted.whole.threshold)


def test_tasks_without_validation_rows_leave_the_settings_to_the_others():
    cascade, validation, _ = portfolio(14)
    found, quality = calibrate_cascade(cascade, [validation[0], validation[1][:0], validation[2]], 0.9)
    assert quality.coverage == pytest.approx(0.9)
    assert found.first is not None


def test_one_task_is_looked_at_twice_for_its_scope_only():
    cascade, validation, outside = portfolio(15, tasks=1)
    found, quality = calibrate_cascade(cascade, validation, 0.9, out_of_scope=outside)
    assert (found.first.margin, found.first.temperature, found.whole.temperature) == (1.0, 1.0, 1.0)
    assert (quality.ece, quality.ece_before) == (0.0, 0.0)
    assert quality.asked == pytest.approx(0.3)
    assert quality.coverage == pytest.approx(0.9)


def test_an_empty_list_of_out_of_scope_rows_is_none():
    cascade, validation, outside = portfolio(16)
    assert calibrate_cascade(cascade, validation, 0.9, out_of_scope=outside[:0]) == calibrate_cascade(
        cascade, validation, 0.9
    )


def test_very_many_validation_rows_are_sampled():
    cascade, validation, _ = portfolio(17, rows=MOST_ROWS)
    found, quality = calibrate_cascade(cascade, validation, 0.9)
    assert abs(quality.coverage - 0.9) < 1 / MOST_ROWS + 1e-9
    assert 0.85 < kept_share(cascade, found, pooled(validation)[0]) < 0.95


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, math.nan])
def test_wishes_that_are_no_share_are_refused(share):
    cascade, validation, outside = portfolio(18, rows=2)
    with pytest.raises(ValueError, match="coverage must be above 0 and at most 1"):
        calibrate_cascade(cascade, validation, share)
    with pytest.raises(ValueError, match="recall must be above 0 and at most 1"):
        calibrate_cascade(cascade, validation, 0.9, out_of_scope=outside, recall=share)


def test_a_recall_without_rows_to_reach_it_on_is_refused():
    cascade, validation, outside = portfolio(18, rows=2)
    for rows in (None, outside[:0]):
        with pytest.raises(ValueError, match="a recall needs out-of-scope rows to be reached on, got none"):
            calibrate_cascade(cascade, validation, 0.9, out_of_scope=rows, recall=0.5)


def test_features_that_are_not_finite_are_refused():
    cascade, validation, outside = portfolio(19)
    outside[3, 1] = np.inf
    with pytest.raises(ValueError, match="NaN or infinity in row 3"):
        calibrate_cascade(cascade, validation, 0.9, out_of_scope=outside)
