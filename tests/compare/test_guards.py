"""What each reference does against forgetting, held against the equations of its paper written out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from portfolio.compare.budget import Budget
from portfolio.compare.contestant import Settings
from portfolio.compare.in_turn import answers_of
from portfolio.compare.loop import Lesson, lesson_of, masked, plain_loss, train
from portfolio.compare.methods import ewc, lwf, o_lora, replay
from portfolio.compare.methods.ewc import OnlineEwc, diagonal_fisher
from portfolio.compare.methods.lwf import Distillation
from portfolio.compare.methods.o_lora import OrthogonalLoras
from portfolio.compare.methods.replay import Replay
from portfolio.compare.prepare import world_of
from portfolio.compare.trainee import Trainee, copied_tensors, logits_of_all
from portfolio.compare.world import World
from portfolio.errors import TrainingDiverged
from portfolio.hosting.base import Base
from portfolio.hosting.host import Host
from portfolio.hosting.trunk import Prepared
from portfolio.methods.lora import LoraConfig
from portfolio.tasks.sequences import Sequence as TaskSequence

SETTINGS = Settings(rate=0.05, epochs=3, batch_size=8, seed=0)
ROWS = [0, 3, 5]


class Linear:
    """A head alone on the frozen features, so that every gradient can be written down."""

    def __init__(self, world: World) -> None:
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.randn(len(world.labels), world.host.feature_width, generator=generator).requires_grad_()
        self.bias = torch.zeros(len(world.labels), requires_grad=True)

    def tensors(self) -> Mapping[str, Tensor]:
        return {"weight": self.weight, "bias": self.bias}

    def logits(self, prepared: Prepared, rows: Sequence[int], *, training: bool) -> Tensor:
        return prepared.features[list(rows)] @ self.weight.T + self.bias


@pytest.fixture(scope="module")
def world(tiny_base: Base, toy_sequence: TaskSequence) -> Iterator[World]:
    host = Host(tiny_base, trunk=2)
    yield world_of(host, 32, toy_sequence, Budget(per_class=None, epochs=1, trials=1), seed=0)
    host.detach()


@pytest.fixture
def trainee(world: World) -> Linear:
    return Linear(world)


@pytest.fixture
def lesson(world: World) -> Callable[[int], Lesson]:
    """`lesson(NUMBER)`"""
    return lambda number: lesson_of(world, number, SETTINGS)


def cross_entropy(logits: Tensor, labels: Tensor, known: Sequence[int]) -> float:
    """The mean over rows of −log P(y | x) among the known classes, row by row."""
    chances = [torch.softmax(row[list(known)], dim=0) for row in logits.detach().double()]
    each = [-chance[list(known).index(int(y))].log() for chance, y in zip(chances, labels, strict=True)]
    return float(sum(each) / len(each))


def test_the_loss_is_among_the_known_classes_alone(trainee: Linear, lesson: Callable[[int], Lesson]) -> None:
    second = lesson(1)
    loss = plain_loss(trainee, second)(ROWS)
    logits = trainee.logits(second.rows.prepared, ROWS, training=True)
    assert loss.item() == pytest.approx(cross_entropy(logits, second.rows.labels[ROWS], second.known), rel=1e-5)
    loss.backward()
    unknown = [number for number in range(6) if number not in second.known]
    assert unknown and trainee.weight.grad is not None
    assert not trainee.weight.grad[unknown].any() and trainee.weight.grad[list(second.known)].any()


def test_a_class_that_is_not_known_yet_is_no_answer_unless_the_task_is_told(trainee: Linear, world: World) -> None:
    with torch.no_grad():
        trainee.bias += torch.tensor([0.0, 0.0, 0.0, 0.0, 100.0, 200.0])
    said = answers_of(trainee, world, learned=2, number=2, split="test")
    assert set(said.free) <= set(world.known_classes(2)) == {0, 1, 2, 3}
    assert set(said.given) == {5}


def test_training_makes_the_loss_smaller_and_a_loss_that_is_not_a_number_is_told(
    trainee: Linear, lesson: Callable[[int], Lesson]
) -> None:
    first = lesson(0)
    everything = range(len(first.rows.prepared))
    before = plain_loss(trainee, first)(everything).item()
    train(trainee, first, plain_loss(trainee, first))
    assert plain_loss(trainee, first)(everything).item() < before / 2
    with pytest.raises(TrainingDiverged, match=r"learning rate 0\.05"):
        train(trainee, first, lambda rows: trainee.weight.sum() * float("nan"))


def test_the_best_epoch_is_kept_where_rows_judge(trainee: Linear, world: World) -> None:
    """The judging rows bear the wrong labels, so that every epoch is worse than the one before."""
    task = world.tasks[0]
    first = lesson_of(world, 0, SETTINGS)
    wrong = replace(task.train, labels=task.classes[0] + task.classes[1] - task.train.labels)
    judged = Linear(world)
    train(judged, first, plain_loss(judged, first), judging=wrong)
    train(trainee, first, plain_loss(trainee, first))
    kept, last = (first.score(logits_of_all(one, task.train.prepared), wrong.labels) for one in (judged, trainee))
    assert kept > last


def test_the_fisher_is_the_mean_square_of_the_gradients_of_drawn_labels(
    trainee: Linear, lesson: Callable[[int], Lesson], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many draws of a label, the mean of squares is the sum over labels of P(y | x) (∂ log P(y | x) / ∂θ)²."""
    first = lesson(0)
    features = first.rows.prepared.features.double()
    chances = torch.softmax(features @ trainee.weight.detach().double()[list(first.known)].T, dim=1)
    expected = torch.zeros(6, features.shape[1], dtype=torch.float64)
    for x, chance in zip(features, chances, strict=True):
        for label in range(2):
            for row, number in enumerate(first.known):
                gradient = (float(row == label) - chance[row]) * x
                expected[number] += chance[label] * gradient.square() / len(features)
    draws = []
    for seed in range(60):
        seeded = replace(first, settings=replace(SETTINGS, seed=seed))
        draws.append(diagonal_fisher(trainee, seeded)["weight"].double())
    got = torch.stack(draws).mean(0)
    assert not got[[n for n in range(6) if n not in first.known]].any()
    assert torch.nn.functional.cosine_similarity(got.flatten(), expected.flatten(), dim=0) > 0.99
    assert float(got.sum() / expected.sum()) == pytest.approx(1, abs=0.1)


