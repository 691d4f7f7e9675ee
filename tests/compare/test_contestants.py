"""Every method on three toy tasks: it learns, repeats itself, goes on after an interruption, and leaves the base alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from portfolio.compare.budget import Budget
from portfolio.compare.contestant import Answers, Contestant, Keeps, Settings
from portfolio.compare.methods import joint_full
from portfolio.compare.prepare import world_of
from portfolio.compare.table import METHODS, SAME_RUN
from portfolio.compare.world import World
from portfolio.hosting.base import Base, fingerprint
from portfolio.hosting.host import Host
from portfolio.tasks.sequences import Sequence, TaskSpec

FLOOR = ("frozen-means", "frozen-whitened")
RUN = [name for name in METHODS if name not in SAME_RUN]
IN_TURN = [name for name in RUN if not METHODS[name].is_joint]
JOINT = [name for name in RUN if METHODS[name].is_joint]
TRAINED = [name for name in RUN if name not in FLOOR]
TASKS = ("garden", "kitchen", "harbour")
LAST = len(TASKS) - 1


@pytest.fixture(scope="module")
def world(tiny_base: Base, toy_files: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three tasks of two classes; words of 36 train rows and 20 test rows tell them apart."""
    folder, specs = tmp_path_factory.mktemp("contestants"), []
    for name in TASKS:
        files = toy_files(folder, name, train_rows=40, test_rows=20)
        specs.append(TaskSpec(name=name, train=str(files.train), test=str(files.test)))
    host = Host(tiny_base, trunk=2)
    sequence = Sequence(name="toys", seed=0, tasks=tuple(specs))
    yield world_of(host, 32, sequence, Budget(per_class=None, epochs=1, trials=1), seed=0)
    host.detach()


@dataclass(frozen=True, kw_only=True)
class Step:
    """A contestant after one task."""

    answers: Mapping[tuple[str, int], Answers]
    keeps: Keeps
    state: Mapping[str, Tensor]
    files: frozenset[str]  # in its directory, by name: blobs are named after what is in them


def begun(name: str, world: World, directory: Path, seed: int = 0) -> Contestant:
    rates = METHODS[name].rates
    settings = Settings(rate=rates[0] if rates else 0.0, epochs=4, batch_size=8, seed=seed)
    return METHODS[name].begin(world, settings, directory)


def learned(contestant: Contestant, world: World, directory: Path, number: int) -> Step:
    contestant.learn(number)
    return seen(contestant, world, directory)


def seen(contestant: Contestant, world: World, directory: Path) -> Step:
    cells = [(split, number) for split in ("validation", "test") for number in range(len(TASKS))]
    return Step(
        answers={cell: contestant.answer(cell[1], cell[0]) for cell in cells},
        keeps=contestant.keeps(),
        state={name: tensor.to("cpu", copy=True) for name, tensor in contestant.state().items()},
        files=frozenset(path.name for path in directory.rglob("blobs/*/*")),
    )


def require_same(one: Step, other: Step) -> None:
    """Nothing, if both are equal bit for bit."""
    for cell, answers in one.answers.items():
        assert np.array_equal(answers.free, other.answers[cell].free), cell
        assert np.array_equal(answers.given, other.answers[cell].given), cell
    assert one.keeps == other.keeps
    assert list(one.state) == list(other.state)
    assert all(np.array_equal(tensor.numpy(), other.state[name].numpy()) for name, tensor in one.state.items())


def accuracy(world: World, step: Step, number: int, reading: str) -> float:
    labels = world.tasks[number].test.labels.numpy()
    return float((getattr(step.answers["test", number], reading) == labels).mean())


RunOf = Callable[[str], Mapping[int, Step]]


@pytest.fixture(scope="module")
def run_of(world: World, tmp_path_factory: pytest.TempPathFactory) -> RunOf:
    """`run_of(NAME)`: a method that learned without interruption, after each task; made once."""
    made: dict[str, Mapping[int, Step]] = {}

    def run(name: str) -> Mapping[int, Step]:
        if name not in made:
            directory = tmp_path_factory.mktemp(name)
            contestant = begun(name, world, directory)
            numbers = [LAST] if METHODS[name].is_joint else range(len(TASKS))
            made[name] = {number: learned(contestant, world, directory, number) for number in numbers}
        return made[name]

    return run


@pytest.mark.parametrize("name", RUN)
def test_a_method_learns(name: str, world: World, run_of: RunOf) -> None:
    number, step = min(run_of(name).items())
    assert accuracy(world, step, number, "given") >= 0.75  # one of two
    assert accuracy(world, step, number, "free") >= 0.75


@pytest.mark.parametrize("name", [name for name in RUN if not name.startswith("ewc")])  # which may hold on too fast
def test_a_method_still_learns_after_other_tasks(name: str, world: World, run_of: RunOf) -> None:
    step = run_of(name)[LAST]
    assert accuracy(world, step, LAST, "given") >= 0.75
    assert accuracy(world, step, LAST, "free") >= 0.7  # one of six


@pytest.mark.parametrize("name", ["frozen-whitened", "portfolio", *JOINT])
def test_what_should_not_forget_knows_all_tasks_in_the_end(name: str, world: World, run_of: RunOf) -> None:
    step = run_of(name)[LAST]
    assert min(accuracy(world, step, number, "free") for number in range(len(TASKS))) >= 0.75


