from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.actor import actor
from portfolio.errors import ConfigError, Conflict, DamagedBlob, InvalidName, NotFound, StoreError
from portfolio.records import Alias, Cell, Compared, FirstLook, Results, RouterWishes, Snapshot
from portfolio.store.changes import GenerationMoved
from portfolio.store.store import Store

NOW = "2030-05-17T12:30:00+00:00"  # the clock of the fixture


def commit(store: Store, synthetic: ModuleType, name: str, **changes: Any) -> None:
    """Add a task whose arguments of `commit_task` are as usual but for `changes`."""
    snapshot = store.snapshot()
    names = tuple(task.name for task in snapshot.tasks)
    usual = {
        "expected_generation": snapshot.generation,
        "task": synthetic.task_record(store, name),
        "adapters": [synthetic.adapter_record(store, name)],
        "router": synthetic.router_state(store, (*names, name)),
        "results": Results(),
    }
    store.commit_task(**{**usual, **changes})


# Adding


def test_a_committed_task_comes_back_as_it_was_with_the_time_filled_in(store: Store, synthetic: ModuleType) -> None:
    task, adapter = synthetic.task_record(store, "first"), synthetic.adapter_record(store, "first")
    router = synthetic.router_state(store, ("first",))
    cells = [Cell(step="first", task="first", rows=9, oracle=1.0, routing=0.25, floor=0.5, baseline=0.125)]
    store.commit_task(
        expected_generation=0, task=task, adapters=[adapter], router=router, results=Results(cells=tuple(cells))
    )
    assert store.snapshot() == Snapshot(
        generation=1,
        contract=synthetic.CONTRACT,
        tasks=(dataclasses.replace(task, added_at=NOW),),
        adapters=(dataclasses.replace(adapter, created_at=NOW),),
        cells=tuple(cells),
        router=router,
        aliases=(Alias(name="first", alias="champion", version=1),),
    )


def test_times_that_are_given_are_kept(store: Store, synthetic: ModuleType) -> None:
    commit(
        store,
        synthetic,
        "first",
        task=synthetic.task_record(store, "first", added_at="2020-01-01T00:00:00+00:00"),
        adapters=[synthetic.adapter_record(store, "first", created_at="2020-01-02T00:00:00+00:00")],
    )
    snapshot = store.snapshot()
    assert snapshot.tasks[0].added_at == "2020-01-01T00:00:00+00:00"
    assert snapshot.adapters[0].created_at == "2020-01-02T00:00:00+00:00"


def test_tasks_stay_in_the_order_they_were_added(store: Store, synthetic: ModuleType) -> None:
    for name in ("b", "c", "a"):
        synthetic.add_task(store, name)
    synthetic.remove_task(store, "c")
    synthetic.add_task(store, "c")
    assert synthetic.whole_tasks(store) == ["b", "a", "c"]


def test_a_portfolio_at_rest_has_no_files_but_its_own(two_tasks: Store) -> None:
    two_tasks.snapshot()
    assert sorted(os.listdir(two_tasks.path)) == ["base.json", "blobs", "portfolio.db"]


def test_a_copy_of_the_directory_is_the_same_portfolio(two_tasks: Store, tmp_path: Path, synthetic: ModuleType) -> None:
    shutil.copytree(two_tasks.path, tmp_path / "copy")
    copy = Store.open(tmp_path / "copy")
    assert copy.snapshot() == two_tasks.snapshot()
    synthetic.add_task(copy, "third")
    assert synthetic.whole_tasks(copy) == ["first", "second", "third"]
    assert synthetic.whole_tasks(two_tasks) == ["first", "second"]


