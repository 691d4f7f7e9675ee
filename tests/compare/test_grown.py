"""The portfolio as a contestant: what is measured is what users get, and what it knows of a task it never unlearns."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from portfolio.compare.budget import Budget
from portfolio.compare.contestant import Contestant, Settings
from portfolio.compare.prepare import world_of
from portfolio.compare.table import METHODS
from portfolio.compare.world import World
from portfolio.errors import NotFound
from portfolio.hosting.base import Base
from portfolio.hosting.host import Host
from portfolio.portfolio import Portfolio
from portfolio.tasks.sequences import Sequence, TaskSpec
from portfolio.training import TrainingConfig

SETTINGS = Settings(rate=2e-3, epochs=3, batch_size=8, seed=0)
WorldOf = Callable[[Sequence], World]


@pytest.fixture(scope="module")
def world_from(tiny_base: Base) -> Iterator[WorldOf]:
    """`world_from(SEQUENCE)`, all on one host."""
    host = Host(tiny_base, trunk=2)
    yield lambda sequence: world_of(host, 32, sequence, Budget(per_class=None, epochs=1, trials=1), seed=0)
    host.detach()


@pytest.fixture(scope="module")
def world(world_from: WorldOf, toy_sequence: Sequence) -> World:
    return world_from(toy_sequence)


@pytest.fixture
def conflict(tmp_path: Path, world_from: WorldOf) -> World:
    """Two tasks of the same words and labels; what one calls `yes` the other calls `no`."""
    draw, specs = random.Random(0), []
    words = {True: ("rose", "tulip", "fern", "moss", "daisy", "ivy"), False: ("pan", "ladle", "whisk", "bowl", "pie")}
    for name, labels in (("first", ("no", "yes")), ("second", ("yes", "no"))):
        path = tmp_path / f"{name}.csv"
        rows = {" ".join(draw.sample(words[row % 2 == 0], 4)): labels[row % 2] for row in range(80)}
        path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows.items()))
        specs.append(TaskSpec(name=name, train=str(path)))
    return world_from(Sequence(name="conflict", seed=0, tasks=tuple(specs)))


def begun(name: str, world: World, directory: Path, tasks: int = 0) -> Contestant:
    contestant = METHODS[name].begin(world, SETTINGS, directory)
    for number in range(tasks):
        contestant.learn(number)
    return contestant


def test_its_answers_are_those_of_the_portfolio_in_its_directory(world: World, tiny_base: Base, tmp_path: Path) -> None:
    contestant = begun("portfolio", world, tmp_path, tasks=3)
    portfolio = Portfolio.open(tmp_path / "portfolio", base=tiny_base)
    for number, task in enumerate(world.tasks):
        said, texts = contestant.answer(number, "test"), task.data.test.texts
        routed = [answer.label for answer in portfolio.predict(texts, abstain=False)]
        told = [answer.label for answer in portfolio.predict(texts, task=task.name)]
        assert [world.labels[number] for number in said.free] == routed
        assert [world.labels[number] for number in said.given] == told
    portfolio.close()


def test_it_grows_the_portfolio_that_init_and_add_task_make(
    world: World, toy_sequence: Sequence, tiny_base: Base, tmp_path: Path
) -> None:
    """So that nothing is measured but what users run: the same contract, the same adapters, the same router."""
    begun("portfolio", world, tmp_path, tasks=2)
    theirs = Portfolio.init(tmp_path / "theirs", tiny_base, max_tokens=32)
    for spec in toy_sequence.tasks[:2]:
        training = TrainingConfig(epochs=3, batch_size=8, learning_rate=2e-3)
        theirs.add_task(spec.name, spec.train, test=spec.test, training=training)
    ours = Portfolio.open(tmp_path / "portfolio", base=tiny_base)
    assert ours.contract == theirs.contract
    mine, other = ours.snapshot(), theirs.snapshot()
    assert [one.digest for one in mine.adapters] == [one.digest for one in other.adapters]
    assert mine.router == other.router
    assert mine.cells == other.cells
    theirs.close()


def test_a_task_learned_just_before_an_interruption_is_not_learned_again(world: World, tmp_path: Path) -> None:
    begun("portfolio", world, tmp_path, tasks=2)
    again = METHODS["portfolio"].begin(world, SETTINGS, tmp_path)
    again.restore({}, 1)
    before = sorted(path.name for path in tmp_path.rglob("blobs/*/*"))
    again.learn(1)
    assert sorted(path.name for path in tmp_path.rglob("blobs/*/*")) == before


def test_a_directory_that_lacks_a_learned_task_is_refused(world: World, tmp_path: Path) -> None:
    begun("portfolio", world, tmp_path, tasks=1)
    again = METHODS["portfolio"].begin(world, SETTINGS, tmp_path)
    with pytest.raises(NotFound, match="kitchen"):
        again.restore({}, 2)


def test_before_its_first_task_it_cannot_be_asked(world: World, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no task yet"):
        begun("portfolio", world, tmp_path).answer(0, "test")


def test_it_keeps_no_text_and_says_what_it_keeps(world: World, tmp_path: Path, tiny_base: Base) -> None:
    contestant = begun("portfolio", world, tmp_path)
    assert contestant.keeps().parameters == contestant.keeps().numbers == 0
    contestant.learn(0)
    one = contestant.keeps()
    contestant.learn(1)
    two = contestant.keeps()
    portfolio = Portfolio.open(tmp_path / "portfolio", base=tiny_base)
    assert two.parameters == sum(adapter.parameters for adapter in portfolio.snapshot().adapters) == 2 * one.parameters
    assert one.numbers < two.numbers < 2 * one.numbers  # the sums over all tasks are kept once
    assert two.texts == 0


def test_where_two_tasks_contradict_each_other_fine_tuning_forgets_and_an_own_adapter_does_not(
    conflict: World, tmp_path: Path
) -> None:
    labels = conflict.tasks[0].test.labels.numpy()
    given = {}
    for name in ("sequential-full", "sequential-adapter", "portfolio"):
        (tmp_path / name).mkdir()
        contestant = begun(name, conflict, tmp_path / name, tasks=1)
        before = contestant.answer(0, "test").given
        contestant.learn(1)
        given[name] = (before, contestant.answer(0, "test").given)
    for before, _ in given.values():
        assert (before == labels).mean() >= 0.85
    for name in ("sequential-full", "sequential-adapter"):
        assert (given[name][1] == labels).mean() <= 0.15
    assert np.array_equal(*given["portfolio"])
