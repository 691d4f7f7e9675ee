"""Adapters made of exact versions of others: kept with them, and keeping them."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from pathlib import Path
from types import ModuleType

import pytest

from portfolio.actor import actor
from portfolio.errors import ConfigError, Conflict, DamagedBlob, NotFound, StoreError
from portfolio.records import AdapterRecord, Member, Results
from portfolio.store.changes import GenerationMoved
from portfolio.store.references import KEPT_CHANGES
from portfolio.store.store import Store

NOW = "2030-05-17T12:30:00+00:00"  # the clock of the fixture


def commit(store: Store, synthetic: ModuleType, adapters: list[AdapterRecord], task: str = "new") -> None:
    snapshot = store.snapshot()
    store.commit_task(
        expected_generation=snapshot.generation,
        task=synthetic.task_record(store, task),
        adapters=adapters,
        router=synthetic.router_state(store, (*(task.name for task in snapshot.tasks), task)),
        results=Results(),
    )


def remove(store: Store, synthetic: ModuleType, *names: str) -> None:
    """Once, and not again where another was quicker."""
    snapshot = store.snapshot()
    staying = tuple(task.name for task in snapshot.tasks if task.name not in names)
    router = synthetic.router_state(store, staying) if staying else None
    store.commit_removal(expected_generation=snapshot.generation, names=names, router=router, results=Results())


def blob_path(store: Store, digest: str) -> Path:
    return store.path / "blobs" / digest[:2] / digest[2:]


def change_database(store: Store, *statements: str) -> None:
    """Change rows behind the store's back, where nothing minds references."""
    db = sqlite3.connect(store.path / "portfolio.db", isolation_level=None)
    for statement in statements:
        assert db.execute(statement).rowcount > 0, "the test must change something"
    db.close()


# Adding


def test_all_versions_come_back_as_they_were_with_their_members_in_order(
    two_tasks: Store, synthetic: ModuleType
) -> None:
    members = [synthetic.newest(two_tasks, name) for name in ("second", "first")]
    adapters = synthetic.fusion_records(two_tasks, "fusion", members)
    commit(two_tasks, synthetic, adapters, "fusion")
    found = two_tasks.snapshot().adapters[2:]
    assert found == tuple(dataclasses.replace(adapter, created_at=NOW) for adapter in adapters)
    assert [str(member.ref) for member in found[1].members] == ["second@1", "first@1", "fusion@1"]
    assert two_tasks.verify() == ()


def test_more_than_ten_members_stay_in_their_order(store: Store, synthetic: ModuleType) -> None:
    names = [f"task{number}" for number in range(12)]
    for name in names:
        synthetic.add_task(store, name)
    members = [synthetic.newest(store, name) for name in reversed(names)]
    synthetic.add_fusion(store, "fusion", members)
    assert store.snapshot().adapters[-1].members[:-1] == tuple(members)


def test_the_last_version_becomes_the_champion(fused: Store) -> None:
    db = sqlite3.connect(fused.path / "portfolio.db")
    assert db.execute("SELECT version FROM alias WHERE name = 'fusion'").fetchall() == [(2,)]
    db.close()


def test_a_fusion_may_be_made_of_a_fusion(fused: Store, synthetic: ModuleType) -> None:
    synthetic.add_fusion(fused, "fusion-of-fusion", [synthetic.newest(fused, "fusion")])
    assert synthetic.whole_tasks(fused) == ["first", "second", "fusion", "fusion-of-fusion"]
    assert fused.verify() == ()


def test_the_event_lists_all_versions_and_what_they_are_made_of(fused: Store) -> None:
    own, fusion = fused.snapshot().adapters[2:]
    assert json.loads(fused.events()[-1].detail) == {
        "by": actor(),
        "adapters": {"fusion@1": own.digest, "fusion@2": fusion.digest},
        "members": {"fusion@2": ["second@1", "first@1", "fusion@1"]},
        "generation": 3,
    }


# Refusals: nothing is changed


def test_a_member_that_was_removed_meanwhile_is_named(two_tasks: Store, synthetic: ModuleType) -> None:
    adapters = synthetic.fusion_records(two_tasks, "new", [synthetic.newest(two_tasks, "first")])
    synthetic.remove_task(two_tasks, "first")
    before = two_tasks.snapshot()
    with pytest.raises(NotFound, match=r"new@2 is made of first@1, no longer in .*removed meanwhile; make it again"):
        commit(two_tasks, synthetic, adapters)
    assert two_tasks.snapshot() == before


def test_a_member_that_was_replaced_meanwhile_is_named(two_tasks: Store, synthetic: ModuleType) -> None:
    adapters = synthetic.fusion_records(two_tasks, "new", [synthetic.newest(two_tasks, "first")])
    synthetic.remove_task(two_tasks, "first")
    other = synthetic.adapter_record(two_tasks, "first", digest=two_tasks.put(b"another adapter"))
    commit(two_tasks, synthetic, [other], "first")
    with pytest.raises(Conflict, match=r"made of first@1, but in .* is another adapter now: .*make it again"):
        commit(two_tasks, synthetic, adapters)
    assert [task.name for task in two_tasks.snapshot().tasks] == ["second", "first"]