WILD = st.text(max_size=20)  # every code point but halves of characters
TAGS = st.dictionaries(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True).filter(lambda key: key not in ("task", "name")),
    st.text(min_size=1, max_size=9).filter(str.isprintable),
    max_size=3,
).map(lambda tags: tuple(sorted(tags.items())))
TORN = st.text(st.characters(), max_size=8).map(lambda text: f"{text}\ud800\0")


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_text_and_number_in_a_record_comes_back(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, synthetic: ModuleType
) -> None:
    store = Store.create(tmp_path_factory.mktemp("wild"), synthetic.CONTRACT)
    wild = WILD | TORN
    score = st.floats(0, 1)
    task = synthetic.task_record(
        store,
        "first",
        labels=data.draw(st.lists(wild, max_size=4).map(tuple)),
        has_pairs=data.draw(st.booleans()),
        columns=data.draw(st.tuples(wild, st.none() | wild, wild)),
        sources=tuple(
            dataclasses.replace(source, path=data.draw(wild), held_out_of=data.draw(st.none() | st.just("train")))
            for source in synthetic.task_record(store, "first").sources
        ),
        seed=data.draw(st.integers(-(2**63), 2**63 - 1)),
        reading=json.dumps(data.draw(WILD), ensure_ascii=False),
        notes=data.draw(st.lists(wild, max_size=3).map(tuple)),
        added_at="then",
        tags=data.draw(TAGS),
    )
    compared = st.builds(
        Compared,
        choice=wild,
        made_of=wild,
        score=score,
        parameters=st.integers(0, 2**40),
        seconds=st.floats(0, 1e9),
        p_value=st.none() | score,
        is_kept=st.booleans(),
    )
    adapter = synthetic.adapter_record(
        store,
        "first",
        config=json.dumps(data.draw(WILD), ensure_ascii=False),
        seconds=data.draw(st.floats(0, 1e9)),
        validation_score=data.draw(score | st.sampled_from([0, 1])),
        notes=data.draw(st.lists(wild, max_size=3).map(tuple)),
        created_at="then",
        comparison=data.draw(st.lists(compared, max_size=2).map(tuple)),
        attention=data.draw(st.none() | st.just(task.scatter)),
    )
    cell = Cell(step="first", task="first", rows=5, oracle=data.draw(st.none() | score), routed=data.draw(score))
    cell = dataclasses.replace(cell, astray_right=data.draw(st.none() | score))
    number = st.floats(allow_nan=False)
    router = dataclasses.replace(
        synthetic.router_state(store, ("first",)),
        threshold=data.draw(number),
        wishes=RouterWishes(
            coverage=data.draw(score),
            recall=data.draw(st.none() | score),
            oos=data.draw(st.none() | st.just(task.centroids)),
            fallback=data.draw(st.sampled_from([None, "base", "first"])),
            shared_labels=data.draw(st.booleans()),
        ),
        first_look=data.draw(st.none() | st.builds(FirstLook, margin=number, in_scope=number, temperature=number)),
        own_share=data.draw(score),
        ece_before=data.draw(st.none() | score),
        ece=data.draw(st.none() | score),
        asked=data.draw(st.none() | score),
    )
    store.commit_task(
        expected_generation=0, task=task, adapters=[adapter], router=router, results=Results(cells=(cell,))
    )
    snapshot = store.snapshot()
    assert snapshot.tasks == (task,)
    assert snapshot.adapters == (adapter,)
    assert snapshot.cells == (cell,)
    assert snapshot.router == router
    assert store.verify() == ()


def test_a_path_outside_utf_8_in_how_a_file_was_read_is_kept_as_json(store: Store, synthetic: ModuleType) -> None:
    reading = json.dumps({"train": "/data/caf\udce9.csv"}, ensure_ascii=False)
    commit(store, synthetic, "first", task=synthetic.task_record(store, "first", reading=reading))
    assert json.loads(store.snapshot().tasks[0].reading) == {"train": "/data/caf\udce9.csv"}


# Refusals: nothing is changed


@pytest.mark.parametrize("name", ["", "../up", "a/b", "-x", "ü", "a" * 129, "a\n"])
def test_a_name_that_is_not_allowed_is_refused_here_too(store: Store, synthetic: ModuleType, name: str) -> None:
    with pytest.raises(InvalidName):
        commit(store, synthetic, name)
    assert store.generation() == 0


def test_a_taken_name_is_refused_even_by_one_who_saw_an_old_state(two_tasks: Store, synthetic: ModuleType) -> None:
    before = two_tasks.snapshot()
    for generation in (before.generation, 0):
        with pytest.raises(Conflict, match=r"already a task 'first'.*remove-task first") as raised:
            commit(two_tasks, synthetic, "first", expected_generation=generation)
        assert not isinstance(raised.value, GenerationMoved)
    assert two_tasks.snapshot() == before


def test_a_version_of_an_adapter_is_never_replaced(two_tasks: Store, synthetic: ModuleType) -> None:
    before = two_tasks.snapshot()
    for task in ("first", "third"):
        adapter = synthetic.adapter_record(two_tasks, "first", task=task, digest=two_tasks.put(b"another"))
        with pytest.raises((Conflict, ConfigError)):
            commit(two_tasks, synthetic, task, adapters=[adapter])
    assert two_tasks.snapshot() == before


@pytest.mark.parametrize(("name", "task"), [("second", "second"), ("first", "second"), ("second", "first")])
def test_an_adapter_of_another_task_is_refused(store: Store, synthetic: ModuleType, name: str, task: str) -> None:
    with pytest.raises(ConfigError, match=r"adapter \w+@1 is for '\w+', expected 'first'"):
        commit(store, synthetic, "first", adapters=[synthetic.adapter_record(store, name, task=task)])
    assert store.generation() == 0


