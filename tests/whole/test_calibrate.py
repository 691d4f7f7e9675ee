"""What is asked of the router: reached, stored, kept as tasks come and go, seen by others; bad wishes change nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest

from portfolio.calibrating import known_tasks
from portfolio.errors import ConfigError, DataError, InvalidName, NotFound, PortfolioError
from portfolio.hosting.trunk import prepare
from portfolio.portfolio import Portfolio
from portfolio.records import RouterWishes
from portfolio.store.store import Store
from routing.statistics import features_from_bytes

FOREIGN = ["violin opera drum", "choir flute", "banjo drum choir", "opera", "flute violin banjo", "drum drum", "zebra!"]


def contents(path):
    """Every file of a portfolio but the database's own books, with the digest of its bytes."""
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file() and not file.name.startswith("portfolio.db-")
    }


@pytest.fixture
def foreign(tmp_path):
    """A file of texts that no task knows."""
    path = tmp_path / "foreign.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in FOREIGN))
    return path


def validation_of(portfolio):
    return np.concatenate(
        [task.rows.validation_features for task in known_tasks(portfolio.engine(), portfolio.snapshot())]
    )


def kept(portfolio, rows):
    """The share of rows that the router, as it is read from disk, does not refuse."""
    router = portfolio.engine().refresh().router
    return float((~router.choose(rows).choices.abstain).mean())


@pytest.fixture(scope="module")
def _made(tmp_path_factory, tiny_base, quick, task_files):
    """Two tasks with 20 validation rows each, so that shares can be told apart."""
    folder = tmp_path_factory.mktemp("larger")
    portfolio = Portfolio.init(folder / "larger", tiny_base)
    for name in ("garden", "kitchen"):
        files = task_files(folder / "files", name, train_rows=24, test_rows=10, seed=0)
        validation = task_files(folder / "more", name, train_rows=20, test_rows=1, seed=7).train
        portfolio.add_task(name, files.train, validation, files.test, training=quick)
    portfolio.close()
    return folder / "larger"


@pytest.fixture
def larger(_made, tmp_path, opened):
    """A copy of that portfolio, for a test that changes it."""
    return opened(shutil.copytree(_made, tmp_path / "larger"))


@pytest.mark.parametrize("coverage", [1.0, 0.9, 0.75, 0.5, 0.1])
def test_a_wanted_coverage_is_reached_and_no_more_than_needed(larger, coverage):
    made = larger.calibrate(coverage=coverage)
    rows = validation_of(larger)
    assert len(rows) == 40
    assert made.quality.coverage == pytest.approx(kept(larger, rows))
    assert coverage <= kept(larger, rows) < coverage + 1 / 40
    assert (made.quality.recall, made.state) == (None, larger.snapshot().router)
    assert made.state.wishes == RouterWishes(coverage=coverage)


@pytest.mark.parametrize("recall", [1.0, 0.7, 0.2])
def test_a_wanted_recall_of_real_foreign_texts_is_reached_and_no_more_than_needed(larger, foreign, recall):
    made = larger.calibrate(oos=foreign, recall=recall)
    rows = features_from_bytes(larger.store.get(made.state.wishes.oos))
    assert len(rows) == len(FOREIGN)
    refused = 1 - kept(larger, rows)
    assert recall <= refused + 1e-9
    assert refused < recall + 1 / len(FOREIGN)
    assert made.quality.recall == pytest.approx(refused)
    assert made.quality.coverage == pytest.approx(kept(larger, validation_of(larger)))
    answers = larger.predict(FOREIGN)
    assert np.mean([answer.abstained for answer in answers]) == pytest.approx(refused)


def test_a_coverage_with_foreign_texts_says_both_rates(larger, foreign):
    made = larger.calibrate(oos=foreign, coverage=0.8)
    rows = features_from_bytes(larger.store.get(made.state.wishes.oos))
    assert made.quality.recall == pytest.approx(1 - kept(larger, rows))
    assert 0.8 <= made.quality.coverage < 0.8 + 1 / 40
    assert made.state.wishes.recall is None


def test_of_foreign_texts_only_the_routers_features_are_kept(larger, foreign):
    made = larger.calibrate(oos=foreign)
    engine = larger.engine()
    expected = engine.view(prepare(engine.host, engine.encode(FOREIGN, None)).features)
    np.testing.assert_array_equal(features_from_bytes(larger.store.get(made.state.wishes.oos)), expected)
    everything = b"".join(file.read_bytes() for file in larger.path.rglob("*") if file.is_file())
    assert not any(text.encode() in everything for text in FOREIGN if " " in text)
    foreign.unlink()
    larger.calibrate(recall=0.9)  # the file is not needed any more


