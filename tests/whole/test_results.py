"""What growing writes down: the cells of the results matrices and the router's sums, each computed a second way."""

from __future__ import annotations

import itertools
import shutil

import numpy as np
import pytest

from portfolio import Portfolio
from portfolio.calibrating import known_tasks
from portfolio.errors import DataError
from portfolio.hosting.trunk import prepare
from portfolio.tasks.recipe import Recipe
from routing.statistics import centroids_from_bytes


@pytest.fixture
def overlapping(grown, files_of, quick):
    """The grown portfolio with `shed`, whose labels the garden knows; and where every task's test rows stand."""
    words = {"tool": ("spade", "rake", "pan", "ladle", "hoe"), "plant": ("rose", "fern", "ivy", "moss", "daisy")}
    files = files_of("shed", words)
    grown.add_task("shed", files.train, test=files.test, training=quick)
    return grown, files


def share(claims):
    claims = list(claims)
    return pytest.approx(sum(claims) / len(claims), abs=1e-9)


def test_every_cell_of_the_last_step_is_what_asking_the_portfolio_gives(overlapping, grown_files, examples_in, cell_of):
    """Oracle: the task is given. Routed: a forced choice over all labels. Coverage: what is not abstained on. Astray and
    right: the label of another task's adapter."""
    portfolio, shed = overlapping
    astray = 0
    for name, files in {**grown_files, "shed": shed}.items():
        texts, labels = examples_in(files.test)
        cell = cell_of(portfolio.snapshot(), "shed", name)
        given = portfolio.predict(texts, task=name)
        forced, free = portfolio.predict(texts, abstain=False), portfolio.predict(texts)
        assert cell.rows == len(texts)
        assert cell.oracle == share(answer.label == label for answer, label in zip(given, labels, strict=True))
        assert cell.routed == share(answer.label == label for answer, label in zip(forced, labels, strict=True))
        assert cell.routing == share(answer.route.tasks[0] == name for answer in forced)
        assert cell.coverage == share(not answer.abstained for answer in free)
        kept = [answer.label == label for answer, label in zip(free, labels, strict=True) if not answer.abstained]
        assert cell.selective == (share(kept) if kept else None)
        assert cell.baseline == 0.5
        right_astray = [
            answer.route.tasks[0] != name and answer.label == label
            for answer, label in zip(forced, labels, strict=True)
        ]
        assert cell.astray_right == share(right_astray)
        astray += sum(right_astray)
    assert astray > 0  # rows that another task's adapter answered rightly, as it knows their label


def test_the_floor_is_the_label_of_the_nearest_class_mean(overlapping, grown_files, examples_in, cell_of):
    """Told by the route, under the covariance that all classes share: here no task has one of its own."""
    portfolio, shed = overlapping
    assert portfolio.snapshot().router.own_share == 0
    for name, files in {**grown_files, "shed": shed}.items():
        texts, labels = examples_in(files.test)
        said = [route.nearest[0].label for route in portfolio.route(texts)]
        cell = cell_of(portfolio.snapshot(), "shed", name)
        assert cell.floor == share(a == b for a, b in zip(said, labels, strict=True))


def test_oracle_scores_never_change_as_tasks_come(overlapping):
    snapshot = overlapping[0].snapshot()
    names = [task.name for task in snapshot.tasks]
    assert names == ["garden", "kitchen", "harbour", "shed"]
    oracle = {(cell.step, cell.task): cell.oracle for cell in snapshot.cells if cell.oracle is not None}
    assert set(oracle) == {(step, task) for j, task in enumerate(names) for step in names[j:]}
    for task in names:
        assert len({score for (_, other), score in oracle.items() if other == task}) == 1
    report = overlapping[0].report().to_dict()
    assert report["tasks"] == names
    assert report["oracle"]["bwt"] == 0
    assert report["oracle"]["forgetting"] == 0


def test_running_every_test_split_again_gives_what_was_stored(overlapping):
    """The adapters, read back from disk, answer as they did when they were learned."""
    portfolio, _ = overlapping
    before = portfolio.snapshot()
    report = portfolio.evaluate()
    after = portfolio.snapshot()
    assert after.cells == before.cells
    assert after.generation == before.generation + 1
    assert report.to_dict() == {**portfolio.report().to_dict()}


