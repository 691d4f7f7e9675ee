"""Real processes that grow one portfolio: at once, and killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MOMENTS = ("preparing", "learning", "put 1", "put 2", "put 3", "put 4", "put 5", "commit", "committed")


@pytest.fixture(scope="module")
def grow(tiny_base_dir):
    """Have other processes add tasks to a portfolio: their exit statuses."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE.parents[1]),
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    with subprocess.Popen(
        [sys.executable, str(HERE / "growing_process.py"), str(tiny_base_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout.readline() == "ready\n"

        def order(portfolio, *adds):
            process.stdin.write(json.dumps({"portfolio": str(portfolio.path), "adds": adds}) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield order
        process.stdin.close()


def task(name, files, dies_at=None):
    return {"name": name, "train": str(files.train), "test": str(files.test), "dies_at": dies_at}


def test_processes_that_add_tasks_at_once_all_succeed(empty, files_of, grow):
    """All are learned at once; each commits against what the others committed before."""
    names = ("garden", "kitchen", "harbour")
    assert grow(empty, *(task(name, files_of(name)) for name in names)) == [0, 0, 0]
    snapshot = empty.snapshot()
    order = [one.name for one in snapshot.tasks]
    assert sorted(order) == sorted(names)
    assert snapshot.generation == 3
    cells = {(cell.step, cell.task) for cell in snapshot.cells}
    assert cells == {(step, name) for number, name in enumerate(order) for step in order[number:]}
    assert not any(fault.is_damage for fault in empty.verify())
    before = snapshot.cells
    empty.evaluate()  # finds the last row as it was written
    assert empty.snapshot().cells == before
    assert {answer.task for answer in empty.predict(["rose fern", "soup pie", "ferry tug"], abstain=False)} == set(
        names
    )


def test_of_processes_that_add_one_name_at_once_one_succeeds(empty, files_of, grow):
    files = files_of("garden")
    statuses = grow(empty, task("garden", files), task("garden", files))
    assert sorted(statuses) == [0, 3]
    assert [one.name for one in empty.tasks()] == ["garden"]
    assert not any(fault.is_damage for fault in empty.verify())


def test_a_process_killed_while_it_adds_leaves_whole_tasks_only(grown, opened, files_of, grow, examples_in):
    files = files_of(
        "music", {"voice": ("opera", "choir", "flute"), "band": ("drum", "banjo", "violin")}, train_rows=8, test_rows=3
    )
    before, texts = grown.snapshot(), examples_in(files.test)[0]
    answers = grown.predict(texts)
    for moment in MOMENTS:
        assert grow(grown, task("music", files, dies_at=moment)) == [-signal.SIGKILL], moment
        again = opened(grown.path)
        assert not any(fault.is_damage for fault in again.verify()), moment
        if moment != "committed":
            assert again.snapshot() == before, moment
            assert again.predict(texts) == answers, moment
    assert [one.name for one in again.tasks()] == ["garden", "kitchen", "harbour", "music"]
    assert {answer.task for answer in again.predict(texts, abstain=False)} == {"music"}
    stored = again.snapshot().cells
    again.evaluate()
    assert again.snapshot().cells == stored