def test_a_wish_that_is_not_named_stays(larger, foreign):
    larger.calibrate(oos=foreign, recall=0.9, fallback="kitchen", shared_labels=True)
    first = larger.snapshot().router.wishes
    assert (first.recall, first.fallback, first.shared_labels) == (0.9, "kitchen", True)
    assert larger.calibrate().state == larger.snapshot().router
    assert larger.snapshot().router.wishes == first
    assert larger.calibrate(shared_labels=False).state.wishes == replace(first, shared_labels=False)
    assert larger.calibrate(fallback="base").state.wishes.fallback == "base"
    assert larger.calibrate(fallback="none").state.wishes.fallback is None
    by_coverage = larger.calibrate(coverage=0.8).state.wishes  # decides again in place of the recall
    assert (by_coverage.recall, by_coverage.oos) == (None, first.oos)
    assert larger.calibrate(recall=0.6).state.wishes.recall == 0.6
    forgotten = larger.calibrate(oos="none").state.wishes
    assert (forgotten.oos, forgotten.recall, forgotten.coverage) == (None, None, 0.8)


def test_wishes_are_kept_and_reached_again_as_tasks_come_and_go(larger, foreign, files_of, quick):
    larger.calibrate(oos=foreign, recall=0.7, fallback="kitchen", shared_labels=True)
    before = larger.snapshot().router
    files = files_of("harbour")
    larger.add_task("harbour", files.train, test=files.test, training=quick)
    after = larger.snapshot().router
    assert after.wishes == before.wishes
    assert after.threshold != before.threshold
    rows = features_from_bytes(larger.store.get(after.wishes.oos))
    assert 0.7 <= 1 - kept(larger, rows) < 0.7 + 1 / len(FOREIGN)
    larger.remove_task("harbour")
    again = larger.snapshot().router
    assert again.wishes == before.wishes
    assert again.threshold == pytest.approx(before.threshold, rel=1e-9)
    assert not any(fault.is_damage for fault in larger.verify())


def test_another_process_sees_a_calibration_at_its_next_question(larger, opened, foreign):
    other = opened(larger.path)
    assert not any(answer.abstained for answer in other.predict(["rose fern ivy"]))
    assert other.snapshot().router.wishes == RouterWishes()
    larger.calibrate(oos=foreign, recall=1.0, coverage=0.5, fallback="kitchen")
    texts = [*FOREIGN, "rose fern ivy", "soup pie"]
    assert other.snapshot().router == larger.snapshot().router
    assert [answer.route for answer in other.predict(texts)] == [answer.route for answer in larger.predict(texts)]
    assert {answer.route.decided_by for answer in other.predict(texts)} >= {"fallback"}


def test_the_last_row_of_the_results_is_measured_again(larger, cell_of):
    larger.calibrate(coverage=0.5)
    cells = larger.snapshot().cells
    assert min(cell_of(larger.snapshot(), "kitchen", name).coverage for name in ("garden", "kitchen")) < 1
    larger.evaluate()
    assert larger.snapshot().cells == cells


def test_wishes_and_what_came_of_them_are_in_the_report(larger, foreign):
    larger.calibrate(oos=foreign, recall=0.75, fallback="kitchen")
    told, state = larger.report().to_dict()["router"], larger.snapshot().router
    assert (told["recall_wanted"], told["fallback"]) == (0.75, "kitchen")
    assert (told["threshold"], told["temperature"], told["ece"]) == (state.threshold, state.temperature, state.ece)
    [event] = [event for event in larger.store.events() if event.action == "calibrated"]
    assert json.loads(event.detail)["recall"] == 0.75


@pytest.mark.parametrize(
    ("kind", "message", "wishes"),
    [
        (ConfigError, "coverage must be above 0 and at most 1, got 0", {"coverage": 0.0}),
        (ConfigError, "coverage must be above 0 and at most 1, got 1.01", {"coverage": 1.01}),
        (ConfigError, "coverage must be .* got nan", {"coverage": float("nan")}),
        (ConfigError, "recall must be above 0 and at most 1, got -1", {"recall": -1.0, "oos": "FOREIGN"}),
        (ConfigError, "a recall needs out-of-scope texts .*--oos FILE", {"recall": 0.5}),
        (ConfigError, "a recall needs out-of-scope texts", {"recall": 0.5, "oos": "none"}),
        (NotFound, "no task 'cellar'; the tasks here: garden, kitchen", {"fallback": "cellar", "oos": "FOREIGN"}),
        (DataError, "nowhere.jsonl", {"oos": "/nowhere.jsonl", "coverage": 0.5}),
        (DataError, "expected", {"oos": "EMPTY"}),
    ],
)
def test_wishes_that_cannot_be_change_nothing_on_disk(larger, foreign, tmp_path, kind, message, wishes):
    (tmp_path / "empty.txt").write_text("\n \n")
    places = {"FOREIGN": foreign, "EMPTY": tmp_path / "empty.txt"}
    wishes = {name: places.get(wish, wish) if isinstance(wish, str) else wish for name, wish in wishes.items()}
    before, files = larger.snapshot(), contents(larger.path)
    with pytest.raises(kind, match=message):
        larger.calibrate(**wishes)
    assert larger.snapshot() == before
    assert contents(larger.path) == files


