"""What is kept of a contest on disk: it comes back as it was, without torch, and what is torn is named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portfolio.compare.results import (
    load_contest,
    open_contest,
    read_notes,
    read_step,
    read_sweep,
    run_directory,
    write_entry,
    write_notes,
    write_step,
    write_sweep,
)
from portfolio.errors import ConfigError, DamagedBlob, NotFound
from portfolio.reports.runs import Entry, Order, RunNotes, Step, Sweep, Terms

TRUTH = {"a": np.array([0, 1, 1], np.int32), "b": np.array([2, -1], np.int32)}


def terms(**changed: Any) -> Terms:
    fields: dict[str, Any] = {
        "sequence": "letters",
        "digest": "d" * 64,
        "base": "tiny",
        "fingerprint": "f" * 64,
        "per_class": None,
        "epochs": 2,
        "trials": 1,
        "orders": (Order(name="written", tasks=("a", "b")),),
        "seeds": (0,),
        "versions": (("torch", "2"),),
    }
    return Terms(**{**fields, **changed})


def entry(name: str, **changed: Any) -> Entry:
    return Entry(**{"name": name, "words": name, "source": "a test", "is_joint": False, "knows_task": False, **changed})


def step(tasks: int) -> Step:
    free = {task: TRUTH["ab"[task]] + task for task in range(tasks)}
    given = {task: TRUTH["ab"[task]] for task in range(tasks)}
    return Step(free=free, given=given, seconds=1.5, peak_bytes=None, parameters=3, numbers=4, texts=5)


def notes(**changed: Any) -> RunNotes:
    fields: dict[str, Any] = {"rate": 0.1, "seconds": (1.5, 1.5), "peak_bytes": None, "parameters": 3, "numbers": 4}
    return RunNotes(**{**fields, "texts": 5, "validation_score": 0.5, **changed})


def whole_run(directory: Path, method: str = "one") -> Path:
    run = run_directory(directory, method, "written", 0)
    run.mkdir(parents=True)
    for number in range(2):
        write_step(run, number, step(number + 1))
    write_notes(run, notes())
    return run


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A contest of one method with one whole run."""
    open_contest(tmp_path, terms(), TRUTH, ("x", "y", "z"))
    write_entry(tmp_path, entry("one"))
    whole_run(tmp_path)
    return tmp_path


def test_a_contest_comes_back_as_it_was(directory: Path) -> None:
    sweep = Sweep(rates=(0.1, 0.2), scores=(0.5, None), chosen=0.1)
    write_sweep(directory, "one", sweep)
    contest = load_contest(directory)
    assert contest.terms == terms() and contest.entries == (entry("one"),) and contest.faults == ()
    assert contest.sweeps == {"one": sweep} and read_sweep(directory, "one") == sweep
    assert {task: rows.tolist() for task, rows in contest.truth.items()} == {"a": [0, 1, 1], "b": [2, -1]}
    [run] = contest.runs
    assert (run.method, run.order.name, run.seed, run.notes) == ("one", "written", 0, notes())
    assert run.steps[1].free[1].tolist() == [3, 0] and run.steps[1].given[1].tolist() == [2, -1]
    assert sorted(run.steps[0].free) == [0]
    assert (run.steps[0].seconds, run.steps[0].peak_bytes, run.steps[0].texts) == (1.5, None, 5)


def test_no_texts_of_rows_are_kept_but_the_names_of_the_classes(directory: Path) -> None:
    assert b'[\\"x\\", \\"y\\", \\"z\\"]' in (directory / "truth.safetensors").read_bytes()


def test_it_is_read_without_torch(directory: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from portfolio.compare.results import load_contest; "
        "assert len(load_contest(Path(sys.argv[1])).runs) == 1; assert 'torch' not in sys.modules"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script, str(directory)], check=True, cwd=root)


def test_going_on_with_the_same_is_no_fault_and_mends_the_truth(directory: Path) -> None:
    (directory / "truth.safetensors").unlink()
    with pytest.raises(DamagedBlob, match="truth.safetensors"):
        load_contest(directory)
    open_contest(directory, terms(), TRUTH, ("x", "y", "z"))
    assert len(load_contest(directory).runs) == 1


def test_all_that_differs_is_named_and_nothing_is_written(directory: Path) -> None:
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=r"epochs 2, now 3; seeds \(0,\), now \(1, 2\)"):
        open_contest(directory, terms(epochs=3, seeds=(1, 2)), {}, ())
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == before


def test_a_torn_step_leaves_its_run_out_and_is_named(directory: Path) -> None:
    path = run_directory(directory, "one", "written", 0) / "task-1.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    contest = load_contest(directory)
    assert contest.runs == ()
    [fault] = contest.faults
    assert str(path) in fault


@pytest.mark.parametrize("content", ["", "{", "[]", '{"rate": 1}', '"text"', "null"])
def test_notes_that_are_none_count_as_a_run_that_is_not_done(directory: Path, content: str) -> None:
    run = run_directory(directory, "one", "written", 0)
    (run / "run.json").write_text(content)
    assert read_notes(run) is None and load_contest(directory).runs == ()


def test_a_joint_run_needs_its_last_step_alone(directory: Path) -> None:
    write_entry(directory, entry("all", is_joint=True))
    run = whole_run(directory, "all")
    (run / "task-0.safetensors").unlink()
    assert [sorted(run.steps) for run in load_contest(directory).runs if run.method == "all"] == [[1]]


def test_a_diverged_run_needs_no_steps(directory: Path) -> None:
    write_entry(directory, entry("wild"))
    run = run_directory(directory, "wild", "written", 0)
    run.mkdir(parents=True)
    write_notes(run, notes(diverged="the loss is NaN", seconds=()))
    [wild] = [run for run in load_contest(directory).runs if run.method == "wild"]
    assert wild.steps == {} and wild.notes.diverged == "the loss is NaN"


def test_a_method_may_read_the_runs_of_another(directory: Path) -> None:
    write_entry(directory, entry("told", knows_task=True, same_run="one"))
    runs = {run.method: run for run in load_contest(directory).runs}
    assert runs["told"].steps[1].given[0].tolist() == runs["one"].steps[1].given[0].tolist()


def test_where_there_is_no_contest_the_command_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="portfolio compare SEQUENCE"):
        load_contest(tmp_path)


@pytest.mark.parametrize("content", ["{", "[1]", json.dumps({"orders": 3})])
def test_damaged_terms_are_named(directory: Path, content: str) -> None:
    (directory / "contest.json").write_text(content)
    with pytest.raises(DamagedBlob, match="contest.json is damaged"):
        load_contest(directory)


def test_a_step_that_was_never_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(DamagedBlob, match="task-4.safetensors"):
        read_step(tmp_path, 4)
