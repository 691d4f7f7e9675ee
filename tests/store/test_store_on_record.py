"""What the store's own events and lineages tell: history, what answered then, where each version came from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from portfolio.champions import champions_of
from portfolio.records import Results
from portfolio.refs import Ref
from portfolio.reports.at import at
from portfolio.reports.history import history
from portfolio.store.store import Store


def test_lineages_are_those_of_each_version_by_name_and_number(versioned: Store) -> None:
    refs = [Ref("a", 1), Ref("a", 2), Ref("a", 3), Ref("b", 1)]
    everything = versioned.releases.lineages()
    assert everything == tuple(versioned.releases.lineage(ref) for ref in refs)
    assert versioned.releases.lineages("a") == everything[:3]
    assert versioned.releases.lineages("nobody") == ()


def test_an_older_portfolio_has_the_lineages_that_its_tasks_tell_of(
    versioned: Store, downgrade: Callable[[Path], None]
) -> None:
    downgrade(versioned.path)
    older = Store.open(versioned.path)
    found = older.releases.lineages("b")
    assert found == (older.releases.lineage(Ref("b", 1)),)
    assert [str(one.ref) for one in older.releases.lineages()] == ["a@1", "a@2", "a@3", "b@1"]


def test_what_answers_now_follows_from_the_events_alone(versioned: Store) -> None:
    snapshot = versioned.snapshot()
    [trial] = snapshot.traffic
    serving = at(versioned.events(), "2030-05-17T12:30")
    assert {one.task: (one.adapter, one.digest) for one in serving} == {
        task: (str(record.ref), record.digest) for task, record in champions_of(snapshot).items()
    }
    tried = serving[0].tried
    assert tried is not None and (tried.adapter, tried.mode, tried.share) == ("a@3", trial.mode, trial.share)


def test_who_is_disabled_is_known_through_disable_promotion_and_removal(versioned: Store) -> None:
    versioned.releases.commit_disabled(
        expected_generation=versioned.generation(), name="a", instead="b", detail={"by": "ann", "why": "wrong"}
    )
    assert [one.disabled for one in at(versioned.events(), "2100-01-01")] == ["b", None]
    snapshot = versioned.snapshot()
    assert snapshot.router is not None
    versioned.releases.commit_promotion(
        expected_generation=snapshot.generation,
        ref=Ref("a", 3),
        expected_champion=2,
        previous=2,
        router=snapshot.router,
        results=Results(),
        action="promote",
        detail={"by": "ann", "why": "better"},
        enable=True,
    )
    [task, _] = versioned.snapshot().tasks
    serving = at(versioned.events(), "2100-01-01")[0]
    assert (serving.adapter, serving.disabled, serving.tried) == ("a@3", None, None)
    assert task.disabled is None


def test_the_history_tells_who_promoted_what_and_why(versioned: Store) -> None:
    [promoted] = [line for line in history(versioned.events(), "a") if line.action == "promote"]
    assert (promoted.by, promoted.why, promoted.old, promoted.new) == ("ann", "to begin with", "a@1", "a@2")
    assert promoted.generation is not None and promoted.number > 1