def test_a_dry_run_says_what_would_be_chosen_and_writes_nothing(larger, foreign):
    before, files = larger.snapshot(), contents(larger.path)
    told = larger.calibrate(oos=foreign, recall=0.75, fallback="kitchen", dry_run=True)
    assert larger.snapshot() == before
    assert contents(larger.path) == files
    made = larger.calibrate(oos=foreign, recall=0.75, fallback="kitchen")
    assert (told.state, told.quality) == (made.state, made.quality)
    assert larger.snapshot().router == made.state


def test_a_portfolio_without_tasks_has_nothing_to_calibrate(empty):
    with pytest.raises(NotFound, match="no task to route to yet; add one with"):
        empty.calibrate(coverage=0.5)


class Outrun(Store):
    """A store whose next commit of a router is outrun by another hand."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.others = []

    def commit_router(self, **arguments):
        if self.others:
            self.others.pop()()
        super().commit_router(**arguments)


def test_wishes_of_two_processes_at_once_are_both_kept(larger, opened, tiny_base):
    other, store = opened(larger.path), Outrun.open(larger.path)
    store.others.append(lambda: other.calibrate(coverage=0.75))
    portfolio = Portfolio(store, tiny_base)
    portfolio.calibrate(fallback="kitchen")
    assert larger.snapshot().router.wishes == RouterWishes(coverage=0.75, fallback="kitchen")
    portfolio.close()


def test_a_fallback_that_another_process_removes_meanwhile_is_refused(larger, opened, tiny_base):
    other, store = opened(larger.path), Outrun.open(larger.path)
    store.others.append(lambda: other.remove_task("kitchen"))
    portfolio = Portfolio(store, tiny_base)
    with pytest.raises(NotFound, match="no task 'kitchen'"):
        portfolio.calibrate(fallback="kitchen")
    assert larger.snapshot().router.wishes.fallback is None
    portfolio.close()


# Tags


def tags_of(portfolio, name="garden"):
    [task] = [task for task in portfolio.tasks() if task.name == name]
    return dict(task.tags)


def test_tags_are_set_changed_and_removed_one_by_one(grown):
    assert tags_of(grown) == {}
    assert grown.tag("garden", {"tenant": "acme", "risk": "high"}) == {"risk": "high", "tenant": "acme"}
    assert grown.tag("garden", {"tenant": "other", "kind": "intent"}) == {
        "kind": "intent",
        "risk": "high",
        "tenant": "other",
    }
    assert grown.tag("garden", {"risk": None}) == {"kind": "intent", "tenant": "other"}
    assert tags_of(grown) == {"kind": "intent", "tenant": "other"}
    assert tags_of(grown, "kitchen") == {}
    assert grown.tag("garden", {}) == tags_of(grown)


@pytest.mark.parametrize(
    ("kind", "name", "tags"),
    [
        (NotFound, "cellar", {"tenant": "acme"}),
        (NotFound, "garden", {"good": "yes", "never": None}),
        (InvalidName, "garden", {"good": "yes", "bad key": "x"}),
        (InvalidName, "garden", {"task": "x"}),
        (InvalidName, "garden", {"tenant": ""}),
        (InvalidName, "garden", {"tenant": "a\nb"}),
    ],
)
def test_tags_that_cannot_be_change_nothing(grown, kind, name, tags):
    grown.tag("garden", {"tenant": "acme"})
    before = grown.snapshot()
    with pytest.raises(kind):
        grown.tag(name, tags)
    assert grown.snapshot() == before


def test_tags_stay_when_other_tasks_come_and_go_and_go_with_their_task(grown, grown_files, quick):
    grown.tag("harbour", {"tenant": "port"})
    grown.tag("kitchen", {"tenant": "acme"})
    grown.remove_task("garden")
    assert tags_of(grown, "harbour") == {"tenant": "port"}
    grown.remove_task("kitchen")
    files = grown_files["kitchen"]
    grown.add_task("kitchen", files.train, test=files.test, training=quick)
    assert tags_of(grown, "kitchen") == {}


def test_tags_that_many_set_at_once_are_all_kept(grown, opened):
    hands, failures = [opened(grown.path) for _ in range(4)], []

    def work(number):
        try:
            for step in range(5):
                hands[number].tag("garden", {f"key{number}": str(step), f"gone{number}": None if step % 2 else "x"})
        except PortfolioError as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert tags_of(grown) == {
        **{f"key{number}": "4" for number in range(4)},
        **{f"gone{number}": "x" for number in range(4)},
    }