def test_another_version_of_a_member_is_not_the_member(two_tasks: Store, synthetic: ModuleType) -> None:
    later = dataclasses.replace(synthetic.newest(two_tasks, "first"), version=2)
    with pytest.raises(NotFound, match=r"first@2"):
        commit(two_tasks, synthetic, synthetic.fusion_records(two_tasks, "new", [later]))


def test_a_removed_member_is_told_also_to_one_who_saw_an_old_state(two_tasks: Store, synthetic: ModuleType) -> None:
    """Or it would compute all again, for nothing."""
    adapters = synthetic.fusion_records(two_tasks, "new", [synthetic.newest(two_tasks, "first")])
    synthetic.remove_task(two_tasks, "first")
    with pytest.raises(NotFound, match="removed meanwhile"):
        two_tasks.commit_task(
            expected_generation=2,
            task=synthetic.task_record(two_tasks, "new"),
            adapters=adapters,
            router=synthetic.router_state(two_tasks, ("first", "second", "new")),
            results=Results(),
        )


@pytest.mark.parametrize("version", [1, 2])
def test_an_adapter_is_made_of_no_version_that_is_not_before_it(
    store: Store, synthetic: ModuleType, version: int
) -> None:
    own, fusion = synthetic.fusion_records(store, "new", [])
    itself = Member(name="new", version=version, digest=own.digest)
    with pytest.raises(ConfigError, match=rf"new@1 is made of new@{version}, expected earlier versions"):
        commit(store, synthetic, [dataclasses.replace(own, members=(itself,)), fusion])
    assert store.generation() == 0


@pytest.mark.parametrize("versions", [(), (1, 1), (2, 1)])
def test_versions_that_do_not_rise_are_refused(store: Store, synthetic: ModuleType, versions: tuple[int, ...]) -> None:
    adapters = [synthetic.adapter_record(store, "new", version=version) for version in versions]
    with pytest.raises(ConfigError, match=r"expected (one or more|rising versions)"):
        commit(store, synthetic, adapters)
    assert store.generation() == 0


@pytest.mark.parametrize("part", ["digest", "attention"])
@pytest.mark.parametrize("place", [0, 1])
def test_no_version_may_name_a_blob_that_was_not_put(
    store: Store, synthetic: ModuleType, part: str, place: int
) -> None:
    adapters = synthetic.fusion_records(store, "new", [])
    adapters[1] = dataclasses.replace(adapters[1], members=())
    adapters[place] = dataclasses.replace(adapters[place], **{part: "e" * 64})
    with pytest.raises(DamagedBlob, match=r"e{62} is missing"):
        commit(store, synthetic, adapters)
    assert store.generation() == 0


@pytest.mark.parametrize("field", ["score", "seconds", "p_value"])
def test_a_comparison_holds_numbers_only(store: Store, synthetic: ModuleType, field: str) -> None:
    own, fusion = synthetic.fusion_records(store, "new", [])
    compared = dataclasses.replace(fusion.comparison[0], **{field: float("nan")})
    with pytest.raises(StoreError, match=r"expected finite numbers .* new@2 .* nothing was changed"):
        commit(store, synthetic, [own, dataclasses.replace(fusion, comparison=(compared,))])
    assert store.generation() == 0


# Removing


@pytest.mark.parametrize("names", [("first",), ("second", "first")])
def test_what_a_fusion_needs_is_not_removed(fused: Store, synthetic: ModuleType, names: tuple[str, ...]) -> None:
    before = fused.snapshot()
    with pytest.raises(Conflict, match=r"fusion@2 is made of .*first@1.*Remove fusion first, .*--cascade") as raised:
        remove(fused, synthetic, *names)
    assert not isinstance(raised.value, GenerationMoved)
    assert fused.snapshot() == before


@pytest.mark.parametrize("names", [("first", "fusion"), ("fusion", "first")])
def test_several_tasks_go_in_one_change_with_an_event_each(
    fused: Store, synthetic: ModuleType, names: tuple[str, ...]
) -> None:
    remove(fused, synthetic, *names)
    snapshot = fused.snapshot()
    assert [task.name for task in snapshot.tasks] == [adapter.task for adapter in snapshot.adapters] == ["second"]
    assert {cell.step for cell in snapshot.cells} == {"second"}
    assert snapshot.generation == 4
    events = fused.events()[-2:]
    assert [(event.action, event.subject) for event in events] == [("remove-task", name) for name in names]
    details = {event.subject: json.loads(event.detail) for event in events}
    assert list(details["fusion"]["adapters"]) == ["fusion@1", "fusion@2"]
    assert details["fusion"]["members"] == {"fusion@2": ["second@1", "first@1", "fusion@1"]}
    assert fused.verify() == ()


