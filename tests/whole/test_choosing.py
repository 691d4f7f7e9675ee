"""Routes against a slow oracle: every text alone, all features of the bare base, and the equations written out.

first look sure  ⇔  margin >= m and in scope >= s, by the trunk's features; else all features decide
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from portfolio.hosting.encode import pad
from portfolio.records import FirstLook, RouterWishes
from routing.statistics import centroids_from_bytes, totals_from_bytes

TEXTS = [
    "rose fern moss",
    "spade rake",
    "soup pan stew ladle",
    "the old tug in a storm",
    "zebra!",
    "fern rake pie",
    "a",
    "",
    "violin opera drum",
    "rose soup ferry",
    "kettle now please",
]
LOOK = FirstLook(margin=0.6, in_scope=-20.0, temperature=8.0)  # with them, some of the texts are sure and some are not
THRESHOLD = -24.0  # of all features


@dataclass(frozen=True, kw_only=True)
class Said:
    """What one look says to one text."""

    chances: dict[str, float]  # best first
    in_scope: float
    nearest: tuple[str, str, float]  # task, label, squared distance

    @property
    def margin(self):
        best, second = [*self.chances.values()][:2]
        return best - second


class Oracle:
    """The router of a portfolio, by numpy alone. `own_share` must be 0."""

    def __init__(self, portfolio, only=None):
        self.engine, snapshot = portfolio.engine(), portfolio.snapshot()
        self.state, self.tasks = snapshot.router, [task for task in snapshot.tasks if only is None or task.name in only]
        assert self.state.own_share == 0
        self.totals = totals_from_bytes(portfolio.store.get(self.state.totals))
        sums = {task.name: centroids_from_bytes(portfolio.store.get(task.centroids)) for task in snapshot.tasks}
        self.every = [(mean, count) for one in sums.values() for mean, count in zip(one.means, one.counts, strict=True)]
        self.classes = [
            (task.name, label, mean)
            for task in self.tasks
            for label, mean in zip(task.labels, sums[task.name].means, strict=True)
        ]

    def features(self, text):
        with torch.no_grad():
            batch = pad(self.engine.encode([text], None), self.engine.host.base.pad_id)
            return self.engine.host.run(batch).features.numpy()[0].astype(np.float64)

    def look(self, text, width, temperature):
        x = self.features(text)[:width]
        covariance = self.totals.within / (self.totals.rows - self.totals.classes)
        round_one = np.eye(len(covariance)) * np.trace(covariance) / len(covariance)
        shrunk, half = (
            ((1 - share) * covariance + share * round_one)[:width, :width] for share in (self.state.shrinkage, 0.5)
        )
        far = [float((x - m[:width]) @ np.linalg.solve(shrunk, x - m[:width])) for *_, m in self.classes]
        weight = {task.name: 0.0 for task in self.tasks}
        for (task, *_), distance in zip(self.classes, far, strict=True):
            weight[task] += math.exp((min(far) - distance) / (2 * temperature))
        whole = sum(weight.values())
        best_first = sorted(weight, key=weight.__getitem__, reverse=True)
        centre = self.totals.feature_sum[:width] / self.totals.rows
        between = sum(n * np.outer(m[:width] - centre, m[:width] - centre) for m, n in self.every) / self.totals.rows
        background = 1.2 * (half + between)
        near = min(float((x - m[:width]) @ np.linalg.solve(half, x - m[:width])) for *_, m in self.classes)
        closest = int(np.argmin(far))
        return Said(
            chances={task: weight[task] / whole for task in best_first},
            in_scope=float((x - centre) @ np.linalg.solve(background, x - centre)) - near,
            nearest=(*self.classes[closest][:2], far[closest]),
        )

    def says(self, text):
        """Which look decides, and what it says; a first look that is sure refuses nothing."""
        look = self.state.first_look
        if look is not None and self.engine.first_width > 0:
            first = self.look(text, self.engine.first_width, look.temperature)
            if first.margin >= look.margin and first.in_scope >= look.in_scope:
                return "trunk", first, False
        second = self.look(text, self.engine.router_width, self.state.temperature)
        return "base", second, second.in_scope < self.state.threshold


@pytest.fixture
def doubtful(grown, settle):
    """The grown portfolio, with settings under which the texts meet each fate."""
    settle(grown, first_look=LOOK, temperature=15.0, threshold=THRESHOLD)
    return grown


def test_every_route_is_what_the_equations_say_of_the_text_alone(doubtful):
    oracle, fates = Oracle(doubtful), set()
    for text, route in zip(TEXTS, doubtful.route(TEXTS, top_k=3), strict=True):
        looked, said, refused = oracle.says(text)
        assert (route.looked, route.abstained) == (looked, refused)
        assert route.tasks == tuple(said.chances)
        assert route.scores == pytest.approx(tuple(said.chances.values()), abs=1e-4)
        assert (route.margin, route.runner_up) == (pytest.approx(said.margin, abs=1e-4), [*said.chances][1])
        assert route.in_scope == pytest.approx(said.in_scope, abs=1e-2, rel=1e-4)
        assert route.threshold == (LOOK.in_scope if looked == "trunk" else THRESHOLD)
        assert (route.nearest[0].task, route.nearest[0].label) == said.nearest[:2]
        assert route.nearest[0].distance == pytest.approx(said.nearest[2], rel=1e-3)
        assert [one.distance for one in route.nearest] == sorted(one.distance for one in route.nearest)
        assert (route.decided_by, route.rule) == ("router", None)
        fates.add((looked, refused))
    assert fates == {("trunk", False), ("base", False), ("base", True)}


def test_a_route_says_which_class_is_nearest_who_comes_second_and_what_the_figures_are(doubtful):
    for route in doubtful.route(TEXTS):
        nearest = route.nearest[0]
        for part in (f"'{nearest.label}' of '{nearest.task}'", f"runner-up '{route.runner_up}'"):
            assert part in route.reason
        assert ("abstained: in scope" in route.reason) == route.abstained


@pytest.mark.parametrize("settings", [{}, {"abstain": False}, {"top_k": 2}, {"top_k": 3, "band": 0.3}], ids=repr)
def test_answering_goes_where_routing_says(doubtful, settings):
    """And adds the blocks of the adapters' pass."""
    routes, answers = doubtful.route(TEXTS, **settings), doubtful.predict(TEXTS, **settings)
    for route, answer in zip(routes, answers, strict=True):
        assert answer.abstained == route.abstained
        assert answer.route.scores == pytest.approx(route.scores, abs=1e-6)
        for name in ("tasks", "reason", "abstained", "decided_by", "runner_up", "looked", "rule"):
            assert getattr(answer.route, name) == getattr(route, name), name
        added = 0 if route.abstained else 2 * len(route.tasks)
        assert answer.route.block_evaluations == route.block_evaluations + added


