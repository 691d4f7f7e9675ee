"""Measuring again only what can have changed, against measuring everything: the same cells, the same rows."""

from __future__ import annotations

import functools
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portfolio.remeasuring
from portfolio.errors import DamagedBlob
from portfolio.evaluation import SomeRows, measure
from portfolio.evaluation_set import EvaluationSet, mapped_test_features
from portfolio.known import KnownTasks
from portfolio.records import AdapterRecord, BaseContract, TaskRecord
from portfolio.remeasuring import remeasure
from portfolio.router_cache import RouterCache
from portfolio.standing import CACHE, Standings, read_standings
from portfolio.store.store import Store
from routing.cascade import Cascade, FirstLook
from routing.router import Calibration, CentroidRouter
from routing.statistics import Totals, centroids_to_bytes, summarise

WIDTH, FIRST, CLASSES, TEST = 5, 3, 2, 6
TRAIN = (2, 6, 16)  # rows a class, of one task after the other
TASKS = 60
LOOK = FirstLook(margin=0.6, in_scope=-6.0, temperature=1.5)
CONTRACT = BaseContract(
    name="none",
    revision=None,
    fingerprint="0" * 64,
    model_type="none",
    hidden_size=WIDTH,
    blocks=2,
    trunk=1,
    pooling="mean",
    max_tokens=8,
    feature_blocks=(1,),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A store with the blobs of sixty tasks in one cloud, many of whose labels are shared."""

    store: Store
    tasks: tuple[TaskRecord, ...]
    adapters: tuple[AdapterRecord, ...]
    cache: RouterCache

    def copy(self, to: Path) -> World:
        """Another, whose blobs can be damaged."""
        shutil.copytree(self.store.path, to / "portfolio")
        return replace(self, store=Store.open(to / "portfolio"), cache=RouterCache(to / "portfolio", WIDTH, FIRST))

    def forgetful(self) -> World:
        """The same, which knows of no fit."""
        shutil.rmtree(self.store.path / "cache" / "router", ignore_errors=True)
        return replace(self, cache=RouterCache(self.store.path, WIDTH, FIRST))

    def known(self, numbers) -> KnownTasks:
        return KnownTasks(
            self.store, [self.tasks[number] for number in numbers], {one.task: one for one in self.adapters}
        )

    def router(self, known: KnownTasks, own_share=0.0, threshold=-4.0, first_look: FirstLook | None = LOOK) -> Cascade:
        totals = Totals.zero(WIDTH)
        for name in known.centroids:
            totals = totals.add(*statistics(int(name[4:])))
        of = totals, known.digests, known.centroids
        space = self.cache.kept(*of) or self.cache.fitted(*of, 0.1)
        chosen = Calibration(threshold=threshold, temperature=2.0, shrinkage=0.1, own_share=own_share)
        return Cascade(CentroidRouter(totals, known.centroids, settings=chosen, space=space), FIRST, first_look)


def rows_of(number, count, seed):
    """Features and classes of one task; tasks near each other in number are near each other in space."""
    centre = np.random.default_rng(number // 3).normal(scale=4, size=WIDTH)
    chance = np.random.default_rng((number, seed))
    classes = np.arange(count) % CLASSES
    middles = centre + np.random.default_rng((number, 9)).normal(scale=2, size=(CLASSES, WIDTH))
    return (middles[classes] + chance.normal(size=(count, WIDTH))).astype(np.float32), classes


@functools.cache
def statistics(number):
    return summarise(*rows_of(number, TRAIN[number % len(TRAIN)] * CLASSES, 0), CLASSES, corner=2)


def task_of(store, number) -> tuple[TaskRecord, AdapterRecord]:
    name = f"task{number:02}"
    features, truth = rows_of(number, TEST, 1)
    said = np.where(np.random.default_rng((number, 2)).random(TEST) < 0.8, truth, 1 - truth)
    rows = EvaluationSet(
        validation_features=np.zeros((0, WIDTH), np.float32),
        test_features=features,
        test_labels=truth,
        test_predictions=said,
        baseline=0.5,
    )
    record = TaskRecord(
        name=name,
        kind="classification",
        labels=(f"label {number // 3}", f"label {number % 2 + 90}"),
        has_pairs=False,
        columns=("text", None, "label"),
        sources=(),
        seed=0,
        reading="{}",
        centroids=store.put(centroids_to_bytes(statistics(number)[0])),
        scatter="0" * 64,
        evaluation=store.put(rows.to_bytes()),
    )
    adapter = AdapterRecord(
        name=name,
        version=1,
        task=name,
        digest=f"{number:064}",
        method="none",
        config="{}",
        training="{}",
        parameters=0,
        bytes=0,
        seconds=0.0,
        epochs=0,
        seed=0,
        validation_score=0.0,
    )
    return record, adapter


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr("portfolio.router_cache.MOST_EXACT", 10)
        patch.setattr("portfolio.store.durable.os.fsync", lambda file: None)
        store = Store.create(Path(folder, "portfolio"), CONTRACT)
        tasks, adapters = zip(*(task_of(store, number) for number in range(TASKS)), strict=True)
        yield World(store=store, tasks=tasks, adapters=adapters, cache=RouterCache(store.path, WIDTH, FIRST))


@pytest.fixture(autouse=True)
def _nothing_was_measured(world):
    (world.store.path / CACHE).unlink(missing_ok=True)


class Adapters:
    """What the adapters of other tasks say of rows that went astray: drawn, but always the same; and who was asked."""

    def __init__(self):
        self.asked = set()

    def __call__(self, task, astray):
        said = [(task.name, one.row, one.chosen) for one in astray]
        assert not self.asked & set(said)
        self.asked |= set(said)
        return [zlib.crc32(repr(one).encode()) % 2 == 0 for one in said]


def silent(task, astray):
    return None


def assert_same(ours, theirs):
    assert ours.outcomes.names == theirs.outcomes.names
    for one, other in zip(ours.outcomes.tasks, theirs.outcomes.tasks, strict=True):
        assert one.task == other.task
        for name in ("own_right", "chosen", "right", "kept", "runner_up"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=f"{one.task} {name}")
        np.testing.assert_allclose(one.lead, other.lead, rtol=0, atol=1e-6)
    assert ours.cells == theirs.cells


@pytest.fixture
def looked_at(monkeypatch):
    """How many rows were looked at by the last measurement, by task."""
    counts = {}
    look_at = portfolio.remeasuring.look_at

    def counting(some, *of_what):
        def counted():
            for one in some:
                counts[one.task.name] = len(one.rows)
                yield one

        counts.clear()
        return look_at(counted(), *of_what)

    monkeypatch.setattr("portfolio.remeasuring.look_at", counting)
    return counts


def measured(world, numbers, ask=None, **wishes):
    known = world.known(numbers)
    return remeasure(world.store, "step", known, world.router(known, **wishes), ask or Adapters())


def measured_whole(world, numbers, **wishes):
    known = world.known(numbers)
    return measure("step", known, world.router(known, **wishes), Adapters(), known.labels)


CHANGES = st.lists(
    st.tuples(
        st.lists(st.integers(0, TASKS - 1), min_size=1, max_size=3),
        st.sampled_from(["", "", "", "", "gone", "cut short", "flipped", "another fit"]),
    ),
    min_size=2,
    max_size=5,
)


def test_whatever_comes_and_goes_the_results_are_those_of_measuring_everything(world):
    """Up to three tasks change places at a time: those that are here go, the others come, at the end of the order."""

    @given(
        changes=CHANGES,
        some=st.integers(30, TASKS - 4),
        own_share=st.sampled_from([0.0, 0.1]),
        first_look=st.sampled_from([LOOK, LOOK, None]),
        flat=st.sampled_from([20, 1000]),
    )
    @settings(max_examples=15, deadline=None)
    def holds(changes, some, own_share, first_look, flat):
        here = world.forgetful()
        (here.store.path / CACHE).unlink(missing_ok=True)
        wishes = {"own_share": own_share, "first_look": first_look}
        numbers = list(range(some))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("portfolio.router_cache.FLAT", flat)
            measured(here, numbers, **wishes)
            for moved, damage in changes:
                spoil(here.store.path, damage)
                if damage == "another fit":
                    here = here.forgetful()
                numbers = [number for number in numbers if number not in moved] + sorted(set(moved) - set(numbers))
                assert_same(measured(here, numbers, **wishes), measured_whole(here, numbers, **wishes))

    holds()


def spoil(root, damage):
    path = root / CACHE
    if damage == "gone":
        path.unlink()
    elif damage == "cut short":
        path.write_bytes(path.read_bytes()[:-5])
    elif damage == "flipped":
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)


def test_a_task_that_comes_is_looked_at_and_few_rows_of_the_others(world, looked_at):
    measured(world, range(50))
    measured(world, range(51))
    assert looked_at.pop("task50") == TEST
    assert 0 < sum(looked_at.values()) < 40  # of 300, of tasks that are near each other three by three


def test_where_nothing_changed_nothing_is_looked_at(world, looked_at):
    before = measured(world, range(50))
    assert_same(measured(world, range(50)), before)
    assert not looked_at


def test_other_settings_are_measured_for_from_the_beginning(world, looked_at):
    measured(world, range(50))
    for wishes in ({"threshold": -3.0}, {"own_share": 0.1}, {"first_look": None}):
        assert_same(measured(world, range(50), **wishes), measured_whole(world, range(50), **wishes))
        assert sum(looked_at.values()) == 50 * TEST


def test_where_tasks_become_too_many_for_a_covariance_of_their_own_everything_is_looked_at(
    world, monkeypatch, looked_at
):
    monkeypatch.setattr("routing.router.MOST_OWN", 50)
    measured(world, range(50), own_share=0.1)
    assert_same(measured(world, range(51), own_share=0.1), measured_whole(world, range(51), own_share=0.1))
    assert sum(looked_at.values()) == 51 * TEST


def test_the_order_of_the_tasks_does_not_matter(world, looked_at):
    measured(world, range(50))
    order = [*range(25, 50), *range(25)]
    assert_same(measured(world, order), measured_whole(world, order))
    assert not looked_at


def test_an_adapter_is_asked_again_only_about_rows_whose_route_changed(world):
    """One who remembers the whole time would complain of a question asked twice."""
    ask = Adapters()
    measured(world, range(50), ask)
    asked = len(ask.asked)
    assert asked > 10
    measured(world, range(52), ask)
    assert asked < len(ask.asked) < asked + 20


def test_so_it_is_while_the_router_is_small_and_everything_is_looked_at(world, monkeypatch, looked_at):
    def exact(numbers, ask):
        known = world.known(numbers)
        totals = Totals.zero(WIDTH)
        for number in numbers:
            totals = totals.add(*statistics(number))
        router = Cascade(CentroidRouter(totals, dict(known.centroids)), FIRST, LOOK)
        ours = remeasure(world.store, "step", known, router, ask)
        assert_same(ours, measure("step", known, router, Adapters(), known.labels))
        return len(ask.asked)

    ask = Adapters()
    asked = exact(range(30), ask)
    assert asked > 5
    assert exact(range(31), ask) < 1.5 * asked
    assert sum(looked_at.values()) == 31 * TEST


def test_rows_that_nobody_could_be_asked_about_are_asked_about_at_the_next_change(world):
    unknown = measured(world, range(50), silent)
    assert any(cell.routed is None for cell in unknown.cells)
    assert_same(measured(world, range(50)), measured_whole(world, range(50)))


def test_a_task_of_the_same_name_with_another_adapter_or_other_labels_is_another_task(world, looked_at):
    measured(world, range(50))
    adapters = [replace(one, digest="f" * 64) if one.task == "task10" else one for one in world.adapters]
    measured(replace(world, adapters=tuple(adapters)), range(50))
    assert looked_at["task10"] == TEST
    tasks = [replace(one, labels=("other", "words")) if one.name == "task20" else one for one in world.tasks]
    assert_same(
        measured(replace(world, tasks=tuple(tasks)), range(50)),
        measured_whole(replace(world, tasks=tuple(tasks)), range(50)),
    )
    assert looked_at["task20"] == TEST


def test_where_the_statistics_of_a_task_that_went_are_gone_everything_is_looked_at(world, tmp_path, looked_at):
    world = world.copy(tmp_path)
    measured(world, range(50))
    digest = world.tasks[49].centroids
    known = world.known(range(49))
    router = world.router(known)
    (world.store.path / "blobs" / digest[:2] / digest[2:]).unlink()
    ours = remeasure(world.store, "step", known, router, Adapters())
    assert sum(looked_at.values()) == 49 * TEST
    assert_same(ours, measure("step", known, router, Adapters(), known.labels))


def test_a_damaged_blob_is_refused_where_rows_of_it_are_looked_at(world, tmp_path):
    world = world.copy(tmp_path)
    measured(world, range(50))
    digest = world.tasks[50].evaluation
    path = world.store.path / "blobs" / digest[:2] / digest[2:]
    path.write_bytes(path.read_bytes()[:-3] + b"abc")
    with pytest.raises(DamagedBlob, match=digest[2:]):
        measured(world, range(51))


def test_a_blob_that_is_missing_is_refused_though_no_row_of_it_is_looked_at(world, tmp_path):
    world = world.copy(tmp_path)
    measured(world, range(50))
    digest = world.tasks[3].evaluation
    (world.store.path / "blobs" / digest[:2] / digest[2:]).unlink()
    with pytest.raises(DamagedBlob, match=digest[2:]):
        measured(world, range(51))


def test_where_nothing_can_be_written_the_results_are_the_same(world, tmp_path):
    world = world.copy(tmp_path)
    shutil.rmtree(world.store.path / "cache", ignore_errors=True)
    (world.store.path / "cache").write_text("a file where the directory should be")
    for count in (40, 41):
        assert_same(measured(world, range(count)), measured_whole(world, range(count)))
    assert read_standings(world.store.path) is None


def test_standings_come_back_from_their_bytes(world):
    measured(world, range(40))
    found = read_standings(world.store.path)
    assert found is not None and len(found.tasks) == 40
    assert found.to_bytes() == Standings.from_bytes(found.to_bytes()).to_bytes()
    assert found.marks == world.known(range(40)).marks()


def test_a_glance_sees_the_test_features_without_copying_them(world):
    known = world.known(range(3))
    for place in range(3):
        np.testing.assert_array_equal(known.glance(place), known[place].rows.test_features)
        assert not known.glance(place).flags.writeable
        assert len(SomeRows.all_of(known[place]).rows) == TEST


@pytest.mark.parametrize("data", [b"\x10" + bytes(7) + b"{}", b"{}", bytes(100)])
def test_a_glance_at_anything_else_is_refused(tmp_path, data):
    import mmap

    path = tmp_path / "blob"
    path.write_bytes(data)
    with path.open("rb") as file, pytest.raises(DamagedBlob):
        mapped_test_features(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
