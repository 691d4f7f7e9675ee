"""One row of the results matrices, on clusters in a plane where every expected score is seen by eye."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save

from portfolio.errors import DamagedBlob
from portfolio.evaluation import Astray, KnownTask, measure
from portfolio.evaluation_set import EvaluationSet
from portfolio.outcomes import NOBODY, UNASKED
from portfolio.records import UNKNOWN_LABEL
from routing.cascade import Cascade, FirstLook
from routing.router import CentroidRouter
from routing.statistics import Totals, summarise

# The first class of each task, then its second; both tasks know the label `yes`.
CORNERS = {"east": [(10, 0), (10, 6)], "west": [(-10, 0), (-10, 6)]}
LABELS = {"east": ("no", "yes"), "west": ("maybe", "yes")}
EAST_NO, EAST_YES, WEST_MAYBE, WEST_YES = (10, 0), (10, 6), (-10, 0), (-10, 6)


def make_router(first_width=0, first_look=None):
    totals, centroids = Totals.zero(2), {}
    for seed, (name, centres) in enumerate(CORNERS.items()):
        random = np.random.default_rng(seed)
        rows = np.concatenate([centre + random.normal(size=(20, 2)) for centre in centres]).astype(np.float32)
        centroids[name], scatter = summarise(rows, np.repeat([0, 1], 20), 2)
        totals = totals.add(centroids[name], scatter)
    return Cascade(CentroidRouter(totals, centroids), first_width, first_look)


def with_threshold(router, threshold):
    whole = router.whole.calibrated(replace(router.whole.settings, threshold=threshold))
    return Cascade(whole, router.first_width, router.first_look)


@pytest.fixture(scope="module")
def router():
    return make_router()


def task(name, points, labels, predictions, baseline=0.25):
    rows = EvaluationSet(
        validation_features=np.zeros((0, 2), np.float32),
        test_features=np.array(points, dtype=np.float32).reshape(-1, 2),
        test_labels=np.array(labels, dtype=np.int64),
        test_predictions=np.array(predictions, dtype=np.int64),
        baseline=baseline,
    )
    return KnownTask(name=name, labels=LABELS[name], rows=rows)


WEST = task("west", [], [], [])


class Asked:
    """Answers for rows that went astray, and remembers which were asked for."""

    def __init__(self, answers):
        self.answers, self.rows = answers, []

    def __call__(self, task, astray):
        self.rows = list(astray)
        return self.answers


def test_rows_at_home_are_scored_by_their_own_adapter(router):
    east = task("east", [EAST_NO, EAST_YES, EAST_YES, EAST_NO], [0, 1, 1, 0], [0, 1, 0, 1])
    nobody = Asked(None)
    [cell] = measure("step", [east], router, nobody, LABELS).cells
    assert (cell.step, cell.task, cell.rows, cell.baseline) == ("step", "east", 4, 0.25)
    assert (cell.oracle, cell.routed, cell.routing, cell.floor) == (0.5, 0.5, 1.0, 1.0)
    assert (cell.coverage, cell.selective, cell.astray_right) == (1.0, 0.5, 0.0)
    assert nobody.rows == []


def test_rows_that_go_astray_are_asked_only_where_the_other_task_knows_their_label(router):
    """All of them stand in the west; `no` is unknown there, so only the rows of `yes` are asked."""
    east = task("east", [WEST_YES, WEST_MAYBE, WEST_YES, EAST_NO], [1, 0, 1, 0], [1, 0, 1, 0])
    ask = Asked([True, False])
    [cell] = measure("step", [east], router, ask, LABELS).cells
    assert ask.rows == [Astray(row=0, label="yes", chosen="west"), Astray(row=2, label="yes", chosen="west")]
    assert (cell.oracle, cell.routed, cell.routing) == (1.0, 0.5, 0.25)
    assert cell.astray_right == 0.25  # row 0; row 2 was asked and said something else
    assert cell.floor == 0.75  # rows 0 and 2 by the label `yes` of the west, row 3 at home


def test_where_nobody_can_be_asked_any_more_the_score_is_none_and_never_0(router):
    east = task("east", [WEST_YES, EAST_NO], [1, 0], [1, 0])
    [cell] = measure("step", [east], router, Asked(None), LABELS).cells
    assert (cell.routed, cell.selective, cell.astray_right) == (None, None, None)
    assert (cell.oracle, cell.routing, cell.coverage) == (1.0, 0.5, 1.0)


def test_a_label_that_train_lacks_is_always_wrong(router):
    east = task("east", [EAST_NO, WEST_YES], [UNKNOWN_LABEL, UNKNOWN_LABEL], [0, 1])
    [cell] = measure("step", [east], router, Asked(None), LABELS).cells
    assert (cell.oracle, cell.routed, cell.floor) == (0.0, 0.0, 0.0)


def test_without_test_rows_nothing_is_scored(router):
    [cell] = measure("step", [task("east", [], [], [])], router, Asked(None), LABELS).cells
    assert cell.rows == 0
    assert (cell.oracle, cell.routed, cell.routing, cell.coverage, cell.selective, cell.floor) == (None,) * 6


def test_what_is_abstained_on_counts_for_coverage_and_not_for_the_rest(router):
    points, labels = [EAST_NO, EAST_YES, (300, 300), (0, -400)], [0, 1, 1, 0]
    scores = router.whole.in_scope_scores(np.array(points, dtype=np.float32))
    assert max(scores[2:]) < min(scores[:2])
    strict = with_threshold(router, float(min(scores[:2])))
    east = task("east", points, labels, [0, 1, 0, 1])
    [cell] = measure("step", [east], strict, Asked([False, False]), LABELS).cells
    assert (cell.coverage, cell.selective) == (0.5, 1.0)
    assert cell.oracle == 0.5


def test_a_row_that_the_first_look_is_sure_of_goes_where_that_look_says():
    """The first look sees only how far east a row is, and is sure of all; the second sends the middle to the west, and
    refuses what is so far north."""
    sure = FirstLook(margin=0.5, in_scope=-np.inf, temperature=1.0)
    east = task("east", [(-10, 300), (0, 300)], [0, 0], [0, 0])
    cells = [
        measure("step", [east], with_threshold(make_router(1, look), 0.0), Asked([]), LABELS).cells[0]
        for look in (sure, None)
    ]
    assert [(cell.routing, cell.coverage) for cell in cells] == [(0.5, 1.0), (0.0, 0.0)]


def test_what_became_of_each_row_is_kept(router):
    """West of the middle a row of the east is led away by as much as the west is likelier, and would go home next."""
    points = [WEST_YES, EAST_NO, (-0.1, 6), (0, -400)]
    east = task("east", points, [1, 0, 1, 0], [1, 1, 1, 0])
    strict = with_threshold(router, float(min(router.whole.in_scope_scores(np.array(points[:3], dtype=np.float32)))))
    outcomes = measure("step", [east], strict, Asked([True, False]), LABELS).outcomes
    east_number, west_number = outcomes.number("east"), outcomes.number("west")
    [rows] = outcomes.tasks
    assert rows.task == "east"
    assert rows.own_right.tolist() == [True, False, True, True]
    assert rows.chosen[:3].tolist() == [west_number, east_number, west_number]
    assert rows.right[:3].tolist() == [1, 0, 0]
    assert rows.kept.tolist() == [True, True, True, False]
    assert rows.runner_up[:3].tolist() == [east_number, NOBODY, east_number]
    for row in (0, 2):
        [decision] = router.whole.route(np.array([points[row]], dtype=np.float32), top_k=2)
        assert rows.lead[row] == pytest.approx(decision.scores[0] - decision.scores[1])
    assert rows.lead[1] == 0
    assert 0 < rows.lead[2] < rows.lead[0] <= 1


def test_a_row_that_nobody_could_be_asked_about_is_neither_right_nor_wrong(router):
    east = task("east", [WEST_YES, WEST_MAYBE, EAST_NO], [1, 0, 0], [1, 0, 0])
    [rows] = measure("step", [east], router, Asked(None), LABELS).outcomes.tasks
    assert rows.right.tolist() == [UNASKED, 0, 1]


def test_a_task_without_test_rows_has_outcomes_of_no_row(router):
    [rows] = measure("step", [WEST], router, Asked(None), LABELS).outcomes.tasks
    assert (rows.task, len(rows.own_right), len(rows.lead)) == ("west", 0, 0)


def test_an_evaluation_set_comes_back_from_its_bytes():
    rows = task("east", [EAST_NO, EAST_YES], [0, UNKNOWN_LABEL], [1, 1], baseline=1 / 3).rows
    again = EvaluationSet.from_bytes(rows.to_bytes())
    assert again.baseline == 1 / 3
    for name in ("validation_features", "test_features", "test_labels", "test_predictions"):
        ours, theirs = getattr(rows, name), getattr(again, name)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    assert again.to_bytes() == rows.to_bytes()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello world, I am no tensor",
        save({"baseline": np.zeros(1)}),
        save({"test_labels": np.zeros(1)}),
        save({"baseline": np.zeros(1), "something": np.zeros(1)}),
        save({"baseline": np.zeros(0)}),
    ],
    ids=["nothing", "text", "too little", "no baseline", "something else", "an empty baseline"],
)
def test_other_bytes_are_refused(data):
    with pytest.raises(DamagedBlob, match="expected a task's evaluation set"):
        EvaluationSet.from_bytes(data)