def test_whoever_computed_on_an_old_state_must_compute_again(two_tasks: Store, synthetic: ModuleType) -> None:
    before = two_tasks.snapshot()
    router = synthetic.router_state(two_tasks, ("first",))
    stale = before.generation - 1
    with pytest.raises(GenerationMoved, match="at generation 2, expected 1"):
        commit(two_tasks, synthetic, "third", expected_generation=stale)
    with pytest.raises(GenerationMoved):
        two_tasks.commit_removal(expected_generation=stale, names=["second"], router=router, results=Results())
    with pytest.raises(GenerationMoved):
        two_tasks.commit_results(
            expected_generation=stale, results=Results(cells=(Cell(step="first", task="first", rows=1),))
        )
    with pytest.raises(GenerationMoved):
        two_tasks.commit_tags(expected_generation=stale, name="first", tags={"tenant": "acme"})
    with pytest.raises(GenerationMoved):
        two_tasks.commit_router(expected_generation=stale, router=router, results=Results(), detail={})
    assert two_tasks.snapshot() == before


@pytest.mark.parametrize("missing", ["centroids", "scatter", "evaluation", "digest", "totals"])
def test_a_record_may_not_name_a_blob_that_was_not_put(store: Store, synthetic: ModuleType, missing: str) -> None:
    nowhere = "e" * 64
    changes: dict[str, Any]
    if missing == "digest":
        changes = {"adapters": [synthetic.adapter_record(store, "first", digest=nowhere)]}
    elif missing == "totals":
        changes = {"router": dataclasses.replace(synthetic.router_state(store, ("first",)), totals=nowhere)}
    else:
        changes = {"task": synthetic.task_record(store, "first", **{missing: nowhere})}
    with pytest.raises(DamagedBlob, match=r"e{62} is missing"):
        commit(store, synthetic, "first", **changes)
    assert store.snapshot().tasks == ()


def test_results_of_an_unknown_task_are_refused_with_what_came_along(store: Store, synthetic: ModuleType) -> None:
    with pytest.raises(NotFound, match=r"not in .*: nobody; it has: first"):
        commit(store, synthetic, "first", results=Results(cells=(Cell(step="first", task="nobody", rows=1),)))
    assert store.snapshot().tasks == ()
    assert len(store.events()) == 1


def test_a_threshold_that_is_no_number_is_refused(store: Store, synthetic: ModuleType) -> None:
    router = dataclasses.replace(synthetic.router_state(store, ("first",)), threshold=float("nan"))
    with pytest.raises(StoreError, match=r"NOT NULL.*router\.threshold.*nothing was changed"):
        commit(store, synthetic, "first", router=router)
    assert store.snapshot().tasks == ()


@pytest.mark.parametrize("field", ["own_share", "margin"])
def test_no_number_hides_in_what_else_is_kept_of_the_router(store: Store, synthetic: ModuleType, field: str) -> None:
    router = synthetic.router_state(store, ("first",))
    look = FirstLook(margin=0.5, in_scope=0.0, temperature=1.0)
    changes = {
        "own_share": {"own_share": float("nan")},
        "margin": {"first_look": dataclasses.replace(look, margin=float("nan"))},
    }
    with pytest.raises(StoreError, match="expected numbers .* got NaN; nothing was changed"):
        commit(store, synthetic, "first", router=dataclasses.replace(router, **changes[field]))
    assert store.snapshot().tasks == ()


# Removing


def test_a_removal_takes_the_task_its_adapter_and_its_row_and_column_of_results(
    two_tasks: Store, synthetic: ModuleType
) -> None:
    before = two_tasks.snapshot()
    router = synthetic.router_state(two_tasks, ("second",))
    again = Cell(step="second", task="second", rows=6, oracle=0.5)
    two_tasks.commit_removal(expected_generation=2, names=["first"], router=router, results=Results(cells=(again,)))
    after = two_tasks.snapshot()
    assert after.generation == 3
    assert after.tasks == before.tasks[1:]
    assert after.adapters == before.adapters[1:]
    assert after.cells == (again,)
    assert after.router == router
    assert two_tasks.verify() == ()


def test_the_last_removal_leaves_no_router_and_the_name_free(store: Store, synthetic: ModuleType) -> None:
    synthetic.add_task(store, "first")
    synthetic.remove_task(store, "first")
    assert store.snapshot().router is None
    synthetic.add_task(store, "first")
    assert synthetic.whole_tasks(store) == ["first"]