def test_a_portfolio_without_tasks_has_nothing_to_run_again(empty):
    assert empty.evaluate().to_dict()["tasks"] == []


def test_a_task_whose_labels_are_all_known_is_scored_before_it_comes(overlapping, cell_of):
    """The cell above the diagonal, from which FWT comes; null where a label was new."""
    portfolio, _ = overlapping
    snapshot = portfolio.snapshot()
    ahead = cell_of(snapshot, "harbour", "shed")
    assert (ahead.rows, ahead.baseline, ahead.oracle) == (10, 0.5, None)
    assert cell_of(snapshot, "garden", "kitchen") is None  # `dish` was new
    assert cell_of(snapshot, "kitchen", "harbour") is None
    report = portfolio.report().to_dict()
    assert report["routed"]["matrix"][2][3] == ahead.routed
    assert report["routed"]["fwt"] == pytest.approx(ahead.routed - 0.5)


def test_the_score_ahead_is_what_asking_gave_before_the_task_came(grown, files_of, quick, examples_in, cell_of):
    words = {"tool": ("spade", "pan", "ladle", "hoe"), "dish": ("soup", "pie", "salad", "roast")}
    files = files_of("canteen", words)
    texts, labels = examples_in(files.test)
    asked = grown.predict(texts, abstain=False)
    grown.add_task("canteen", files.train, test=files.test, training=quick)
    ahead = cell_of(grown.snapshot(), "harbour", "canteen")
    assert ahead.routed == share(answer.label == label for answer, label in zip(asked, labels, strict=True))


def test_without_a_task_whose_labels_were_known_fwt_is_null(empty, files_of, quick):
    for name in ("garden", "harbour"):
        files = files_of(name)
        empty.add_task(name, files.train, test=files.test, training=quick)
    report = empty.report().to_dict()
    assert report["routed"]["fwt"] is None
    assert report["routed"]["matrix"][0][1] is None


# Test files that are gone


@pytest.fixture
def lost(empty, files_of, quick):
    """Two tasks of the same words and opposite labels, so that rows go astray; then the first's test file is gone."""
    words = {"tool": ("spade", "rake", "hoe", "shears"), "plant": ("rose", "fern", "ivy", "moss")}
    files = {
        "one": files_of("one", words),
        "two": files_of("two", {"plant": words["tool"], "tool": words["plant"]}, seed=1),
    }
    empty.add_task("one", files["one"].train, test=files["one"].test, training=quick)
    return empty, files


def test_a_score_that_cannot_be_measured_any_more_is_null_and_never_0(lost, quick, cell_of):
    portfolio, files = lost
    files["one"].test.unlink()
    portfolio.add_task("two", files["two"].train, test=files["two"].test, training=quick)
    gone, there = (cell_of(portfolio.snapshot(), "two", name) for name in ("one", "two"))
    assert gone.routing < 1  # some rows went to `two`, which knows their labels and would have to be asked
    assert (gone.routed, gone.selective) == (None, None)
    assert gone.oracle == cell_of(portfolio.snapshot(), "one", "one").oracle
    assert there.routed is not None


@pytest.mark.parametrize("change", ["gone", "train gone", "changed"])
def test_a_test_file_that_is_gone_or_changed_cannot_be_run_again(lost, change):
    """Train is read again too, as it decides which labels there are and what was held out."""
    portfolio, files = lost
    before = portfolio.snapshot()
    if change != "changed":
        (files["one"].test if change == "gone" else files["one"].train).unlink()
    else:
        lines = files["one"].test.read_text().splitlines(keepends=True)
        files["one"].test.write_text("".join(reversed(lines)))
    with pytest.raises(DataError, match="test rows of task 'one' can no longer be read") as refused:
        portfolio.evaluate()
    assert f"{files['one'].train}, {files['one'].test}" in str(refused.value)
    assert portfolio.snapshot() == before


# The router


def router_of(portfolio):
    return portfolio.engine().refresh().router


