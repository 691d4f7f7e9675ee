"""How well the router does, against the same counted out text by text from each text's own route."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from portfolio.calibrating import known_tasks
from portfolio.errors import ConfigError, NotFound
from portfolio.records import FirstLook, RouterWishes

SHED = {"tool": ("spade", "rake", "pan", "ladle", "hoe"), "plant": ("rose", "fern", "ivy", "moss", "daisy")}
FOREIGN = ["violin opera drum", "choir flute", "banjo", "opera now", "rose soup ferry", "zebra!"]


@pytest.fixture
def before(grown, opened, tmp_path):
    """The portfolio as it was before `shed` came."""
    shutil.copytree(grown.path, tmp_path / "before")
    return opened(tmp_path / "before")


@pytest.fixture
def overlapping(grown, before, files_of, quick, settle):
    """A fourth task that takes rows of the garden and the kitchen; of the texts some are asked at the base."""
    files = files_of("shed", SHED)
    grown.add_task("shed", files.train, test=files.test, training=quick)
    look = FirstLook(margin=0.5, in_scope=-25.0, temperature=4.0)
    settle(grown, first_look=look, temperature=4.0, threshold=-22.0)
    return grown


@pytest.fixture
def judged(grown_files, examples_in, files_of):
    """Texts with their tasks: unevenly many, in no order of tasks, and none of the harbour."""
    texts, tasks = [], []
    shed = files_of("shed", SHED)
    for name, rows in (("shed", shed), ("garden", grown_files["garden"]), ("kitchen", grown_files["kitchen"])):
        some = examples_in(rows.test)[0][: {"shed": 4, "garden": 10, "kitchen": 7}[name]]
        texts, tasks = texts + some, tasks + [name] * len(some)
    return [*texts, "rose pan", "ladle spade hoe"], [*tasks, "garden", "kitchen"]


def alone(portfolio, texts):
    return [portfolio.route([text], abstain=False)[0] for text in texts]


def test_every_figure_is_what_counting_gives(overlapping, judged):
    texts, tasks = judged
    report, routes = overlapping.judge_routes(texts, tasks), alone(overlapping, texts)
    right = [route.tasks[0] == task for route, task in zip(routes, tasks, strict=True)]
    assert 0 < sum(right) < len(texts)
    assert report.tasks == ("garden", "kitchen", "harbour", "shed")
    assert (report.rows, report.accuracy) == (len(texts), pytest.approx(sum(right) / len(texts)))
    for i, true in enumerate(report.tasks):
        mine = [route.tasks[0] for route, task in zip(routes, tasks, strict=True) if task == true]
        assert report.confusion[i].tolist() == [mine.count(other) for other in report.tasks]
        assert report.by_task[i] == (pytest.approx(mine.count(true) / len(mine)) if mine else None)
    threshold = {"trunk": -25.0, "base": -22.0}
    kept = [route.in_scope >= threshold[route.looked] for route in routes]
    assert 0 < sum(kept) < len(kept)
    assert report.coverage == pytest.approx(sum(kept) / len(kept))
    asked = [route.looked == "base" for route in routes]
    assert 0 < sum(asked) < len(asked)
    assert report.asked == pytest.approx(sum(asked) / len(asked))
    assert report.block_evaluations == pytest.approx(np.mean([4 if one else 2 for one in asked]))
    assert report.base_passes == pytest.approx(report.block_evaluations / 4)
    assert report.out_of_scope is None


def test_the_texts_that_went_wrong_are_named_with_their_routes(overlapping, judged):
    texts, tasks = judged
    report = overlapping.judge_routes(texts, tasks)
    expected = [
        (row, texts[row], tasks[row], route.tasks)
        for row, route in enumerate(alone(overlapping, texts))
        if route.tasks[0] != tasks[row]
    ]
    assert [(one.row, one.text, one.task, one.route.tasks) for one in report.wrong] == expected
    assert all(one.route.reason for one in report.wrong)


def test_calibration_error_and_risk_are_their_definitions_over_the_routes(overlapping, judged):
    texts, tasks = judged
    report, routes = overlapping.judge_routes(texts, tasks), alone(overlapping, texts)
    rows = sorted(
        ((route.scores[0], route.tasks[0] == task) for route, task in zip(routes, tasks, strict=True)), reverse=True
    )
    gap = 0.0
    for number in range(15):
        inside = [(score, right) for score, right in rows if number / 15 < score <= (number + 1) / 15]
        gap += abs(sum(right for _, right in inside) - sum(score for score, _ in inside))
    assert report.ece == pytest.approx(gap / len(rows), abs=1e-5)
    for coverage, risk in zip(report.curve.coverages, report.curve.risks, strict=True):
        surest = rows[: max(1, int(np.ceil(coverage * len(rows) - 1e-9)))]
        assert risk == pytest.approx(np.mean([not right for _, right in surest]))
    assert report.curve.risks[-1] == pytest.approx(1 - report.accuracy)


def test_out_of_scope_figures_are_counted_pair_by_pair(overlapping, judged):
    """Who is sure at the first look is above all others, as nobody refuses it."""
    texts, tasks = judged
    found = overlapping.judge_routes(texts, tasks, out_of_scope=FOREIGN).out_of_scope
    ours, theirs = (
        [(route.looked == "trunk", route.in_scope) for route in alone(overlapping, some)] for some in (texts, FOREIGN)
    )
    assert found.rows == len(FOREIGN)
    assert found.recall == np.mean([answer.abstained for answer in overlapping.predict(FOREIGN)])
    assert 0 < found.recall < 1
    wins = [(mine > other) + 0.5 * (mine == other) for mine in ours for other in theirs]
    assert found.auroc == pytest.approx(np.mean(wins))
    threshold = sorted(ours, reverse=True)[int(np.ceil(0.95 * len(ours) - 1e-9)) - 1]
    assert found.fpr95 == pytest.approx(np.mean([other >= threshold for other in theirs]))


def test_rules_sessions_and_a_fallback_have_no_say(overlapping, judged, settle):
    texts, tasks = judged
    before = overlapping.judge_routes(texts, tasks, out_of_scope=FOREIGN)
    (overlapping.path / "routes.toml").write_text('[[rule]]\npin = "harbour"\n')
    settle(overlapping, wishes=RouterWishes(fallback="harbour"))
    after = overlapping.judge_routes(texts, tasks, out_of_scope=FOREIGN)
    assert after.confusion.tolist() == before.confusion.tolist()
    assert (after.coverage, after.out_of_scope) == (before.coverage, before.out_of_scope)


def test_what_cannot_be_judged_is_refused(overlapping, empty):
    with pytest.raises(ConfigError, match="expected a task for each of 2 texts, got 1"):
        overlapping.judge_routes(["rose", "fern"], ["garden"])
    with pytest.raises(ConfigError, match="texts must be a list of texts"):
        overlapping.judge_routes(["rose"], ["garden"], out_of_scope="violin")
    with pytest.raises(NotFound, match="'cellar'"):
        overlapping.judge_routes(["rose"], ["cellar"])
    with pytest.raises(NotFound, match="expected one text or more"):
        overlapping.judge_routes([], [])
    with pytest.raises(NotFound):
        empty.judge_routes(["rose"], ["garden"])


# Overlap


def validation_of(portfolio):
    return {task.name: task.rows.validation_features for task in known_tasks(portfolio.engine(), portfolio.snapshot())}


def routed_one_by_one(cascade, rows):
    """The tasks that rows of features go to, each looked at alone."""

    def to(row):
        [looked] = cascade.route(row[None, : cascade.first_width], lambda _: row[None])
        return looked.decision.tasks[0]

    return [to(row) for row in rows]


def test_overlap_says_where_every_tasks_validation_rows_go(overlapping):
    report = overlapping.overlap()
    router = overlapping.engine().refresh().router
    assert report.now.tasks == ("garden", "kitchen", "harbour", "shed")
    for number, (name, rows) in enumerate(validation_of(overlapping).items()):
        went = routed_one_by_one(router, rows)
        assert [report.now.tasks[other] for other in report.now.chosen[number]] == went
        assert report.now.taken[number].tolist() == pytest.approx(
            [went.count(other) / len(went) for other in report.now.tasks]
        ), name
    assert (report.without, report.stolen) == (None, ())
    assert report.labels["shed"] == ("plant", "tool")
    pairs = {(pair.first, pair.second): pair for pair in report.now.pairs}
    assert ("garden", "shed") in pairs


def test_the_distance_of_two_classes_is_the_routers(overlapping):
    router = overlapping.engine().refresh().router.whole
    covariance = router.covariance
    shrunk = (1 - router.settings.shrinkage) * covariance.matrix
    shrunk += router.settings.shrinkage * covariance.mean_variance * np.eye(len(shrunk))
    for pair in overlapping.overlap().now.pairs:
        means = [
            router.class_means[router.task_of_class == router.tasks.index(name)] for name in (pair.first, pair.second)
        ]
        a, b = (mine[number] for mine, number in zip(means, pair.nearest_classes, strict=True))
        assert pair.distance == pytest.approx(float(np.sqrt((a - b) @ np.linalg.solve(shrunk, a - b))))


def test_what_a_task_took_is_told_as_if_it_had_never_come(overlapping, before):
    """Without it stands the portfolio from before it came, under today's settings."""
    now = overlapping.engine().refresh().router
    settings = overlapping.snapshot().router
    router = before.engine().refresh().router
    never = type(now)(router.whole.calibrated(now.whole.settings), now.first_width, now.first_look)
    expected = {}
    for name, rows in validation_of(before).items():
        was, came = routed_one_by_one(never, rows), routed_one_by_one(now, rows)
        lost = tuple(row for row, (a, b) in enumerate(zip(was, came, strict=True)) if (a, b) == (name, "shed"))
        if lost:
            expected[name] = (lost, len(lost) / len(rows))
    report = overlapping.overlap(without="shed")
    assert report.without == "shed"
    assert {theft.task: (theft.rows, pytest.approx(theft.share)) for theft in report.stolen} == expected
    assert expected
    assert overlapping.snapshot().router == settings


def test_overlap_of_one_task_and_of_none(empty, files_of, quick):
    with pytest.raises(NotFound, match="no task yet; add one with"):
        empty.overlap()
    files = files_of("garden")
    empty.add_task("garden", files.train, test=files.test, training=quick)
    for without in (None, "garden"):
        report = empty.overlap(without=without)
        assert (report.now.tasks, report.now.pairs, report.stolen) == (("garden",), (), ())
    with pytest.raises(NotFound, match="no task 'cellar'; the tasks here: garden"):
        empty.overlap(without="cellar")