def test_without_a_first_look_every_text_meets_all_features(grown, settle):
    settle(grown, first_look=None)
    oracle = Oracle(grown)
    for text, route in zip(TEXTS, grown.route(TEXTS), strict=True):
        looked, said, refused = oracle.says(text)
        assert (looked, route.looked) == ("base", "base")
        assert (route.tasks[0], route.abstained) == (next(iter(said.chances)), refused)
        assert route.block_evaluations == 4


def test_a_text_that_must_be_answered_goes_to_the_best_task_and_is_told_its_score(doubtful):
    for free, forced in zip(doubtful.route(TEXTS), doubtful.route(TEXTS, abstain=False), strict=True):
        assert not forced.abstained
        said = free.reason.replace("abstained:", "would have abstained:")
        assert replace(free, abstained=False, reason=said) == forced


# Blocks of the base


@pytest.fixture
def counted(doubtful, blocks_run):
    """Rows that went through a block of the base in one call, counted by the blocks, and by the routes."""
    host = doubtful.engine().host
    doubtful.predict(["rose"])  # the first call runs upper blocks once, to know what they return
    ran = blocks_run(host)

    def count(texts, **arguments):
        ran.clear()
        answers = doubtful.predict(texts, **arguments)
        return len(ran), [answer.route.block_evaluations for answer in answers], answers

    return count


@pytest.mark.parametrize(
    ("arguments", "fallback", "fates"),
    [
        ({}, None, {("trunk", False): 2 + 2, ("base", False): 4 + 2, ("base", True): 4}),
        ({"top_k": 2}, None, {("trunk", False): 2 + 4, ("base", False): 4 + 4, ("base", True): 4}),
        ({"abstain": False}, None, {("trunk", False): 2 + 2, ("base", False): 4 + 2}),
        ({}, "kitchen", {("trunk", False): 2 + 2, ("base", False): 4 + 2}),
        ({"top_k": 3}, "kitchen", {("trunk", False): 2 + 6, ("base", False): {4 + 6, 4 + 2}}),
        ({}, "base", {("trunk", False): 2 + 2, ("base", False): {4 + 2, 4}}),
        ({"task": "garden"}, None, {(None, False): 4}),
    ],
    ids=repr,
)
def test_every_block_that_a_text_goes_through_is_counted_once(counted, doubtful, settle, arguments, fallback, fates):
    settle(doubtful, wishes=RouterWishes(fallback=fallback))
    total, said, answers = counted(TEXTS, **arguments)
    assert sum(said) == total
    seen = {}
    for text, blocks, answer in zip(TEXTS, said, answers, strict=True):
        assert counted([text], **arguments)[:2] == (blocks, [blocks])  # each alone, too
        seen.setdefault((answer.route.looked, answer.abstained), set()).add(blocks)
    assert seen == {fate: blocks if isinstance(blocks, set) else {blocks} for fate, blocks in fates.items()}


def test_where_no_text_is_answered_no_adapter_is_run(counted, doubtful, settle):
    settle(doubtful, threshold=1e9, first_look=None)
    read = doubtful.engine().bank.refs
    total, _, answers = counted(TEXTS)
    assert all(answer.abstained for answer in answers)
    assert total == 4 * len(TEXTS)
    assert doubtful.engine().bank.refs == read


def test_routing_runs_no_adapter(doubtful, blocks_run):
    doubtful.route(["rose"])
    ran = blocks_run(doubtful.engine().host)
    routes = doubtful.route(TEXTS, top_k=3)
    assert len(ran) == sum(route.block_evaluations for route in routes)
    assert {route.block_evaluations for route in routes} == {2, 4}
    assert doubtful.engine().bank.refs == ()
