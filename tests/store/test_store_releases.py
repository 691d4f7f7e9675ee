"""Each commit that has to do with versions: what it does, what it refuses, and what it leaves on record."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from portfolio.errors import ConfigError, Conflict, DamagedBlob, InvalidName, NotFound, StoreError, Unwritable
from portfolio.records import Alias, Member, Results, Traffic
from portfolio.refs import Ref
from portfolio.store.changes import GenerationMoved
from portfolio.store.references import KEPT_CHANGES
from portfolio.store.release_rows import SuiteRow, VerdictRow
from portfolio.store.store import Store

NOW = "2030-05-17T12:30:00+00:00"
SAID = {"by": "bob", "why": "it is time"}
NOTHING = "0" * 64  # the digest of no blob

Seal = Callable[[Callable[[Path], object]], Path]


def last_event(store: Store) -> tuple[str, str, str, dict[str, Any]]:
    event = store.events()[-1]
    return event.at, event.action, event.subject, json.loads(event.detail)


def aliases(store: Store, name: str) -> dict[str, int]:
    return {alias.alias: alias.version for alias in store.snapshot().aliases if alias.name == name}


def state(store: Store) -> object:
    """All that a change could change."""
    refs = [adapter.ref for adapter in store.snapshot().adapters]
    released = [(store.releases.lineage(ref), store.releases.ready(ref)) for ref in refs]
    return (store.snapshot(), store.events(), store.releases.suites(), store.releases.verdicts(), released)


def forget(store: Store, digest: str) -> None:
    """Lose a blob."""
    (store.path / "blobs" / digest[:2] / digest[2:]).unlink()


def is_sound(store: Store, releases: ModuleType) -> bool:
    return releases.contradictions(store, store.snapshot()) == [] and store.verify() == ()


# New versions


def test_a_new_version_is_there_with_its_lineage_and_does_not_answer(versioned: Store, releases: ModuleType) -> None:
    before = versioned.snapshot()
    releases.add_version(versioned, "b", SAID)
    after = versioned.snapshot()
    assert [str(adapter.ref) for adapter in after.adapters] == ["a@1", "a@2", "a@3", "b@1", "b@2"]
    assert (after.tasks, after.aliases, after.router) == (before.tasks, before.aliases, before.router)
    assert list(after.cells) == list(before.cells)
    assert versioned.releases.lineage(Ref("b", 2)) == releases.lineage(versioned, Ref("b", 2), parent="b@1")
    assert after.adapters[-1].created_at == NOW
    digests = {"b@2": after.adapters[-1].digest}
    assert last_event(versioned) == (
        NOW,
        "add-version",
        "b",
        {**SAID, "adapters": digests, "generation": after.generation},
    )
    assert is_sound(versioned, releases)


def test_the_first_version_of_a_task_has_the_lineage_that_its_task_says(versioned: Store) -> None:
    task, lineage = versioned.snapshot().tasks[1], versioned.releases.lineage(Ref("b", 1))
    for field in ("labels", "columns", "sources", "seed", "reading", "centroids", "scatter", "evaluation", "notes"):
        assert getattr(lineage, field) == getattr(task, field)
    assert (lineage.base, lineage.parent) == (versioned.contract.fingerprint, None)
    assert lineage.code != ""


def test_lineages_are_given_for_all_or_for_one_adapter(versioned: Store) -> None:
    assert [str(one.ref) for one in versioned.releases.lineages()] == ["a@1", "a@2", "a@3", "b@1"]
    assert [str(one.ref) for one in versioned.releases.lineages("b")] == ["b@1"]
    with pytest.raises(NotFound, match="no adapter a@9"):
        versioned.releases.lineage(Ref("a", 9))


@pytest.mark.parametrize(
    ("name", "version", "error", "says"),
    [
        ("a", 3, Conflict, "a@3 is in .* already; a version is never changed"),
        ("z", 1, NotFound, "no task 'z'"),
    ],
)
def test_a_version_that_is_there_or_of_no_task_is_refused(
    versioned: Store, releases: ModuleType, name: str, version: int, error: type[Exception], says: str
) -> None:
    before, ref = state(versioned), Ref(name, version)
    with pytest.raises(error, match=says):
        versioned.releases.commit_versions(
            expected_generation=versioned.generation(),
            adapters=[releases.adapter_record(versioned, ref)],
            lineages=[releases.lineage(versioned, ref)],
            detail=SAID,
        )
    assert state(versioned) == before


def test_versions_come_with_a_lineage_each_and_rising(versioned: Store, releases: ModuleType) -> None:
    before = state(versioned)
    refs = [Ref("a", 4), Ref("a", 5)]
    adapters = [releases.adapter_record(versioned, ref) for ref in refs]
    lineages = [releases.lineage(versioned, ref) for ref in refs]
    for some, of in (([], []), (adapters, lineages[:1]), (adapters, lineages[::-1]), (adapters[::-1], lineages[::-1])):
        with pytest.raises(ConfigError, match="expected"):
            versioned.releases.commit_versions(
                expected_generation=versioned.generation(), adapters=some, lineages=of, detail=SAID
            )
    assert state(versioned) == before


@pytest.mark.parametrize("what", ["digest", "attention", "centroids", "scatter", "evaluation"])
def test_a_version_with_a_blob_that_was_not_put_is_refused(versioned: Store, releases: ModuleType, what: str) -> None:
    before, ref = state(versioned), Ref("a", 4)
    adapter, lineage = releases.adapter_record(versioned, ref), releases.lineage(versioned, ref)
    if what in ("digest", "attention"):
        adapter = dataclasses.replace(adapter, **{what: NOTHING})
    else:
        lineage = dataclasses.replace(lineage, **{what: NOTHING})
    with pytest.raises(DamagedBlob, match="is missing"):
        versioned.releases.commit_versions(
            expected_generation=versioned.generation(), adapters=[adapter], lineages=[lineage], detail=SAID
        )
    assert state(versioned) == before


def test_a_version_may_be_made_of_others_which_stay_while_it_stays(versioned: Store, releases: ModuleType) -> None:
    ref, made_of = Ref("a", 4), versioned.snapshot().adapters[3]
    adapter = releases.adapter_record(versioned, ref)

    def commit(digest: str, version: int = 1) -> None:
        member = Member(name="b", version=version, digest=digest)
        versioned.releases.commit_versions(
            expected_generation=versioned.generation(),
            adapters=[dataclasses.replace(adapter, members=(member,))],
            lineages=[releases.lineage(versioned, ref)],
            detail=SAID,
        )

    with pytest.raises(Conflict, match="another adapter now"):
        commit(adapter.digest)
    with pytest.raises(NotFound, match="made of b@7"):
        commit(made_of.digest, 7)
    commit(made_of.digest)
    with pytest.raises(Conflict, match="a@4 is made of b@1"):
        releases.remove_task(versioned, "b")
    assert [fault for fault in versioned.verify() if fault.is_damage] == []


# Verdicts


def test_a_verdict_is_kept_and_makes_its_version_the_challenger(versioned: Store, releases: ModuleType) -> None:
    releases.add_version(versioned, "b", SAID)
    releases.judge(versioned, Ref("b", 2), SAID, "INCONCLUSIVE")
    verdict = versioned.releases.verdicts("b")[-1]
    assert (verdict.ref, verdict.outcome, verdict.at) == (Ref("b", 2), "INCONCLUSIVE", NOW)
    assert versioned.get(verdict.digest) == releases.content(Ref("b", 2), "verdict INCONCLUSIVE")
    assert aliases(versioned, "b") == {"champion": 1, "challenger": 2}
    assert versioned.releases.ready(Ref("b", 2)) == releases.ready(versioned, Ref("b", 2), {"a": 2, "b": 1})
    said = {"ref": "b@2", "outcome": "INCONCLUSIVE", "verdict": verdict.digest, "generation": versioned.generation()}
    assert last_event(versioned) == (NOW, "gate", "b", {**SAID, **said})
    assert is_sound(versioned, releases)


def test_a_champion_that_is_judged_again_does_not_become_its_own_challenger(
    versioned: Store, releases: ModuleType
) -> None:
    releases.judge(versioned, Ref("a", 2), SAID)
    assert aliases(versioned, "a") == {"champion": 2, "challenger": 3, "previous": 1, "stable": 3}
    assert [row.version for row in versioned.releases.verdicts("a")] == [2, 3, 2]


def test_verdicts_are_by_order_and_outlive_their_task(versioned: Store, releases: ModuleType) -> None:
    releases.judge(versioned, Ref("b", 1), SAID, "BLOCK")
    before = versioned.releases.verdicts()
    assert [str(row.ref) for row in before] == ["a@2", "a@3", "b@1"]
    releases.remove_task(versioned, "a")
    assert versioned.releases.verdicts() == before
    assert versioned.releases.verdicts("b") == before[2:]
    assert is_sound(versioned, releases)


def verdict_on(versioned: Store, releases: ModuleType, **changes: Any) -> VerdictRow:
    row = VerdictRow(
        at="",
        name="a",
        version=3,
        adapter=releases.adapter_record(versioned, Ref("a", 3)).digest,
        outcome="PASS",
        digest=versioned.put(b"figures"),
    )
    return dataclasses.replace(row, **changes)


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"version": 9}, NotFound), ({"adapter": NOTHING}, NotFound), ({"digest": NOTHING}, DamagedBlob)],
)
def test_a_verdict_on_what_is_not_there_is_refused(
    versioned: Store, releases: ModuleType, changes: dict[str, Any], error: type[Exception]
) -> None:
    before = state(versioned)
    with pytest.raises(error):
        versioned.releases.commit_verdict(
            expected_generation=versioned.generation(),
            verdict=verdict_on(versioned, releases, **changes),
            ready=None,
            detail=SAID,
        )
    assert state(versioned) == before


@pytest.mark.parametrize("what", ["version", "outcomes", "totals"])
def test_what_is_ready_must_be_of_the_version_and_be_there(versioned: Store, releases: ModuleType, what: str) -> None:
    before, ready = state(versioned), releases.ready(versioned, Ref("a", 3), {"a": 2, "b": 1})
    wrong = {
        "version": dataclasses.replace(ready, version=1),
        "outcomes": dataclasses.replace(ready, outcomes=NOTHING),
        "totals": dataclasses.replace(ready, router=dataclasses.replace(ready.router, totals=NOTHING)),
    }[what]
    with pytest.raises(ConfigError if what == "version" else DamagedBlob):
        versioned.releases.commit_verdict(
            expected_generation=versioned.generation(),
            verdict=verdict_on(versioned, releases),
            ready=wrong,
            detail=SAID,
        )
    assert state(versioned) == before


# Promotion and rollback


def test_a_promotion_moves_alias_task_router_and_results_at_once(versioned: Store, releases: ModuleType) -> None:
    releases.promote(versioned, Ref("a", 3), SAID)
    snapshot = versioned.snapshot()
    assert aliases(versioned, "a") == {"champion": 3, "previous": 2, "stable": 3}
    assert snapshot.tasks[0].labels == ("a@3/no", "a@3/yes")
    assert snapshot.tasks[0].evaluation == versioned.releases.lineage(Ref("a", 3)).evaluation
    assert snapshot.router is not None
    assert versioned.get(snapshot.router.totals) == releases.totals({"a": 3, "b": 1})
    assert snapshot.traffic == ()  # it was tried beside the earlier champion
    assert (snapshot.moments[-1].action, snapshot.moments[-1].subject) == ("promote", "a")
    assert versioned.releases.ready(Ref("a", 2)) == releases.ready(versioned, Ref("a", 2), {"a": 2, "b": 1})
    digest = releases.adapter_record(versioned, Ref("a", 3)).digest
    said = {"alias": "champion", "from": "a@2", "to": "a@3", "digest": digest, "generation": snapshot.generation}
    assert last_event(versioned) == (NOW, "promote", "a", {**SAID, **said})
    assert is_sound(versioned, releases)


def test_a_rollback_gives_back_the_task_and_the_router_of_before(versioned: Store, releases: ModuleType) -> None:
    before = versioned.snapshot()
    releases.promote(versioned, Ref("a", 3), SAID)
    releases.rollback(versioned, "a", SAID)
    after = versioned.snapshot()
    assert (after.tasks, after.router, list(after.cells)) == (before.tasks, before.router, list(before.cells))
    assert (after.adapters, after.moments[-1].outcomes) == (before.adapters, before.moments[-1].outcomes)
    assert last_event(versioned)[1] == "rollback"
    assert (last_event(versioned)[3]["from"], last_event(versioned)[3]["to"]) == ("a@3", "a@2")
    assert is_sound(versioned, releases)


def promotion(store: Store, releases: ModuleType, **changes: Any) -> None:
    """Of a@3, with some of it changed."""
    then = {"a": 3, "b": 1}
    arguments: dict[str, Any] = {
        "expected_generation": store.generation(),
        "ref": Ref("a", 3),
        "expected_champion": 2,
        "previous": 2,
        "router": releases.router_state(store, then),
        "results": releases.results(store, then),
        "action": "promote",
        "detail": SAID,
    }
    store.releases.commit_promotion(**{**arguments, **changes})


def test_a_promotion_may_enable_its_task_and_leave_no_previous(versioned: Store, releases: ModuleType) -> None:
    releases.disable(versioned, "a", "base", SAID)
    promotion(versioned, releases, previous=None, enable=True)
    assert versioned.snapshot().tasks[0].disabled is None
    assert "previous" not in aliases(versioned, "a")
    assert is_sound(versioned, releases)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"ref": Ref("a", 9)}, NotFound),
        ({"ref": Ref("z", 1)}, NotFound),
        ({"previous": 9}, NotFound),
        ({"expected_champion": 1}, Conflict),
        ({"expected_generation": 3}, GenerationMoved),
    ],
)
def test_a_promotion_that_does_not_fit_is_refused_whole(
    versioned: Store, releases: ModuleType, changes: dict[str, Any], error: type[Exception]
) -> None:
    before = state(versioned)
    with pytest.raises(error) as refused:
        promotion(versioned, releases, **changes)
    assert state(versioned) == before
    assert "expected_champion" not in changes or not isinstance(refused.value, GenerationMoved)  # not to be tried again


def test_a_promotion_names_blobs_that_are_there(versioned: Store, releases: ModuleType) -> None:
    before, current = state(versioned), releases.ready(versioned, Ref("a", 2), {"a": 2, "b": 1})
    router = dataclasses.replace(releases.router_state(versioned, {}), totals=NOTHING)
    results = dataclasses.replace(releases.results(versioned, {"a": 3, "b": 1}), outcomes=NOTHING)
    for changes in (
        {"router": router},
        {"results": results},
        {"before": dataclasses.replace(current, outcomes=NOTHING)},
        {"before": dataclasses.replace(current, router=router)},
    ):
        with pytest.raises(DamagedBlob, match="is missing"):
            promotion(versioned, releases, **changes)
    with pytest.raises(ConfigError, match="what was ready of a@2"):
        promotion(versioned, releases, before=releases.ready(versioned, Ref("a", 1), {"a": 1, "b": 1}))
    assert state(versioned) == before


@pytest.mark.parametrize("part", ["adapter", "centroids", "scatter", "evaluation"])
def test_a_version_that_lost_a_blob_is_not_promoted(versioned: Store, releases: ModuleType, part: str) -> None:
    before = state(versioned)
    record, lineage = versioned.snapshot().adapters[2], versioned.releases.lineage(Ref("a", 3))
    forget(versioned, record.digest if part == "adapter" else getattr(lineage, part))
    with pytest.raises(DamagedBlob, match="is missing"):
        promotion(versioned, releases)
    assert state(versioned) == before


def test_a_new_readiness_retires_the_sums_of_the_one_before(versioned: Store, releases: ModuleType) -> None:
    """What a change leaves behind is kept for who reads an earlier snapshot, then deleted; never by a change that fails."""
    first = versioned.releases.ready(Ref("a", 3))
    assert first is not None
    releases.add_task(versioned, "c")
    releases.judge(versioned, Ref("a", 3), SAID)  # now with `c`
    assert [fault.kind for fault in versioned.verify()] == []
    assert versioned.get(first.router.totals)
    for number in range(KEPT_CHANGES):
        releases.put_suite(versioned, "style", number + 7, SAID)
    with pytest.raises(GenerationMoved, match="deleted since"):
        versioned.get(first.router.totals)
    assert is_sound(versioned, releases)


def test_sums_that_were_ready_until_now_can_still_be_read_for_a_while(versioned: Store, releases: ModuleType) -> None:
    """The router left them behind long ago, since when only what is ready names them."""
    champions = {"a": 2, "b": 1}
    promotion(versioned, releases, before=releases.ready(versioned, Ref("a", 2), champions))
    for number in range(KEPT_CHANGES + 1):
        releases.point(versioned, "a", "mine", 1 + number % 2, SAID)
    releases.add_task(versioned, "c")
    releases.judge(versioned, Ref("a", 2), SAID)  # with `c`, so by other sums
    assert versioned.get(hashlib.sha256(releases.totals(champions)).hexdigest()) == releases.totals(champions)
    assert is_sound(versioned, releases)


# Aliases


def test_an_alias_of_ones_own_comes_moves_and_goes(versioned: Store, releases: ModuleType) -> None:
    for version, before in ((1, None), (3, "a@1"), (None, "a@3")):
        releases.point(versioned, "a", "night.shift", version, SAID)
        assert aliases(versioned, "a").get("night.shift") == version
        to = None if version is None else f"a@{version}"
        said = {"alias": "night.shift", "from": before, "to": to, "generation": versioned.generation()}
        assert last_event(versioned) == (NOW, "alias", "a", {**SAID, **said})
    assert is_sound(versioned, releases)


@pytest.mark.parametrize(
    ("name", "alias", "version", "expected", "error"),
    [
        ("a", "stable", 1, 2, Conflict),
        ("a", "stable", 1, None, Conflict),
        ("a", "new", 1, 1, Conflict),
        ("a", "stable", 9, 3, NotFound),
        ("z", "stable", 1, None, NotFound),
        ("a", "new", None, None, NotFound),
        ("z", "new", None, None, NotFound),
        ("a", "champion", 3, 2, ConfigError),
        ("a", "previous", 3, 1, ConfigError),
        ("a", "3", 1, None, ConfigError),
        ("a", "../up", 1, None, InvalidName),
        ("a", "", 1, None, InvalidName),
    ],
)
def test_an_alias_is_moved_from_where_it_is_to_what_is_there_only(
    versioned: Store, name: str, alias: str, version: int | None, expected: int | None, error: type[Exception]
) -> None:
    before = state(versioned)
    with pytest.raises(error) as refused:
        versioned.releases.commit_alias(
            expected_generation=versioned.generation(),
            name=name,
            alias=alias,
            version=version,
            expected=expected,
            detail=SAID,
        )
    assert not isinstance(refused.value, GenerationMoved)  # trying again would not help
    assert state(versioned) == before


# Who does not answer, and what should not be used


def test_a_task_is_disabled_and_enabled(versioned: Store, releases: ModuleType) -> None:
    for instead, action in (("a", "disable"), ("base", "disable"), ("none", "disable"), (None, "enable")):
        releases.disable(versioned, "b", instead, SAID)
        assert versioned.snapshot().tasks[1].disabled == instead
        said = {"instead": instead, "generation": versioned.generation()}
        assert last_event(versioned) == (NOW, action, "b", {**SAID, **said})
        assert is_sound(versioned, releases)


@pytest.mark.parametrize(
    ("name", "instead", "error"), [("z", "base", NotFound), ("a", "z", NotFound), ("a", "a", ConfigError)]
)
def test_only_a_task_the_base_or_nobody_stands_in(
    versioned: Store, releases: ModuleType, name: str, instead: str, error: type[Exception]
) -> None:
    before = state(versioned)
    with pytest.raises(error):
        releases.disable(versioned, name, instead, SAID)
    assert state(versioned) == before


def test_who_stands_in_for_another_is_not_removed_before_it(versioned: Store, releases: ModuleType) -> None:
    releases.disable(versioned, "b", "a", SAID)
    before = state(versioned)
    with pytest.raises(Conflict, match="'a' answers in the place of 'b', .* disable b --instead base"):
        releases.remove_task(versioned, "a")
    assert state(versioned) == before
    releases.disable(versioned, "b", "base", SAID)
    releases.remove_task(versioned, "a")
    assert is_sound(versioned, releases)


def test_both_can_be_removed_together(versioned: Store, releases: ModuleType) -> None:
    releases.disable(versioned, "b", "a", SAID)
    versioned.commit_removal(
        expected_generation=versioned.generation(), names=["a", "b"], router=None, results=Results()
    )
    assert versioned.snapshot().tasks == ()
    assert is_sound(versioned, releases)


def test_a_version_is_deprecated_and_taken_back(versioned: Store, releases: ModuleType) -> None:
    for why in ("slow; caf\udce9", None):
        releases.deprecate(versioned, Ref("a", 1), why, SAID)
        assert versioned.snapshot().adapters[0].deprecated == (None if why is None else "slow; caf\\udce9")
        said = {"ref": "a@1", "deprecated": why is not None, "generation": versioned.generation()}
        assert last_event(versioned) == (NOW, "deprecate", "a", {**SAID, **said})
        assert is_sound(versioned, releases)
    with pytest.raises(NotFound):
        releases.deprecate(versioned, Ref("a", 9), "slow", SAID)


# Who is tried


def test_a_trial_begins_and_ends(versioned: Store, releases: ModuleType) -> None:
    [tried] = versioned.snapshot().traffic
    assert tried == Traffic(name="a", version=3, mode="canary", share=0.25, by="input", since=NOW)
    assert last_event(versioned)[1] != "end-traffic"
    releases.try_out(versioned, "a", None, SAID)
    assert versioned.snapshot().traffic == ()
    assert last_event(versioned) == (NOW, "end-traffic", "a", {**SAID, "generation": versioned.generation()})
    releases.try_out(versioned, "a", 1, SAID)
    said = {"ref": "a@1", "share": 0.25, "generation": versioned.generation()}
    assert last_event(versioned) == (NOW, "canary", "a", {**SAID, **said})
    assert is_sound(versioned, releases)


def test_only_a_version_of_the_task_is_tried(versioned: Store, releases: ModuleType) -> None:
    before = state(versioned)
    for name, version in (("z", 1), ("a", 9)):
        with pytest.raises(NotFound):
            releases.try_out(versioned, name, version, SAID)
    with pytest.raises(ConfigError, match="a challenger of 'b'"):
        versioned.releases.commit_traffic(
            expected_generation=versioned.generation(),
            name="b",
            traffic=Traffic(name="a", version=3, mode="shadow", share=1.0, by="session"),
            detail=SAID,
        )
    assert state(versioned) == before


# Suites


def test_a_suite_comes_is_replaced_and_goes(versioned: Store, releases: ModuleType) -> None:
    releases.put_suite(versioned, "style", 2, SAID)
    [suite] = versioned.releases.suites()
    assert suite == SuiteRow(name="style", digest=versioned.put(b"row\n" * 2), rows=2, source="a file", added_at=NOW)
    said = {"digest": suite.digest, "generation": versioned.generation()}
    assert last_event(versioned) == (NOW, "add-suite", "style", {**SAID, **said})
    assert is_sound(versioned, releases)  # what it had before is kept for who reads it
    releases.put_suite(versioned, "style", None, SAID)
    assert versioned.releases.suites() == ()
    assert last_event(versioned)[1:3] == ("remove-suite", "style")
    assert is_sound(versioned, releases)


def test_a_suite_that_cannot_be_is_refused(versioned: Store, releases: ModuleType) -> None:
    before = state(versioned)
    with pytest.raises(NotFound, match="no suite 'tone'"):
        releases.put_suite(versioned, "tone", None, SAID)
    with pytest.raises(InvalidName):
        releases.put_suite(versioned, "../tone", 1, SAID)
    row = SuiteRow(name="tone", digest=NOTHING, rows=1, source="a file")
    for name, error in (("tone", DamagedBlob), ("style", ConfigError)):
        with pytest.raises(error):
            versioned.releases.commit_suite(
                expected_generation=versioned.generation(), name=name, suite=row, detail=SAID
            )
    assert state(versioned) == before


# Together


def every_commit(store: Store, releases: ModuleType, generation: int) -> list[Callable[[], None]]:
    """One of each kind that would succeed at the present generation."""
    on, a4 = store.releases, Ref("a", 4)
    return [
        lambda: on.commit_versions(
            expected_generation=generation,
            adapters=[releases.adapter_record(store, a4)],
            lineages=[releases.lineage(store, a4)],
            detail=SAID,
        ),
        lambda: on.commit_verdict(
            expected_generation=generation, verdict=verdict_on(store, releases), ready=None, detail=SAID
        ),
        lambda: promotion(store, releases, expected_generation=generation),
        lambda: on.commit_alias(
            expected_generation=generation, name="a", alias="stable", version=1, expected=3, detail=SAID
        ),
        lambda: on.commit_disabled(expected_generation=generation, name="a", instead="base", detail=SAID),
        lambda: on.commit_deprecated(expected_generation=generation, ref=Ref("a", 3), why="slow", detail=SAID),
        lambda: on.commit_traffic(expected_generation=generation, name="a", traffic=None, detail=SAID),
        lambda: on.commit_suite(expected_generation=generation, name="style", suite=None, detail=SAID),
    ]


def test_no_commit_goes_ahead_of_a_change_that_it_has_not_seen(versioned: Store, releases: ModuleType) -> None:
    commits = every_commit(versioned, releases, versioned.generation() - 1)
    before = state(versioned)
    for commit in commits:
        with pytest.raises(GenerationMoved):
            commit()
    assert state(versioned) == before


def test_a_clock_that_goes_backwards_changes_no_order(tmp_path: Path, releases: ModuleType) -> None:
    """Events and verdicts are ordered by number; the times are as the clock said."""
    moment = [datetime(2020, 1, 1, tzinfo=timezone.utc)]

    def clock() -> datetime:
        moment[0] -= timedelta(days=30)
        return moment[0]

    store = Store.create(tmp_path / "portfolio", releases.CONTRACT, clock=clock)
    for name in ("a", "b"):
        releases.add_task(store, name)
    for version in (2, 3):
        releases.add_version(store, "a", SAID)
        releases.judge(store, Ref("a", version), SAID)
        releases.promote(store, Ref("a", version), SAID)
    releases.rollback(store, "a", SAID)
    releases.disable(store, "b", "a", SAID)
    events = store.events()
    assert [json.loads(event.detail).get("generation", 0) for event in events] == list(range(len(events)))
    assert [event.at for event in events] == sorted((event.at for event in events), reverse=True)
    assert [row.version for row in store.releases.verdicts()] == [2, 3]
    assert [moment.generation for moment in store.snapshot().moments] == [1, 2, 5, 8, 9]
    assert store.gc(dry_run=False) == ()  # to such a clock every file is of the future, so none is old
    assert is_sound(store, releases)


def test_none_of_it_can_be_committed_where_nothing_can_be_written(seal: Seal, releases: ModuleType) -> None:
    def fill(path: Path) -> None:
        store = Store.create(path, releases.CONTRACT, clock=lambda: datetime(2030, 5, 17, 12, 30, tzinfo=timezone.utc))
        for name in ("a", "b"):
            releases.add_task(store, name)
        for _ in range(3):
            releases.add_version(store, "a", SAID)
        releases.promote(store, Ref("a", 2), SAID)
        releases.point(store, "a", "stable", 3, SAID)
        releases.put_suite(store, "style", 5, SAID)

    store = Store.open(seal(fill))
    before = state(store)
    on, generation = store.releases, store.generation()
    for commit in (
        lambda: on.commit_alias(
            expected_generation=generation, name="a", alias="stable", version=1, expected=3, detail=SAID
        ),
        lambda: on.commit_disabled(expected_generation=generation, name="a", instead="base", detail=SAID),
        lambda: on.commit_deprecated(expected_generation=generation, ref=Ref("a", 3), why="slow", detail=SAID),
        lambda: on.commit_traffic(expected_generation=generation, name="a", traffic=None, detail=SAID),
        lambda: on.commit_suite(expected_generation=generation, name="style", suite=None, detail=SAID),
        lambda: store.gc(dry_run=False),
        lambda: releases.judge(store, Ref("a", 3), SAID),
        lambda: releases.promote(store, Ref("a", 3), SAID),
    ):
        with pytest.raises(Unwritable):
            commit()
    assert store.gc(dry_run=True) == ()
    assert state(store) == before


def test_a_removed_task_takes_all_of_its_versions_along(versioned: Store, releases: ModuleType) -> None:
    releases.remove_task(versioned, "a")
    snapshot = versioned.snapshot()
    assert {adapter.name for adapter in snapshot.adapters} == {"b"}
    assert snapshot.aliases == (Alias(name="b", alias="champion", version=1),)
    assert snapshot.traffic == ()
    assert [str(one.ref) for one in versioned.releases.lineages()] == ["b@1"]
    assert versioned.releases.ready(Ref("a", 3)) is None
    with pytest.raises(NotFound):
        versioned.releases.lineage(Ref("a", 1))
    assert last_event(versioned)[3]["adapters"].keys() == {"a@1", "a@2", "a@3"}
    assert is_sound(versioned, releases)
    releases.add_task(versioned, "a")  # of the same name, anew
    assert aliases(versioned, "a") == {"champion": 1}
    assert versioned.releases.ready(Ref("a", 1)) is None
    assert is_sound(versioned, releases)


def test_a_change_to_a_damaged_row_is_refused(versioned: Store, releases: ModuleType) -> None:
    """A new checksum would hide the damage."""
    db = sqlite3.connect(versioned.path / "portfolio.db", isolation_level=None)
    db.execute("UPDATE task SET kind = 'other' WHERE name = 'a'")
    db.execute("UPDATE version SET seed = 77 WHERE name = 'a' AND version = 1")
    db.execute("UPDATE lineage SET seed = 77 WHERE name = 'b'")
    db.close()
    for change in (
        lambda: releases.disable(versioned, "a", "base", SAID),
        lambda: releases.deprecate(versioned, Ref("a", 1), "slow", SAID),
        lambda: promotion(versioned, releases),
    ):
        with pytest.raises(StoreError, match="not as it was written"):
            change()
