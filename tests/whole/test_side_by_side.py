"""Tasks learned side by side make the portfolio that one worker makes, whatever happens to the workers."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.candidates import learn_job
from portfolio.crew import Post, Telling, engine_for
from portfolio.errors import BaseUnavailable, ConfigError, DataError, PortfolioError, TrainingDiverged, WorkerLost
from portfolio.execution import PLAIN
from portfolio.hosting.base import freeze
from portfolio.portfolio import Portfolio
from portfolio.side_by_side import Failed, Prepared, Said, Stepped, add_side_by_side
from portfolio.training import Silent

NAMES = ("garden", "kitchen", "harbour")


class Watch:
    """Progress that remembers, and does something at each step."""

    def __init__(self, at_step=lambda: None):
        self.rows, self.steps, self.said, self._at_step = 0, [], [], at_step

    def prepared(self, rows):
        self.rows += rows

    def step(self, *, done, total, loss, score):
        self.steps.append((done, total))
        self._at_step()

    def say(self, message):
        self.said.append(message)


@pytest.fixture
def sequence(tmp_path, files_of):
    """A sequence of the three tasks; a bad one among them has a train file that cannot be read."""

    def written(bad=None):
        tables = []
        for name in NAMES:
            files = files_of(name)
            if name == bad:
                files.train.write_text('{"text": "rose", "label": "plant"}\n')  # of one class only
            tables.append(f'[[task]]\nname = "{name}"\ntrain = "{files.train}"\ntest = "{files.test}"\n')
        path = tmp_path / "toy.toml"
        path.write_text("\n".join(tables))
        return path

    return written


@pytest.fixture
def on_disk(tmp_path, tiny_base_dir):
    """`on_disk(NAME)` is an empty portfolio whose base any process can load."""
    made = []

    def new(name):
        made.append(Portfolio.init(tmp_path / name, str(tiny_base_dir)))
        return made[-1]

    yield new
    for portfolio in made:
        portfolio.close()


@pytest.fixture
def backwards(monkeypatch, tiny_base):
    """Workers in this process, of whom the last to be given a task is the first to finish."""

    class Backwards:
        def __init__(self, size, post):
            self.size, self._given = size, []
            portfolio = Portfolio.open(post.path, base=tiny_base)
            self._close, self._engine = portfolio.close, portfolio.engine

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self._close()

        def give(self, worker, job):
            self._given.append((worker, pickle.dumps(job)))

        def hear(self, *, wait):
            if not wait:
                return []
            worker, job = self._given.pop()
            said = []
            try:
                said.append(learn_job(self._engine, pickle.loads(job), Telling(said.append)))
            except PortfolioError as error:
                said.append(Failed(error))
            return [(worker, pickle.loads(pickle.dumps(one))) for one in said]

    monkeypatch.setattr("portfolio.crew.Processes", Backwards)


def state_of(portfolio):
    """Everything in it but moments and durations."""
    snapshot = portfolio.snapshot()
    return replace(
        snapshot,
        tasks=tuple(replace(task, added_at="") for task in snapshot.tasks),
        adapters=tuple(replace(adapter, created_at="", seconds=0.0) for adapter in snapshot.adapters),
        moments=tuple(replace(moment, at="") for moment in snapshot.moments),
    )


def blobs_of(portfolio):
    return {path.name: path.read_bytes() for path in (portfolio.path / "blobs").rglob("*") if path.is_file()}


def names_in(portfolio):
    return [task.name for task in portfolio.tasks()]


# Real processes


def test_two_processes_make_the_portfolio_that_one_makes(on_disk, sequence, quick):
    one, two, watched = on_disk("one"), on_disk("two"), {}
    path = sequence()

    def watch(name):
        watched[name] = Watch()
        return watched[name]

    alone = one.add_tasks(path, training=quick)
    beside = two.add_tasks(path, training=quick, progress=watch, workers=2, threads=1)
    assert [adapter.digest for adapter in beside] == [adapter.digest for adapter in alone]
    assert state_of(two) == state_of(one)
    assert blobs_of(two) == blobs_of(one)
    assert two.verify() == ()
    for name in NAMES:
        assert watched[name].rows > 0 and watched[name].steps[-1] == (4, 4)
        assert watched[name].said[-1] == f"{name}: joined the portfolio"
    assert not multiprocessing.active_children()


def test_a_killed_worker_is_one_clear_error_and_the_next_run_goes_on(on_disk, sequence, quick):
    portfolio, path = on_disk("killed"), sequence()

    def kill():
        for worker in multiprocessing.active_children():
            os.kill(worker.pid, signal.SIGKILL)

    with pytest.raises(WorkerLost, match="task 'garden': .* ended by SIGKILL from outside.*do the same again"):
        portfolio.add_tasks(
            path, training=replace(quick, epochs=500, patience=500), progress=lambda _: Watch(kill), workers=2
        )
    assert not multiprocessing.active_children()
    assert names_in(portfolio) == []
    assert not any(fault.is_damage for fault in portfolio.verify())
    portfolio.add_tasks(path, training=quick)
    assert names_in(portfolio) == list(NAMES)


def test_an_interrupt_ends_the_workers_and_leaves_a_whole_portfolio(on_disk, sequence, quick):
    portfolio, path = on_disk("stopped"), sequence()

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        portfolio.add_tasks(
            path, training=replace(quick, epochs=500, patience=500), progress=lambda _: Watch(interrupt), workers=2
        )
    assert not multiprocessing.active_children()
    assert names_in(portfolio) == []
    assert not any(fault.is_damage for fault in portfolio.verify())


# Workers in this process


def test_tasks_join_in_the_order_of_the_sequence_whoever_is_ready_first(
    empty, tmp_path, tiny_base, sequence, quick, backwards
):
    """What is handed over is pickled and read again, as between processes."""
    alone = Portfolio.init(tmp_path / "alone", tiny_base)
    alone.add_tasks(sequence(), training=quick)
    added = empty.add_tasks(sequence(), training=quick, workers=3)
    assert [record.name for record in added] == list(NAMES)
    assert state_of(empty) == state_of(alone)
    assert blobs_of(empty) == blobs_of(alone)
    alone.close()


@pytest.mark.parametrize("workers", [1, 3])
def test_a_task_that_cannot_be_learned_stops_the_sequence_there_with_its_name(
    empty, sequence, quick, backwards, workers
):
    with pytest.raises(DataError, match="^task 'kitchen': .*class"):
        empty.add_tasks(sequence(bad="kitchen"), training=quick, workers=workers)
    assert names_in(empty) == ["garden"]
    added = empty.add_tasks(sequence(), training=quick, workers=workers)
    assert [record.name for record in added] == ["kitchen", "harbour"]


def test_numbers_of_workers_and_threads_that_cannot_be_are_refused(empty, sequence):
    for wrong in ({"workers": 0}, {"workers": 2, "threads": 0}):
        with pytest.raises(ConfigError, match="must be 1 or more, got 0"):
            empty.add_tasks(sequence(), **wrong)
    assert names_in(empty) == []


def test_a_base_that_only_this_process_has_is_refused_to_workers(tmp_path, tiny_base):
    base = freeze(str(tmp_path / "gone"), None, tiny_base.model, tiny_base.tokenizer)
    portfolio = Portfolio.init(tmp_path / "p", base)
    with pytest.raises(BaseUnavailable, match="each worker loads the base for itself.*workers=1"):
        engine_for(Post(path=portfolio.path, threads=1, execution=PLAIN))
    portfolio.close()


# The order of work


class Job:
    def __init__(self, name):
        self.name = name


class Candidate:
    """All that the order of work asks of one."""

    def __init__(self, name, score=0.5):
        self.name, self.adapters = name, (Job(name),)
        self.adapters[0].validation_score = score


class Drawn:
    """Workers of whom a drawn one finishes next; tasks named `bad…` fail."""

    def __init__(self, size, draw):
        self.size, self.busy, self.given, self._draw = size, {}, [], draw

    def give(self, worker, job):
        assert worker not in self.busy
        self.busy[worker] = job.name
        self.given.append(job.name)

    def hear(self, *, wait):
        if not wait and self._draw(2):
            return []
        worker = sorted(self.busy)[self._draw(len(self.busy))]
        name = self.busy.pop(worker)
        return [(worker, Failed(TrainingDiverged("no luck")) if name.startswith("bad") else Candidate(name))]


@given(data=st.data(), size=st.integers(1, 4), fates=st.lists(st.booleans(), max_size=12))
@settings(max_examples=50, deadline=None)
def test_what_joins_are_the_tasks_before_the_first_that_fails_in_order(data, size, fates):
    names = [f"{'good' if fate else 'bad'}{number}" for number, fate in enumerate(fates)]
    crew, joined = Drawn(size, lambda below: data.draw(st.integers(0, below - 1))), []

    def join(candidate):
        waiting = set(crew.given) - set(crew.busy.values()) - set(joined)
        assert len(waiting) <= size + 1  # with the one that joins now
        joined.append(candidate.name)
        return candidate.name

    expected = names[: fates.index(False)] if False in fates else names
    try:
        added = add_side_by_side(map(Job, names), crew, join, lambda name: Silent())
        assert expected == names == added
    except TrainingDiverged as error:
        assert str(error) == f"task {names[len(expected)]!r}: no luck"
    assert joined == expected


def test_no_worker_waits_while_there_are_tasks_and_room():
    crew = Drawn(2, lambda below: 0)
    asked = iter(["one", "two", "three", "four", "five"])
    assert (
        add_side_by_side(map(Job, asked), crew, lambda candidate: candidate.name, lambda name: Silent()) == crew.given
    )
    held = Drawn(2, lambda below: below - 1)  # the first task is the last to be done
    with pytest.raises(StopAsyncIteration):
        add_side_by_side(map(Job, "abcdefg"), Stuck(held), lambda candidate: candidate.name, lambda name: Silent())
    assert held.given == ["a", "b", "c"]


def test_nobody_is_idle_while_a_task_joins():
    crew, busy = Drawn(2, lambda below: 0), []

    def join(candidate):
        busy.append(len(crew.busy))
        return candidate.name

    add_side_by_side(map(Job, "abc"), crew, join, lambda name: Silent())
    assert busy[0] == 2  # the other one, and the one that was given the next task before


class Stuck:
    """Its first worker never ends."""

    def __init__(self, crew):
        self.size, self.give, self._crew = crew.size, crew.give, crew

    def hear(self, *, wait):
        if list(self._crew.busy) == [0]:
            raise StopAsyncIteration  # nothing will ever be heard
        return self._crew.hear(wait=wait)


def test_what_a_worker_says_reaches_the_progress_of_its_task():
    class Talking:
        size = 1

        def give(self, worker, job):
            self.left = [Prepared(7), Said("a note"), Stepped(done=3, total=9, loss=0.5, score=0.25), Candidate("one")]

        def hear(self, *, wait):
            said, self.left = self.left, []
            return [(0, message) for message in said]

    watch = Watch()
    add_side_by_side(iter([Job("one")]), Talking(), lambda candidate: candidate.name, lambda name: watch)
    assert watch.rows == 7
    assert watch.said == ["a note", "one: joined the portfolio"]
    assert watch.steps == [(3, 9), (9, 9)]  # it stopped early: there is no more to do


def test_a_worker_tells_of_steps_now_and_then_and_of_the_first_and_last():
    now, sent = [0.0], []
    telling = Telling(sent.append, clock=lambda: now[0])
    telling.prepared(5), telling.prepared(6)
    for step in range(1, 101):
        now[0] += 0.01
        telling.step(done=step, total=100, loss=1.0, score=None)
    assert [one.rows for one in sent if isinstance(one, Prepared)] == [5, 6]
    steps = [one.done for one in sent if isinstance(one, Stepped)]
    assert steps[0] == 1 and steps[-1] == 100 and len(steps) <= 7
