"""Two looks at an input: checked row by row against both routers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from routing.cascade import Cascade, CascadeCalibration, FirstLook
from routing.router import Calibration, CentroidRouter
from routing.statistics import Totals, summarise

WIDTH, FIRST = 8, 3
SETTINGS = Calibration(threshold=-6.0, temperature=2.0, shrinkage=0.2, own_share=0.1)
LOOK = FirstLook(margin=0.5, in_scope=-4.0, temperature=1.5)


def whole_router(settings=SETTINGS, tasks=4):
    generator = np.random.default_rng(0)
    totals, centroids = Totals.zero(WIDTH), {}
    for number in range(tasks):
        labels = np.arange(30) // 15
        features = generator.normal(scale=1.5, size=(2, WIDTH))[labels] + generator.normal(size=(30, WIDTH))
        one, scatter = summarise(features, labels, 2, corner=3)
        totals, centroids[f"task{number}"] = totals.add(one, scatter), one
    return CentroidRouter(totals, centroids, settings=settings)


QUERIES = np.random.default_rng(1).normal(scale=1.7, size=(200, WIDTH)).astype(np.float32)


class Deeper:
    """All features of the rows asked for, and a record of the askings."""

    def __init__(self, features):
        self._features = features
        self.calls = []

    def __call__(self, rows):
        self.calls.append(rows.tolist())
        return self._features[rows]


def first_router(whole):
    look = replace(whole.settings, threshold=LOOK.in_scope, temperature=LOOK.temperature)
    return whole.leading(FIRST).calibrated(look)


def is_sure(decision):
    return decision.margin >= LOOK.margin and decision.in_scope >= LOOK.in_scope


@pytest.mark.parametrize("wishes", [{}, {"top_k": 3}, {"allowed": ["task2", "task0"]}])
def test_sure_rows_take_the_first_look_and_the_others_the_second(wishes):
    whole, deeper = whole_router(), Deeper(QUERIES)
    looked = Cascade(whole, FIRST, LOOK).route(QUERIES[:, :FIRST], deeper, **wishes)
    early, late = first_router(whole).route(QUERIES[:, :FIRST], **wishes), whole.route(QUERIES, **wishes)
    sure = [is_sure(decision) for decision in early]
    assert 20 < sum(sure) < 180
    assert [one.is_first for one in looked] == sure
    for got, first, second in zip(looked, early, late, strict=True):
        expected = first if got.is_first else second
        assert got.decision.tasks == expected.tasks
        assert got.decision.scores == pytest.approx(expected.scores, abs=1e-9)
        assert got.decision.in_scope == pytest.approx(expected.in_scope, abs=1e-9)
        assert (got.decision.abstain, got.decision.threshold) == (expected.abstain, expected.threshold)
    assert any(one.decision.abstain for one in looked)
    assert deeper.calls == [[row for row in range(200) if not sure[row]]]


def test_rows_that_are_refused_for_their_scope_alone_or_their_margin_alone_are_asked_too():
    early = first_router(whole_router()).route(QUERIES[:, :FIRST])
    asked = Cascade(whole_router(), FIRST, LOOK).choose(QUERIES).asked
    for is_near, is_clear in [(True, False), (False, True), (False, False)]:
        kind = [
            row
            for row, one in enumerate(early)
            if (one.in_scope >= LOOK.in_scope) == is_near and (one.margin >= LOOK.margin) == is_clear
        ]
        assert kind and asked[kind].all()


def test_a_margin_and_a_scope_that_are_just_reached_are_enough():
    first = first_router(whole_router())
    [decision] = first.route(QUERIES[:1, :FIRST])
    look = replace(LOOK, margin=decision.margin, in_scope=decision.in_scope)
    cascade, deeper = Cascade(whole_router(), FIRST, look), Deeper(QUERIES)
    assert cascade.route(QUERIES[:1, :FIRST], deeper)[0].is_first
    assert not cascade.choose(QUERIES[:1]).asked.any()
    for beyond in (
        replace(look, margin=math.nextafter(look.margin, 2)),
        replace(look, in_scope=math.nextafter(look.in_scope, math.inf)),
    ):
        assert not Cascade(whole_router(), FIRST, beyond).route(QUERIES[:1, :FIRST], deeper)[0].is_first
        assert Cascade(whole_router(), FIRST, beyond).choose(QUERIES[:1]).asked.all()


def test_where_every_row_is_sure_the_base_is_never_asked():
    deeper = Deeper(QUERIES)
    cascade = Cascade(whole_router(), FIRST, FirstLook(margin=0.0, in_scope=-math.inf, temperature=1.0))
    assert all(one.is_first for one in cascade.route(QUERIES[:, :FIRST], deeper))
    assert deeper.calls == []


def test_choosing_for_many_rows_says_what_routing_them_says():
    cascade = Cascade(whole_router(), FIRST, LOOK)
    made, looked = cascade.choose(QUERIES), cascade.route(QUERIES[:, :FIRST], Deeper(QUERIES))
    choices, decisions = made.choices, [one.decision for one in looked]
    np.testing.assert_array_equal(made.asked, [not one.is_first for one in looked])
    assert [cascade.tasks[task] for task in choices.tasks] == [decision.tasks[0] for decision in decisions]
    np.testing.assert_allclose(choices.probabilities, [decision.scores[0] for decision in decisions], atol=1e-9)
    np.testing.assert_allclose(choices.margins, [decision.margin for decision in decisions], atol=1e-9)
    np.testing.assert_allclose(choices.in_scope, [decision.in_scope for decision in decisions], atol=1e-9)
    np.testing.assert_array_equal(choices.abstain, [decision.abstain for decision in decisions])
    nearest = [(decision.nearest[0].task, decision.nearest[0].number) for decision in decisions]
    names = [cascade.tasks[task] for task in choices.nearest_tasks]
    assert list(zip(names, choices.nearest_classes, strict=True)) == nearest


@pytest.mark.parametrize("size", [1, 7, 64])
def test_rows_are_decided_the_same_however_they_are_split_into_batches(size):
    cascade = Cascade(whole_router(), FIRST, LOOK)
    together, parts = cascade.route(QUERIES[:, :FIRST], Deeper(QUERIES)), []
    for start in range(0, 200, size):
        some = QUERIES[start : start + size]
        parts += cascade.route(some[:, :FIRST], Deeper(some))
    assert [one.is_first for one in parts] == [one.is_first for one in together]
    for part, one in zip(parts, together, strict=True):
        assert part.decision.tasks == one.decision.tasks
        assert part.decision.abstain == one.decision.abstain
        assert part.decision.scores == pytest.approx(one.decision.scores, abs=1e-9)
        assert part.decision.in_scope == pytest.approx(one.decision.in_scope, abs=1e-9)


@pytest.mark.parametrize(("width", "look"), [(0, LOOK), (WIDTH, LOOK), (FIRST, None)])
def test_without_a_first_look_every_row_is_asked(width, look):
    whole, deeper = whole_router(), Deeper(QUERIES)
    cascade = Cascade(whole, width, look)
    looked = cascade.route(QUERIES[:, :width], deeper)
    assert [one.decision for one in looked] == whole.route(QUERIES)
    assert not any(one.is_first for one in looked)
    assert deeper.calls == [list(range(200))]
    made = cascade.choose(QUERIES)
    assert made.asked.all()
    np.testing.assert_array_equal(made.choices.probabilities, whole.choose(QUERIES).probabilities)


@pytest.mark.parametrize("look", [None, LOOK])
def test_no_rows_are_decided_without_asking(look):
    cascade, deeper = Cascade(whole_router(), FIRST, look), Deeper(QUERIES)
    assert cascade.route(QUERIES[:0, :FIRST], deeper) == []
    assert deeper.calls == []
    assert len(cascade.choose(QUERIES[:0]).asked) == len(cascade.choose(QUERIES[:0]).choices.tasks) == 0


def test_one_task_is_always_sure_of_the_task_but_not_of_the_scope():
    looked = Cascade(whole_router(tasks=1), FIRST, LOOK).route(QUERIES[:, :FIRST], Deeper(QUERIES))
    assert {one.decision.tasks for one in looked} == {("task0",)}
    early = first_router(whole_router(tasks=1)).route(QUERIES[:, :FIRST])
    assert [one.is_first for one in looked] == [decision.in_scope >= LOOK.in_scope for decision in early]


def test_other_settings_give_the_cascade_that_would_be_made_with_them():
    other = CascadeCalibration(whole=replace(SETTINGS, threshold=-3.0, shrinkage=0.5), first=LOOK)
    got = Cascade(whole_router(), FIRST).calibrated(other).choose(QUERIES)
    expected = Cascade(whole_router(other.whole), FIRST, LOOK).choose(QUERIES)
    np.testing.assert_array_equal(got.asked, expected.asked)
    np.testing.assert_allclose(got.choices.probabilities, expected.choices.probabilities, atol=1e-9)
    np.testing.assert_array_equal(got.choices.abstain, expected.choices.abstain)


def test_a_first_look_at_more_features_than_there_are_is_refused():
    for width in (-1, WIDTH + 1):
        with pytest.raises(ValueError, match=f"a first look at 0 to {WIDTH} features, got {width}"):
            Cascade(whole_router(), width)


def test_features_and_tasks_are_refused_as_by_a_router():
    cascade = Cascade(whole_router(), FIRST, LOOK)
    poisoned = QUERIES.copy()
    poisoned[5, 0] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity in row 5"):
        cascade.route(poisoned[:, :FIRST], Deeper(QUERIES))
    with pytest.raises(ValueError, match="NaN or infinity in row 5"):
        cascade.choose(poisoned)
    with pytest.raises(ValueError, match="NaN or infinity"):
        cascade.route(QUERIES[:, :FIRST], lambda rows: np.full((len(rows), WIDTH), np.nan, dtype=np.float32))
    with pytest.raises(ValueError, match=rf"expected \(N, {FIRST}\) float32 features"):
        cascade.route(QUERIES, Deeper(QUERIES))
    with pytest.raises(ValueError, match="'task9'"):
        cascade.route(QUERIES[:, :FIRST], Deeper(QUERIES), allowed=["task9"])