def texts_of(grown_files, examples_in):
    return [*(text for files in grown_files.values() for text in examples_in(files.test)[0]), "rose pan", "x y z"]


def test_the_routers_sums_are_those_of_the_training_rows(grown, examples_in, grown_files, totals_of):
    """By numpy over the rows of train that were not held out, task by task."""
    engine, width = grown.engine(), 32 * len(grown.contract.feature_blocks)
    rows, within, total = 0, np.zeros((width, width)), np.zeros(width)
    for task in grown.tasks():
        train = Recipe.from_json(task.reading).read(task.name).train
        x = prepare(engine.host, engine.encode(train.texts, None)).features.numpy().astype(np.float64)
        rows, total, own = rows + len(x), total + x.sum(0), np.zeros((width, width))
        for label in task.labels:
            members = x[[one == label for one in train.labels]]
            own += (members - members.mean(0)).T @ (members - members.mean(0))
        within += own
        corner = centroids_from_bytes(grown.store.get(task.centroids)).corner
        np.testing.assert_allclose(corner, own[:32, :32], rtol=0, atol=1e-5)
    stored = totals_of(grown)
    assert (stored.rows, stored.classes) == (rows, 6)
    np.testing.assert_allclose(stored.feature_sum, total, rtol=0, atol=1e-5)
    np.testing.assert_allclose(stored.within, within, rtol=0, atol=1e-5)


def test_removing_a_task_gives_the_earlier_router_back(
    grown, opened, files_of, quick, same_router, examples_in, grown_files, tmp_path
):
    shutil.copytree(grown.path, tmp_path / "before")
    before = opened(tmp_path / "before")
    files = files_of(
        "shed", {"tool": ("spade", "rake", "pan"), "plant": ("rose", "fern", "moss")}, train_rows=9, test_rows=3
    )
    grown.add_task("shed", files.train, test=files.test, training=quick)
    assert grown.snapshot().router.threshold != pytest.approx(before.snapshot().router.threshold)
    grown.remove_task("shed")
    same_router(grown, before, texts_of(grown_files, examples_in))
    last = [{cell.task: cell for cell in one.snapshot().cells if cell.step == "harbour"} for one in (grown, before)]
    assert last[0] == last[1]


def test_removing_a_task_from_the_middle_leaves_a_portfolio_that_never_had_it(
    grown, tmp_path, tiny_base, grown_files, quick, same_router, examples_in
):
    never = Portfolio.init(tmp_path / "never", tiny_base)
    for name, method in (("garden", "bottleneck"), ("harbour", "bottleneck")):
        files = grown_files[name]
        never.add_task(name, files.train, test=files.test, method=method, training=quick)
    grown.remove_task("kitchen")
    same_router(grown, never, texts_of(grown_files, examples_in))
    last = [{cell.task: cell for cell in one.snapshot().cells if cell.step == "harbour"} for one in (grown, never)]
    assert last[0] == last[1]
    assert [adapter.digest for adapter in grown.snapshot().adapters] == [
        adapter.digest for adapter in never.snapshot().adapters
    ]
    texts = examples_in(grown_files["harbour"].test)[0]
    for one, other in zip(grown.predict(texts), never.predict(texts), strict=True):
        assert (one.label, one.abstained) == (other.label, other.abstained)
    never.close()


def test_the_order_of_the_tasks_does_not_change_the_router(
    tmp_path, tiny_base, grown, grown_files, quick, same_router, examples_in
):
    for number, order in enumerate(itertools.islice(itertools.permutations(grown_files), 1, 6, 2)):
        portfolio = Portfolio.init(tmp_path / str(number), tiny_base)
        for name in order:
            files = grown_files[name]
            portfolio.add_task(name, files.train, test=files.test, training=quick)
        same_router(portfolio, grown, texts_of(grown_files, examples_in))
        portfolio.close()


def test_the_threshold_keeps_the_wanted_share_of_validation_rows(grown):
    rows = [task.rows.validation_features for task in known_tasks(grown.engine(), grown.snapshot())]
    kept = ~router_of(grown).choose(np.concatenate(rows)).choices.abstain
    assert kept.mean() >= 0.95