def test_an_unknown_task_cannot_be_removed_and_the_message_names_the_known(two_tasks: Store) -> None:
    with pytest.raises(NotFound, match=r"no task 'frist' .* it has: first, second"):
        two_tasks.commit_removal(expected_generation=2, names=["frist"], router=None, results=Results())


def test_a_router_state_is_there_if_and_only_if_there_are_tasks(two_tasks: Store, synthetic: ModuleType) -> None:
    before = two_tasks.snapshot()
    with pytest.raises(ConfigError, match="expected a router state"):
        two_tasks.commit_removal(expected_generation=2, names=["first"], router=None, results=Results())
    assert two_tasks.snapshot() == before
    synthetic.remove_task(two_tasks, "first")
    with pytest.raises(ConfigError, match="expected no router state"):
        two_tasks.commit_removal(expected_generation=3, names=["second"], router=before.router, results=Results())


# Results


def test_a_cell_takes_the_place_of_the_earlier_one_as_a_whole(two_tasks: Store) -> None:
    before = {(cell.step, cell.task): cell for cell in two_tasks.snapshot().cells}
    again = Cell(step="second", task="first", rows=7, routed=0.125)
    two_tasks.commit_results(expected_generation=2, results=Results(cells=(again,)))
    after = {(cell.step, cell.task): cell for cell in two_tasks.snapshot().cells}
    assert after == {**before, ("second", "first"): again}
    assert two_tasks.generation() == 3


def test_what_was_not_measured_is_none_and_never_zero(two_tasks: Store) -> None:
    two_tasks.commit_results(
        expected_generation=2,
        results=Results(cells=(Cell(step="first", task="second", rows=3, oracle=float("nan"), routed=0.0),)),
    )
    [cell] = [cell for cell in two_tasks.snapshot().cells if (cell.step, cell.task) == ("first", "second")]
    assert (cell.oracle, cell.routed, cell.floor) == (None, 0.0, None)


def test_a_negative_zero_is_no_damage(store: Store, synthetic: ModuleType) -> None:
    router = dataclasses.replace(synthetic.router_state(store, ("first",)), threshold=-0.0)
    commit(
        store,
        synthetic,
        "first",
        router=router,
        results=Results(cells=(Cell(step="first", task="first", rows=1, oracle=-0.0),)),
    )
    assert store.snapshot().router == router
    assert store.verify() == ()


def test_cells_come_row_by_row_in_the_order_of_tasks(store: Store, synthetic: ModuleType) -> None:
    for name in ("z", "a", "m"):
        synthetic.add_task(store, name)
    found = [(cell.step, cell.task) for cell in store.snapshot().cells]
    assert found == [("z", "z"), ("a", "z"), ("a", "a"), ("m", "z"), ("m", "a"), ("m", "m")]


# Events


def test_every_change_is_one_event_that_outlives_what_it_is_about(store: Store, synthetic: ModuleType) -> None:
    synthetic.add_task(store, "first")
    store.commit_results(expected_generation=1, results=Results(cells=(Cell(step="first", task="first", rows=1),)))
    synthetic.remove_task(store, "first")
    events = store.events()
    assert [(event.at, event.action, event.subject) for event in events] == [
        (NOW, "init", "tiny"),
        (NOW, "add-task", "first"),
        (NOW, "measure", "first"),
        (NOW, "remove-task", "first"),
    ]
    details = [json.loads(event.detail) for event in events]
    digest = synthetic.adapter_record(store, "first").digest
    assert details[1] == {"by": actor(), "adapters": {"first@1": digest}, "generation": 1}
    assert details[3] == {"by": actor(), "adapters": {"first@1": digest}, "generation": 3}


# Against a plain model


@settings(max_examples=12, deadline=None)
@given(choices=st.lists(st.tuples(st.sampled_from("+-="), st.integers(0, 3)), max_size=8))
def test_any_sequence_of_changes_ends_like_a_list_of_names(
    choices: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory, synthetic: ModuleType
) -> None:
    store = Store.create(tmp_path_factory.mktemp("model"), synthetic.CONTRACT)
    names: list[str] = []
    changes = 0
    for action, number in choices:
        name = f"task{number}"
        if action == "+" and name not in names:
            synthetic.add_task(store, name)
            names.append(name)
        elif action == "-" and name in names:
            synthetic.remove_task(store, name)
            names.remove(name)
        elif action == "=" and names:
            store.commit_results(
                expected_generation=changes, results=Results(cells=tuple(synthetic.cells(names[-1], tuple(names[:-1]))))
            )
        else:
            continue
        changes += 1
    assert synthetic.whole_tasks(store) == names
    assert store.generation() == changes
    assert store.verify() == ()