def test_ewc_holds_what_mattered_near_where_it_was(
    trainee: Linear, world: World, lesson: Callable[[int], Lesson]
) -> None:
    guard = OnlineEwc(world)
    guard.end(trainee, lesson(0))
    first, anchor = diagonal_fisher(trainee, lesson(0)), copied_tensors(trainee)
    with torch.no_grad():
        trainee.weight += 0.1
    guard.end(trainee, lesson(1))
    second, later = diagonal_fisher(trainee, lesson(1)), copied_tensors(trainee)
    with torch.no_grad():
        trainee.weight += torch.linspace(-0.3, 0.3, trainee.weight.numel()).view_as(trainee.weight)
        trainee.bias -= 0.2
    expected = 0.0
    for name, tensor in copied_tensors(trainee).items():
        importance = ewc.DECAY * first[name] + second[name]
        for f, now, before in zip(importance.flatten(), tensor.flatten(), later[name].flatten(), strict=True):
            expected += ewc.STRENGTH / 2 * float(f) * (float(now) - float(before)) ** 2
    assert not torch.equal(anchor["weight"], later["weight"])
    assert guard.penalty(trainee.tensors()).item() == pytest.approx(expected, rel=1e-4)
    third = lesson(2)
    whole, plain = guard.loss(trainee, third)(ROWS), plain_loss(trainee, third)(ROWS)
    assert whole.item() - plain.item() == pytest.approx(expected, rel=1e-3)


def test_lwf_keeps_the_earlier_classes_apart_as_they_were(
    trainee: Linear, world: World, lesson: Callable[[int], Lesson]
) -> None:
    third = lesson(2)
    loss = Distillation(world).loss(trainee, third)
    before = trainee.logits(third.rows.prepared, ROWS, training=False).detach()[:, list(third.earlier)]
    with torch.no_grad():
        trainee.weight += torch.linspace(-1, 1, trainee.weight.numel()).view_as(trainee.weight)
    logits = trainee.logits(third.rows.prepared, ROWS, training=True).detach()
    expected = 0.0
    for old, now in zip(before, logits[:, list(third.earlier)], strict=True):
        p, q = torch.softmax(old / lwf.TEMPERATURE, dim=0), torch.softmax(now / lwf.TEMPERATURE, dim=0)
        expected -= lwf.STRENGTH * sum(float(a) * float(b.log()) for a, b in zip(p, q, strict=True)) / len(ROWS)
    new = cross_entropy(logits, third.rows.labels[ROWS], third.known)
    assert loss(ROWS).item() == pytest.approx(new + expected, rel=1e-4)


def test_lwf_and_replay_begin_as_plain_training(trainee: Linear, world: World, lesson: Callable[[int], Lesson]) -> None:
    first = lesson(0)
    plain = plain_loss(trainee, first)(ROWS)
    for guard in (Distillation(world), Replay(world), OnlineEwc(world)):
        assert torch.equal(guard.loss(trainee, first)(ROWS), plain)