def test_all_tasks_may_go_at_once(fused: Store, synthetic: ModuleType) -> None:
    remove(fused, synthetic, "second", "fusion", "first")
    snapshot = fused.snapshot()
    assert (snapshot.tasks, snapshot.adapters, snapshot.cells, snapshot.router) == ((), (), (), None)
    assert fused.verify() == ()


def test_a_member_may_go_after_its_fusion(fused: Store, synthetic: ModuleType) -> None:
    synthetic.remove_task(fused, "fusion")
    synthetic.remove_task(fused, "first")
    assert synthetic.whole_tasks(fused) == ["second"]
    assert fused.verify() == ()


@pytest.mark.parametrize("names", [(), ("fusion", "fusion")])
def test_tasks_to_remove_are_given_once_each(fused: Store, synthetic: ModuleType, names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="expected one or more tasks, each once"):
        remove(fused, synthetic, *names)
    assert fused.generation() == 3


def test_all_unknown_tasks_are_named(fused: Store, synthetic: ModuleType) -> None:
    with pytest.raises(NotFound, match=r"no task 'frist', 'fuson' in .* it has: first, second, fusion"):
        remove(fused, synthetic, "fusion", "frist", "fuson")
    assert fused.generation() == 3


def test_the_attention_of_a_removed_fusion_is_kept_for_some_changes_only(fused: Store, synthetic: ModuleType) -> None:
    attention = str(fused.snapshot().adapters[-1].attention)
    for number in range(KEPT_CHANGES + 1):  # while the fusion is there, nothing of it goes
        synthetic.add_task(fused, f"more{number}")
    assert fused.get(attention) == synthetic.content("fusion", "attention")
    synthetic.remove_task(fused, "fusion")
    assert fused.verify() == ()
    for number in range(KEPT_CHANGES):
        synthetic.add_task(fused, f"again{number}")
    with pytest.raises(GenerationMoved):
        fused.get(attention)
    assert fused.verify() == ()


# Damage


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE member SET member_name = 'second' WHERE place = 1",
        "UPDATE member SET place = 7 WHERE place = 2",
        "UPDATE member SET member_digest = lower(hex(zeroblob(32)))",
        "UPDATE version SET more = replace(more, 'own', 'owl') WHERE version = 2",
        "UPDATE version SET more = NULL WHERE version = 2",
        "UPDATE version SET more = '{' WHERE version = 2",
        "UPDATE version SET more = '7' WHERE version = 2",
        "DELETE FROM member WHERE place = 2",
        "DELETE FROM member",
    ],
)
def test_a_member_changed_behind_the_stores_back_is_damage(fused: Store, statement: str) -> None:
    change_database(fused, statement)
    faults = fused.verify()
    assert any(fault.is_damage for fault in faults)
    assert all("restore" in fault.message for fault in faults if fault.is_damage)


@pytest.mark.parametrize("statement", ["DELETE FROM member WHERE place = 0", "UPDATE version SET more = '7'"])
def test_a_fusion_without_all_its_members_is_never_read(fused: Store, statement: str) -> None:
    change_database(fused, statement)
    with pytest.raises(StoreError, match="table 'version' cannot be read"):
        fused.snapshot()


def test_a_member_that_points_nowhere_is_found(fused: Store) -> None:
    change_database(fused, "DELETE FROM version WHERE name = 'first'")
    said = [(fault.subject, fault.message) for fault in fused.verify() if fault.kind == "row"]
    assert any(subject.startswith("member row") and "refers to a version" in message for subject, message in said)


def test_a_member_that_is_another_adapter_now_is_found_though_every_row_is_well_formed(
    fused: Store, synthetic: ModuleType, tmp_path: Path
) -> None:
    """The row of `first` comes from another portfolio, with its checksum."""
    other = Store.create(tmp_path / "other", synthetic.CONTRACT)
    digest = fused.put(b"another adapter")
    other.put(b"another adapter")
    commit(other, synthetic, [synthetic.adapter_record(other, "first", digest=digest)], "first")
    change_database(fused, "DELETE FROM version WHERE name = 'first'")
    db = sqlite3.connect(fused.path / "portfolio.db", isolation_level=None)
    db.execute("ATTACH ? AS other", (str(other.path / "portfolio.db"),))
    db.execute("INSERT INTO version SELECT * FROM other.version")
    db.close()
    [fault] = [fault for fault in fused.verify() if fault.is_damage]
    assert (fault.kind, fault.subject) == ("incomplete", "fusion@2")
    assert f"but that has {digest}; restore portfolio.db" in fault.message


@pytest.mark.parametrize("is_flipped", [True, False])
def test_a_damaged_attention_is_found_and_named(fused: Store, is_flipped: bool) -> None:
    path = blob_path(fused, str(fused.snapshot().adapters[-1].attention))
    if is_flipped:
        path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    else:
        path.unlink()
    [fault] = fused.verify()
    assert (fault.kind, fault.is_damage) == ("blob-damaged" if is_flipped else "blob-missing", True)
    assert "It is: attention of adapter fusion@2" in fault.message
