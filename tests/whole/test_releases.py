"""Versions of a grown portfolio: trained again, judged, promoted, rolled back, and on record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from portfolio import portfolio as package
from portfolio.champions import champion_of
from portfolio.errors import Blocked, ConfigError, Conflict, DamagedBlob, NotFound
from portfolio.gates.verdict import BLOCK, PASS
from portfolio.portfolio import Portfolio
from portfolio.records import Snapshot
from portfolio.refs import Ref

ROOT = Path(package.__file__).parents[1]
LENIENT = '[[rule]]\ncheck = "bound"\nmetric = "accuracy"\nat_least = 0.0\n'
SEVERE = '[[rule]]\ncheck = "bound"\nmetric = "accuracy"\nat_most = 0.0\n'
THREE = {
    "dish": ("soup", "stew", "pie", "salad", "curry", "roast"),
    "tool": ("pan", "ladle", "whisk", "kettle", "grater", "bowl"),
    "plant": ("rose", "tulip", "fern", "moss", "daisy", "ivy"),
}

CELLAR = {"wine": ("rose", "ivy", "moss", "sun", "calm", "pie"), "beer": ("tug", "fog", "pan", "hoe", "rake", "stew")}

Second = Callable[..., Any]


def gates(portfolio: Portfolio, text: str) -> None:
    (portfolio.path / "gates.toml").write_text(text)


def state(snapshot: Snapshot) -> SimpleNamespace:
    """What must be the same again after a promotion and a rollback."""
    return SimpleNamespace(
        tasks=snapshot.tasks,
        router=snapshot.router,
        champion=champion_of(snapshot, "kitchen").ref,
        cells=tuple(cell for cell in snapshot.cells if cell.step == snapshot.tasks[-1].name),
    )


@pytest.fixture
def no_models(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Portfolio], None]]:
    """From now on a portfolio may not run anything."""

    def refuse(portfolio: Portfolio) -> None:
        def engine() -> Any:
            raise AssertionError("a model was asked for")

        monkeypatch.setattr(portfolio, "engine", engine)

    yield refuse


# Training again


def test_a_new_version_leaves_everything_as_it_is_but_for_itself(grown: Portfolio, second: Second) -> None:
    before = grown.snapshot()
    made = second("kitchen")
    after = grown.snapshot()
    assert made.ref == Ref("kitchen", 2)
    assert [one for one in after.adapters if one.ref != made.ref] == list(before.adapters)
    assert (after.tasks, after.router, tuple(after.cells)) == (before.tasks, before.router, tuple(before.cells))
    assert grown.predict(["soup pan"], task="kitchen")[0].adapter == "kitchen@1"
    assert not [fault for fault in grown.verify() if fault.is_damage]


def test_what_is_not_given_is_as_for_the_version_that_answers(grown: Portfolio, quick: Any) -> None:
    made = grown.add_task("kitchen", again=True, training=quick)
    one, two = grown.store.releases.lineage(Ref("kitchen", 1)), grown.store.releases.lineage(made.ref)
    assert made.method == "lora" and made.config == champion_of(grown.snapshot(), "kitchen").config
    assert (two.sources, two.centroids, two.scatter, two.evaluation) == (
        one.sources,
        one.centroids,
        one.scatter,
        two.evaluation,
    )
    assert (two.parent, two.base) == ("kitchen@1", grown.contract.fingerprint)


def test_versions_go_on_counting_and_a_version_may_be_made_of_earlier_ones(grown: Portfolio, quick: Any) -> None:
    grown.add_task("garden", again=True, training=replace(quick, seed=7))
    fused = grown.fuse("garden", again=True, adapters=["garden@1", "garden@2"], keep="fusion", training=quick)
    assert fused.ref == Ref("garden", 3)
    assert [str(member.ref) for member in fused.members] == ["garden@1", "garden@2"]
    assert grown.releases.promote("garden@3", force="try").after == "garden@3"
    assert grown.predict(["rose fern"], task="garden")[0].adapter == "garden@3"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"tags": {"tenant": "acme"}}, "tags belong to the task"),
        ({"train": "nowhere.jsonl"}, "nowhere.jsonl"),
    ],
)
def test_a_wrong_wish_changes_nothing(grown: Portfolio, settings: dict[str, Any], says: str) -> None:
    before = grown.store.generation()
    with pytest.raises(Exception, match=says):
        grown.add_task("kitchen", again=True, **settings)
    assert grown.store.generation() == before


def test_a_task_that_is_not_here_cannot_be_trained_again(grown: Portfolio) -> None:
    with pytest.raises(NotFound, match="there is no task 'cellar'"):
        grown.add_task("cellar", "train.jsonl", again=True)
    with pytest.raises(ConfigError, match="expected examples to train 'cellar' on"):
        grown.add_task("cellar")


# Promotion


def test_a_promotion_changes_labels_router_and_results_as_evaluating_anew_would(
    grown: Portfolio, second: Second, cell_of: Any
) -> None:
    second("kitchen", THREE)
    gates(grown, LENIENT)
    move = grown.releases.promote("kitchen@2", why="more labels")
    assert (move.before, move.after, move.measured) == ("kitchen@1", "kitchen@2", True)
    after = grown.snapshot()
    task = next(one for one in after.tasks if one.name == "kitchen")
    assert task.labels == ("dish", "plant", "tool")
    said = grown.predict(["soup stew pie"], task="kitchen")[0]
    assert (said.adapter, said.label) in {("kitchen@2", label) for label in task.labels}
    last = after.tasks[-1].name
    promoted = {one.name: cell_of(after, last, one.name) for one in after.tasks}
    grown.evaluate()
    assert {one.name: cell_of(grown.snapshot(), last, one.name) for one in after.tasks} == promoted
    assert not [fault for fault in grown.verify() if fault.is_damage]


def test_the_sums_after_a_promotion_are_those_of_the_data_that_answers(
    grown: Portfolio, second: Second, promote: Any, totals_of: Any
) -> None:
    before = totals_of(grown)
    second("kitchen", THREE)
    promote(grown, "kitchen", 2)
    assert totals_of(grown).classes == before.classes + 1
    assert grown.releases.rollback("kitchen").after == "kitchen@1"
    again = totals_of(grown)
    assert (again.rows, again.classes) == (before.rows, before.classes)
    assert again.feature_sum == pytest.approx(before.feature_sum, abs=1e-9)


def test_promotion_and_rollback_give_back_the_state_to_the_bit_without_a_model(
    grown: Portfolio, second: Second, no_models: Any
) -> None:
    second("kitchen", THREE)
    gates(grown, LENIENT)
    assert grown.releases.gate("kitchen@2").outcome == PASS
    before = state(grown.snapshot())
    answers = grown.predict(["soup pan rose", "storm fog"])
    no_models(grown)
    grown.releases.promote("kitchen@2")
    promoted = state(grown.snapshot())
    assert promoted.champion == Ref("kitchen", 2) and promoted.router != before.router
    assert grown.releases.rollback("kitchen", why="it misbehaves").measured
    assert state(grown.snapshot()) == before
    grown.releases.promote("kitchen@2", force="it does not")  # what the gate computed is there still
    assert state(grown.snapshot()) == promoted
    grown.releases.rollback("kitchen")
    fresh = Portfolio.open(grown.path, base=grown._base)
    assert fresh.predict(["soup pan rose", "storm fog"]) == answers
    fresh.close()


def test_promote_and_rollback_load_no_torch(grown: Portfolio, second: Second) -> None:
    second("kitchen")
    gates(grown, LENIENT)
    grown.releases.gate("kitchen@2")
    script = (
        "import sys; from portfolio.portfolio import Portfolio; releases = Portfolio.open(sys.argv[1]).releases; "
        "releases.promote('kitchen@2'); releases.rollback('kitchen'); releases.disable('kitchen'); "
        "releases.enable('kitchen'); releases.history(); releases.at('2100-01-01'); releases.diff('kitchen@1', 'kitchen@2'); "
        "releases.gc(); print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", script, str(grown.path)], capture_output=True, text=True, env=environment, check=False
    )
    assert (ran.stdout.strip(), ran.returncode) == ("[]", 0), ran.stderr


def test_only_a_pass_promotes_and_the_error_holds_the_verdict(grown: Portfolio, second: Second) -> None:
    second("kitchen")
    gates(grown, SEVERE)
    before = state(grown.snapshot())
    with pytest.raises(Blocked, match="its verdict is BLOCK") as caught:
        grown.releases.promote("kitchen@2")
    assert caught.value.verdict.outcome == BLOCK
    assert state(grown.snapshot()) == before
    assert grown.releases.promote("kitchen@2", force="the board wants it").forced == "the board wants it"
    told = json.loads(grown.store.events()[-1].detail)
    assert (told["forced"], told["from"], told["to"]) == ("the board wants it", "kitchen@1", "kitchen@2")


def test_a_dry_run_of_a_promotion_stores_nothing(grown: Portfolio, second: Second) -> None:
    second("kitchen")
    gates(grown, LENIENT)
    before = grown.store.generation()
    assert grown.releases.promote("kitchen@2", dry_run=True).after == "kitchen@2"
    assert grown.releases.gate("kitchen@2", dry_run=True).outcome == PASS
    assert grown.store.generation() == before and not grown.releases.verdicts()


@pytest.mark.parametrize("change", ["gates", "task", "champion", "settings"])
def test_a_verdict_holds_as_long_as_all_that_it_looked_at_is_the_same(
    grown: Portfolio, second: Second, files_of: Any, quick: Any, change: str, promote: Any
) -> None:
    second("kitchen")
    grown.add_task("kitchen", again=True, training=replace(quick, seed=7))
    gates(grown, LENIENT)
    grown.releases.gate("kitchen@2")
    if change == "gates":
        gates(grown, SEVERE)
    elif change == "champion":
        promote(grown, "kitchen", 3)
        gates(grown, SEVERE + LENIENT)
    elif change == "settings":
        grown.calibrate(coverage=0.8)
    else:
        files = files_of("cellar", CELLAR)
        grown.add_task("cellar", files.train, test=files.test, training=quick)
    judged = len(grown.releases.verdicts("kitchen"))
    if change in ("gates", "champion"):
        with pytest.raises(Blocked):
            grown.releases.promote("kitchen@2")
    else:
        grown.releases.promote("kitchen@2")
    assert len(grown.releases.verdicts("kitchen")) == judged + 1


def test_an_alias_moves_only_from_where_it_is_expected(grown: Portfolio, second: Second) -> None:
    second("kitchen")
    with pytest.raises(Conflict, match="expected champion to name kitchen@7"):
        grown.releases.promote("kitchen@2", expected="kitchen@7", force="x")
    move = grown.releases.promote("kitchen@2", to="stable")
    assert (move.alias, move.before, move.after) == ("stable", None, "kitchen@2")
    assert grown.predict(["soup"], task="kitchen")[0].adapter == "kitchen@1"
    with pytest.raises(Conflict, match="expected stable to name"):
        grown.releases.promote("kitchen@1", to="stable", expected="kitchen@1")
    assert grown.releases.promote("kitchen@1", to="stable", expected="2").before == "kitchen@2"


def test_the_champion_is_not_promoted_again(grown: Portfolio) -> None:
    with pytest.raises(Conflict, match="kitchen@1 is the champion already"):
        grown.releases.promote("kitchen@1")


# Rollback


def test_rollbacks_go_back_version_by_version_and_no_further(grown: Portfolio, second: Second, promote: Any) -> None:
    second("kitchen")
    second("kitchen", seed=2)
    promote(grown, "kitchen", 2)
    promote(grown, "kitchen", 3)
    assert grown.releases.rollback("kitchen", dry_run=True).after == "kitchen@2"
    assert [grown.releases.rollback("kitchen").after for _ in range(2)] == ["kitchen@2", "kitchen@1"]
    with pytest.raises(NotFound, match="nothing to go back to"):
        grown.releases.rollback("kitchen")
    promote(grown, "kitchen", 3)
    assert grown.releases.rollback("kitchen@1").after == "kitchen@1"
    with pytest.raises(NotFound, match="nothing to go back to"):
        grown.releases.rollback("kitchen@2")


def test_a_damaged_version_is_not_gone_back_to(grown: Portfolio, second: Second, promote: Any) -> None:
    second("kitchen")
    promote(grown, "kitchen", 2)
    [digest] = [one.digest for one in grown.snapshot().adapters if one.ref == Ref("kitchen", 1)]
    blob = grown.path / "blobs" / digest[:2] / digest[2:]
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedBlob):
        grown.releases.rollback("kitchen")
    assert champion_of(grown.snapshot(), "kitchen").ref == Ref("kitchen", 2)


def test_a_rollback_goes_ahead_where_other_tasks_came_meanwhile(
    grown: Portfolio, second: Second, files_of: Any, quick: Any, no_models: Any, promote: Any, cell_of: Any
) -> None:
    second("kitchen", THREE)
    promote(grown, "kitchen", 2)
    files = files_of("cellar", CELLAR)
    grown.add_task("cellar", files.train, test=files.test, training=quick)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grown, "engine", lambda: pytest.fail("a model was asked for"))
        move = grown.releases.rollback("kitchen")
    assert (move.after, move.measured) == ("kitchen@1", False)
    cell = cell_of(grown.snapshot(), "cellar", "kitchen")
    assert cell.routed is None and cell.routing is None and cell.oracle is not None
    oracle = cell.oracle
    grown.report()  # can be made of what is known
    grown.evaluate()
    cell = cell_of(grown.snapshot(), "cellar", "kitchen")
    assert cell.routing is not None and cell.oracle == oracle
    assert grown.predict(["soup pan"], task="kitchen")[0].adapter == "kitchen@1"


# The rest


def test_a_new_task_among_gates_answers_only_if_it_passes(empty: Portfolio, files_of: Any, quick: Any) -> None:
    for name, rules, answers in (("kitchen", SEVERE, False), ("harbour", LENIENT, True)):
        gates(empty, rules)
        files = files_of(name)
        empty.add_task(name, files.train, test=files.test, training=quick)
        assert (empty.predict(["soup pan", "storm fog"], task=name)[0].adapter == f"{name}@1") is answers
    gates(empty, LENIENT)
    assert empty.releases.promote("kitchen@1").after == "kitchen@1"
    assert empty.predict(["soup pan"], task="kitchen")[0].adapter == "kitchen@1"


def test_gates_that_cannot_be_are_refused_before_a_task_is_learned(
    empty: Portfolio, files_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates(empty, '[[rule]]\ncheck = "no-worse"\ndelat = 0.02\n')
    monkeypatch.setattr(empty, "engine", lambda: pytest.fail("a model was asked for"))
    files = files_of("kitchen")
    with pytest.raises(ConfigError, match=r"gates\.toml:3: .*delat"):
        empty.add_task("kitchen", files.train, test=files.test)
    assert empty.tasks() == ()


def test_a_deprecated_version_is_not_promoted_until_that_is_taken_back(grown: Portfolio, second: Second) -> None:
    second("kitchen")
    gates(grown, LENIENT)
    grown.releases.deprecate("kitchen@2", why="old limits")
    with pytest.raises(Conflict, match="kitchen@2 is deprecated \\(old limits\\)"):
        grown.releases.promote("kitchen@2")
    grown.releases.deprecate("kitchen@2", why=None)
    assert grown.releases.promote("kitchen@2").after == "kitchen@2"


def test_the_history_tells_who_did_what_and_why(
    grown: Portfolio, second: Second, promote: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTFOLIO_USER", "ana")
    second("kitchen")
    promote(grown, "kitchen", 2)
    grown.releases.rollback("kitchen", why="too slow")
    grown.releases.disable("kitchen", why="until noon")
    grown.releases.enable("kitchen")
    lines = grown.releases.history("kitchen")
    assert [line.action for line in lines] == [
        *("add-task", "add-version", "promote", "rollback", "disable", "enable"),
    ]
    assert {line.by for line in lines[1:]} == {"ana"}
    assert (lines[3].why, lines[3].old, lines[3].new) == ("too slow", "kitchen@2", "kitchen@1")
    [serving] = [one for one in grown.releases.at("2100-01-01") if one.task == "kitchen"]
    assert serving.adapter == "kitchen@1"


def test_what_holds_no_longer_is_let_go_of(grown: Portfolio, second: Second, files_of: Any, quick: Any) -> None:
    second("kitchen", THREE)
    gates(grown, LENIENT)
    grown.releases.gate("kitchen@2")
    generation = grown.store.generation()
    grown.releases.gc()
    assert grown.store.releases.ready(Ref("kitchen", 2)) is not None
    assert grown.store.generation() == generation
    files = files_of("cellar", CELLAR)
    grown.add_task("cellar", files.train, test=files.test, training=quick)
    grown.releases.gc(dry_run=True)
    assert grown.store.releases.ready_names() == ("kitchen",)
    grown.releases.gc()
    assert grown.store.releases.ready_names() == ()
    assert not [fault for fault in grown.verify() if fault.is_damage]


def test_removing_a_task_takes_all_of_its_versions_along(grown: Portfolio, second: Second, promote: Any) -> None:
    second("kitchen", THREE)
    promote(grown, "kitchen", 2)
    grown.remove_task("kitchen")
    assert not [one for one in grown.snapshot().adapters if one.name == "kitchen"]
    assert not [fault for fault in grown.verify() if fault.is_damage]


def test_what_differs_between_versions_names_the_rows_that_flipped(grown: Portfolio, quick: Any) -> None:
    grown.add_task("kitchen", again=True, method="bottleneck", training=quick)
    found = grown.releases.diff("kitchen@1", "kitchen@2")
    assert found.flips is not None and found.flips.rows == 10
    assert set(grown.releases.flipped_texts(found)) == {*found.flips.lost, *found.flips.won}