def test_replay_mixes_every_batch_with_as_many_rows_of_its_memory(
    trainee: Linear, world: World, lesson: Callable[[int], Lesson], monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = Replay(world)
    guard.end(trainee, lesson(0))
    kept = [row for task, row in guard.state()["memory"].tolist()]
    asked: list[Tensor] = []
    logits_of = trainee.logits

    def watched(prepared: Prepared, rows: Sequence[int], *, training: bool) -> Tensor:
        asked.append(prepared.features[list(rows)])
        return logits_of(prepared, rows, training=training)

    monkeypatch.setattr(trainee, "logits", watched)
    second = lesson(1)
    loss = guard.loss(trainee, second)(ROWS)
    new, old = asked
    first = world.tasks[0].train
    places = [int((first.prepared.features - row).abs().sum(1).argmin()) for row in old]
    assert len(set(places)) == len(ROWS) and set(places) <= set(kept)
    logits = torch.cat([new, old]) @ trainee.weight.T
    labels = torch.cat([second.rows.labels[ROWS], first.labels[places]])
    assert loss.item() == pytest.approx(cross_entropy(logits, labels, second.known), rel=1e-5)


def test_the_memory_holds_every_row_seen_with_the_same_chance(trainee: Linear, world: World) -> None:
    size, rows = replay.ROWS_PER_CLASS * 6, len(world.tasks[0].train.prepared)
    counts = np.zeros((3, rows))
    for seed in range(200):
        guard = Replay(world)
        for number in range(3):
            guard.end(trainee, lesson_of(world, number, replace(SETTINGS, seed=seed)))
        memory = guard.state()["memory"].tolist()
        assert len({tuple(one) for one in memory}) == size == guard.keeps().texts
        for task, row in memory:
            counts[task, row] += 1
    chance = size / (3 * rows)
    assert counts.mean(axis=1) / 200 == pytest.approx([chance] * 3, abs=0.02)
    assert abs(counts / 200 - chance).max() < 5 * (chance * (1 - chance) / 200) ** 0.5


@pytest.fixture
def loras(world: World) -> OrthogonalLoras:
    """With the LoRAs of two tasks, the second trained."""
    made = OrthogonalLoras(world, SETTINGS, LoraConfig(rank=2))
    for number in range(2):
        one = lesson_of(world, number, replace(SETTINGS, epochs=1, rate=1e-2))
        train(made, one, made.loss(made, one))
    return made


def test_o_lora_asks_new_directions_to_be_at_right_angles_to_all_earlier_ones(
    loras: OrthogonalLoras, world: World, lesson: Callable[[int], Lesson]
) -> None:
    first = {name: tensor for name, tensor in loras.state().items() if name.endswith(".down")}
    second = {name: tensor.clone() for name, tensor in copied_tensors(loras).items() if name.endswith(".down")}
    third = lesson(2)
    loss = loras.loss(loras, third)
    newest = {name: tensor for name, tensor in loras.tensors().items() if name.endswith(".down")}
    expected = 0.0
    for name, a_t in newest.items():
        for a_i in (first[name], second[name]):
            for one in a_i:
                expected += sum(float(one @ other.detach()) ** 2 for other in a_t)
    assert newest and loras.overlap().item() == pytest.approx(expected, rel=1e-4)
    plain = plain_loss(loras, third)(ROWS)
    assert (loss(ROWS) - plain).item() == pytest.approx(o_lora.STRENGTH * expected, rel=1e-3)


def test_a_new_lora_changes_no_answer_before_it_learns_and_no_earlier_one_ever(
    loras: OrthogonalLoras, world: World, lesson: Callable[[int], Lesson]
) -> None:
    prepared = world.tasks[0].test.prepared
    before = loras.logits(prepared, range(8), training=False).detach().clone()
    third = lesson(2)
    loss = loras.loss(loras, third)
    torch.testing.assert_close(loras.logits(prepared, range(8), training=False).detach(), before)
    earlier = {name: tensor.clone() for name, tensor in loras.state().items()}
    train(loras, third, loss)
    assert all(torch.equal(loras.state()[name], tensor) for name, tensor in earlier.items())
    assert not torch.equal(loras.logits(prepared, range(8), training=False), before)


def test_masked_classes_have_no_chance() -> None:
    assert torch.softmax(masked(torch.zeros(1, 4), [1, 3]), dim=1).tolist() == [[0, 0.5, 0, 0.5]]


def test_a_trainee_is_all_that_a_guard_needs(trainee: Linear) -> None:
    held: Trainee = trainee  # held by mypy
    assert list(held.tensors()) == ["weight", "bias"]