@pytest.mark.parametrize("name", ["sequential-full", "sequential-adapter"])
def test_plain_fine_tuning_forgets_and_replay_less(name: str, world: World, run_of: RunOf) -> None:
    replay = {"sequential-full": "replay-full", "sequential-adapter": "replay"}[name]
    plain, with_memory = (
        np.mean([accuracy(world, run_of(one)[LAST], number, "free") for number in range(LAST)])
        for one in (name, replay)
    )
    assert plain <= 0.25 and with_memory >= plain + 0.2


@pytest.mark.parametrize("name", RUN)
def test_free_answers_are_classes_known_by_then_and_given_ones_the_tasks_own(
    name: str, world: World, run_of: RunOf
) -> None:
    for number, step in run_of(name).items():
        known = world.known_classes(number + 1)
        for (_, task), said in step.answers.items():
            assert set(said.free) <= set(known)
            assert set(said.given) <= set(world.tasks[task].classes)


@pytest.mark.parametrize("name", IN_TURN)
def test_the_same_seed_gives_the_same_bits_also_across_an_interruption(
    name: str, world: World, run_of: RunOf, tmp_path: Path
) -> None:
    first = begun(name, world, tmp_path)
    for number in range(LAST):
        first.learn(number)
    state = {key: tensor.clone() for key, tensor in first.state().items()}
    second = begun(name, world, tmp_path)
    second.restore(state, LAST)
    require_same(seen(second, world, tmp_path), run_of(name)[LAST - 1])
    require_same(learned(second, world, tmp_path, LAST), run_of(name)[LAST])


@pytest.mark.parametrize("name", JOINT)
def test_a_joint_method_repeats_itself_and_answers_from_its_state_alone(
    name: str, world: World, run_of: RunOf, tmp_path: Path
) -> None:
    first = begun(name, world, tmp_path)
    first.learn(LAST)
    second = begun(name, world, tmp_path)
    second.restore(first.state(), len(TASKS))
    require_same(seen(second, world, tmp_path), run_of(name)[LAST])


def test_joint_training_of_all_weights_begins_with_what_the_frozen_features_say(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joint_full, "train", lambda *lesson: None)
    step = learned(begun("joint-full", world, tmp_path), world, tmp_path, LAST)
    assert np.mean([accuracy(world, step, number, "free") for number in range(len(TASKS))]) >= 0.75  # one of six


@pytest.mark.parametrize("name", TRAINED)
def test_another_seed_is_another_run(name: str, world: World, run_of: RunOf, tmp_path: Path) -> None:
    """Otherwise an interval over seeds would say nothing."""
    number, before = min(run_of(name).items())
    other = learned(begun(name, world, tmp_path, seed=1), world, tmp_path, number)
    differ = [not np.array_equal(tensor.numpy(), other.state[key].numpy()) for key, tensor in before.state.items()]
    assert any(differ) if differ else not other.files <= run_of(name)[LAST].files


@pytest.mark.parametrize("name", RUN)
def test_no_method_changes_the_base(name: str, world: World, run_of: RunOf) -> None:
    run_of(name)
    base = world.host.base
    assert fingerprint(base.model, base.tokenizer) == base.fingerprint
    assert not base.model.training and not any(weight.requires_grad for weight in base.model.parameters())
    assert all(weight.grad is None for weight in base.model.parameters())


@pytest.mark.parametrize(("one", "other"), [("replay", "sequential-adapter"), ("lwf-full", "sequential-full")])
def test_methods_differ_from_the_second_task_on(one: str, other: str, run_of: RunOf) -> None:
    for number, is_same in ((0, True), (1, False)):
        weights = [
            {key: tensor for key, tensor in run_of(name)[number].state.items() if key.startswith("trainee ")}
            for name in (one, other)
        ]
        assert is_same == all(np.array_equal(t.numpy(), weights[1][key].numpy()) for key, t in weights[0].items())


def test_what_is_kept_is_counted(world: World, run_of: RunOf) -> None:
    adapter = run_of("sequential-adapter")[LAST].keeps
    base = sum(weight.numel() for weight in world.host.base.model.parameters())
    head = len(world.labels) * (world.host.feature_width + 1)
    assert run_of("sequential-full")[LAST].keeps == Keeps(parameters=base + head, numbers=0, texts=0)
    assert run_of("ewc")[LAST].keeps == replace(adapter, numbers=2 * adapter.parameters)
    assert run_of("replay")[LAST].keeps == replace(adapter, texts=18)
    assert run_of("lwf")[LAST].keeps == run_of("joint-adapter")[LAST].keeps == adapter
    loras = [step.keeps.parameters - head for step in run_of("o-lora").values()]
    assert loras == [loras[0], 2 * loras[0], 3 * loras[0]]
    assert run_of("frozen-means")[LAST].keeps.parameters == len(world.labels) * world.host.feature_width


def test_every_trained_method_is_given_the_same_number_of_rates() -> None:
    assert {len(METHODS[name].rates) for name in METHODS if name not in FLOOR} == {3}
    assert {METHODS[name].rates for name in FLOOR} == {()}


def test_the_table_names_each_method_as_it_calls_itself_and_shares_runs_of_equal_training() -> None:
    assert all(name == method.name for name, method in METHODS.items())
    for name, of in SAME_RUN.items():
        assert METHODS[name].begin is METHODS[of].begin and METHODS[name].rates == METHODS[of].rates
        assert METHODS[name].knows_task and not METHODS[of].knows_task
