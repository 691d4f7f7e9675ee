"""The world of a comparison: which rows are drawn, how classes are numbered, and what is prepared only once."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from portfolio.compare.budget import Budget
from portfolio.compare.prepare import Worlds, digest_of, draw, labels_of, read_tasks, world_of
from portfolio.hosting.base import Base
from portfolio.hosting.host import Host
from portfolio.tasks.sequences import Sequence, TaskSpec
from portfolio.tasks.splits import Split

SMALL = Budget(per_class=4, epochs=1, trials=1)
WHOLE = Budget(per_class=None, epochs=1, trials=1)


@pytest.fixture
def host(tiny_base: Base) -> Iterator[Host]:
    host = Host(tiny_base, trunk=2)
    yield host
    host.detach()


@pytest.fixture
def worlds(host: Host, toy_sequence: Sequence) -> Callable[..., Worlds]:
    tasks = read_tasks(toy_sequence)

    def made(budget: Budget, keep_bytes: int = 1 << 30) -> Worlds:
        return Worlds(host, 16, tasks, budget, keep_bytes=keep_bytes)

    return made


@given(
    labels=st.lists(st.sampled_from("abc"), min_size=1, max_size=30), wanted=st.integers(1, 8), seed=st.integers(0, 5)
)
def test_each_class_gives_as_many_rows_as_wanted_or_all_it_has_in_their_order(
    labels: list[str], wanted: int, seed: int
) -> None:
    split = Split(texts=tuple(map(str, range(len(labels)))), pairs=None, labels=tuple(labels))
    drawn = draw(split, wanted, str(seed))
    assert Counter(drawn.labels) == {label: min(wanted, count) for label, count in Counter(labels).items()}
    rows = list(map(int, drawn.texts))
    assert rows == sorted(set(rows)) and list(drawn.labels) == [labels[row] for row in rows]
    assert draw(split, wanted, str(seed)) == drawn and draw(split, None, str(seed)) == split


def test_another_seed_draws_other_train_rows_but_the_same_prepared_validation_and_test(
    worlds: Callable[..., Worlds],
) -> None:
    made = worlds(SMALL)
    first = made.of(0)
    other = made.of(1)
    for one, two in zip(first.tasks, other.tasks, strict=True):
        assert one.data.train != two.data.train
        assert Counter(one.data.train.labels) == Counter(two.data.train.labels) == dict.fromkeys(one.data.labels, 4)
        assert one.validation is two.validation and one.test is two.test
    assert [task.data.train for task in made.of(0).tasks] == [task.data.train for task in first.tasks]


@pytest.mark.parametrize("wanted", [1, 4, 6, 1000])
def test_fewer_test_rows_are_rows_of_the_whole_each_class_giving_its_share(toy_sequence: Sequence, wanted: int) -> None:
    for whole, cut in zip(read_tasks(toy_sequence), read_tasks(toy_sequence, wanted), strict=True):
        assert len(cut.test) == min(wanted, len(whole.test))
        assert Counter(zip(cut.test.texts, cut.test.labels, strict=True)) <= Counter(
            zip(whole.test.texts, whole.test.labels, strict=True)
        )
        shares = Counter(whole.test.labels)
        for label, rows in Counter(cut.test.labels).items():
            assert abs(rows - shares[label] * len(cut.test) / len(whole.test)) <= 1
        assert (cut.train, cut.validation) == (whole.train, whole.validation)
        (source,) = (source for source in cut.sources if source.split == "test")
        assert (source.rows, source.sha256) == (len(cut.test), cut.test.digest())


def test_without_a_cut_every_seed_has_the_same_world(worlds: Callable[..., Worlds]) -> None:
    made = worlds(WHOLE)
    assert made.of(0) is made.of(3)
    assert [len(task.data.train) for task in made.of(0).tasks] == [22, 22, 22]  # two of 24 are held out


def test_prepared_rows_carry_the_numbers_of_the_labels_of_their_texts(worlds: Callable[..., Worlds]) -> None:
    world = worlds(SMALL).of(0)
    assert world.labels == ("plant", "tool", "dish", "ware", "ship", "weather")
    assert [task.classes for task in world.tasks] == [(0, 1), (2, 3), (4, 5)]
    for task in world.tasks:
        for split, prepared in ((task.data.train, task.train), (task.data.test, task.test)):
            assert [world.labels[number] for number in prepared.labels.tolist()] == list(split.labels)
            assert len(prepared.prepared) == len(split)


def test_sources_tell_what_was_drawn(worlds: Callable[..., Worlds]) -> None:
    [garden, *_] = worlds(SMALL).of(0).tasks
    train, validation, test = garden.data.sources
    assert (train.rows, train.sha256) == (8, garden.data.train.digest())
    assert (validation.rows, validation.sha256) == (2, garden.data.validation.digest())
    assert test.rows == 8


def test_states_are_kept_only_as_far_as_there_is_room(worlds: Callable[..., Worlds]) -> None:
    def kept(keep_bytes: int) -> list[bool]:
        tasks = worlds(SMALL, keep_bytes).of(0).tasks
        splits = [split for task in tasks for split in (task.validation, task.test, task.train)]
        assert sum(split.prepared.kept_bytes for split in splits) <= keep_bytes
        return [split.prepared.states is not None for split in splits]

    assert all(kept(1 << 30)) and not any(kept(0))
    assert len(set(kept(5_000))) == 2


def test_a_label_that_two_tasks_share_is_one_class(toy_sequence: Sequence) -> None:
    garden, kitchen, _ = read_tasks(toy_sequence)
    sharing = dataclasses.replace(kitchen, labels=("dish", "plant"))
    assert labels_of([garden, sharing]) == ("plant", "tool", "dish")


def test_the_digest_knows_the_order_and_the_rows_of_the_tasks(toy_sequence: Sequence) -> None:
    garden, kitchen, harbour = read_tasks(toy_sequence)
    cut = dataclasses.replace(harbour, sources=tuple(dataclasses.replace(s, sha256="0" * 64) for s in harbour.sources))
    digests = {digest_of(tasks) for tasks in ([garden, kitchen], [kitchen, garden], [garden, harbour], [garden, cut])}
    assert len(digests) == 4 and digest_of([garden, kitchen]) in digests


def test_only_the_labels_that_a_task_names_are_read(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "letters.jsonl"
    rows = [json.dumps({"text": f"rose {number}", "label": "abc"[number % 3]}) for number in range(60)]
    path.write_text("\n".join(rows))
    spec = TaskSpec(name="letters", train=str(path), labels=("c", "a"))
    world = world_of(host, 16, Sequence(name="one", seed=0, tasks=(spec,)), WHOLE, 0)
    assert world.labels == ("a", "c") and torch.equal(world.tasks[0].test.labels.unique(), torch.tensor([0, 1]))
