"""A killed process leaves the old state or the new one, of whole tasks only."""

from __future__ import annotations

import itertools
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from portfolio.errors import NotFound
from portfolio.store.store import Store

Start = Callable[..., "subprocess.Popen[str]"]

KILLS = 20
FUSING_KILLS = 10


def test_a_process_killed_at_random_moments_leaves_whole_tasks_only(
    store: Store, synthetic: ModuleType, start: Start
) -> None:
    """What was acknowledged is there; of the change after it, all or nothing."""
    chance = random.Random(5)
    known: list[str] = []
    for number in range(KILLS):
        process = start("forever", store.path, f"round{number}-")
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(1 + number % 3)]  # `ready` and some changes
        with pytest.raises(subprocess.TimeoutExpired):  # it would go on for ever
            process.wait(timeout=chance.uniform(0, 0.05))
        process.kill()
        lines = [*lines, *process.stdout.read().split()][1:]

        opened = Store.open(store.path)
        found = synthetic.whole_tasks(opened)
        assert found in [_after(known, lines), _after(known, [*lines, _next(lines, f"round{number}-")])]
        assert synthetic.damage_found(opened) == []
        known = found
    synthetic.add_task(store, "after-all")
    assert synthetic.whole_tasks(store) == [*known, "after-all"]


def test_a_process_killed_over_fusions_leaves_both_versions_or_none(
    two_tasks: Store, synthetic: ModuleType, start: Start
) -> None:
    """Its members, its comparison and its attention are there with it, which `whole_tasks` checks."""
    chance = random.Random(7)
    for number in range(FUSING_KILLS):
        process = start("fuse", two_tasks.path, f"round{number}-")
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(1 + number % 3)]
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=chance.uniform(0, 0.05))
        process.kill()
        done = len([*lines, *process.stdout.read().split()]) - 1
        opened = Store.open(two_tasks.path)
        found = synthetic.whole_tasks(opened)
        assert done >= number % 3
        assert found in (["first", "second"], ["first", "second", f"round{number}-fusion{done // 2}"])
        assert synthetic.damage_found(opened) == []
        if len(found) > 2:
            synthetic.remove_task(two_tasks, found[2])


def _after(names: list[str], lines: list[str]) -> list[str]:
    """The tasks after the acknowledged changes, such as `+a`, `+b`, `-a`."""
    names = list(names)
    for line in lines:
        if line.startswith("+"):
            names.append(line[1:])
        else:
            names.remove(line[1:])
    return names


def _next(lines: list[str], prefix: str) -> str:
    """The change that the process makes after these: +0 +1 +2 -0 +3 -1 +4 -2 …"""
    changes = itertools.chain(
        (f"+{prefix}0", f"+{prefix}1"),
        (change for number in itertools.count(2) for change in (f"+{prefix}{number}", f"-{prefix}{number - 2}")),
    )
    return next(itertools.islice(changes, len(lines), None))


def test_a_process_that_dies_at_any_of_its_file_operations_leaves_nothing_or_a_whole_portfolio(
    tmp_path: Path, synthetic: ModuleType, start: Start
) -> None:
    """Operations on files are numbered; every third one is tried, from making the directory to the last blob."""
    states = []
    for at in itertools.count(1, 3):
        directory = tmp_path / f"died-at-{at}"
        process = start("die", directory, at)
        said, complaint = process.communicate(timeout=60)
        assert complaint == ""
        try:
            opened = Store.open(directory)
        except NotFound:
            states.append("nothing")
            opened = Store.create(directory, synthetic.CONTRACT)  # what was left does not stand in the way
        else:
            states.append("portfolio")
        whole = synthetic.whole_tasks(opened)
        assert synthetic.damage_found(opened) == []
        assert whole == (["only"] if said else [])
        if said:
            break
        synthetic.add_task(opened, "only")
        assert synthetic.whole_tasks(opened) == ["only"]
    assert states == sorted(states)  # first nothing, then a portfolio
    assert len(set(states)) == 2
    assert len(states) > 10
