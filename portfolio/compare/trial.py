"""One method, order and seed, task by task; it can be interrupted after any task and goes on from there.

After each task the answers to the test rows of all tasks learned so far are written, then the contestant's state, so
that a state never stands without the answers before it. When the run is done, its answers and costs stay, and the state
goes.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from portfolio.compare.contestant import Contestant, Method, Settings
from portfolio.compare.memory import watched_peak
from portfolio.compare.results import make_directory, metadata, read_run, read_step, steps_of, write_notes, write_step
from portfolio.compare.world import World
from portfolio.errors import DamagedBlob, TrainingDiverged
from portfolio.reports.output import write_output
from portfolio.reports.runs import RunNotes, Step

_STATE, _OWN = "state.safetensors", "own"
_LARGE = 10_000_000  # parameters that are worth a search for what can be freed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Watcher:
    """What is told of trials as they go, and how their time is taken."""

    say: Callable[[str], None]  # something a user should know
    step: Callable[[int, float], None]  # after each step: number of its task, seconds of learning and answering
    clock: Callable[[], float]


def finished(method: Method, run: Path, tasks: int, say: Callable[[str], None]) -> RunNotes | None:
    """How a run ended; None where it did not, or where it must be done again, which is said."""
    try:
        found = read_run(run, method.is_joint, tasks)
    except DamagedBlob as error:
        say(f"{error}; this run is done again")
        shutil.rmtree(run)
        return None
    return None if found is None else found[0]


def run_trial(method: Method, world: World, settings: Settings, run: Path, watcher: Watcher) -> RunNotes:
    """Learn all tasks of the world in their order, or those that are left, and keep the answers in the directory `run`.

    A method whose training diverges ends there, with no steps.

    Raises:
        Unwritable: the directory cannot be written.
    """
    rate = settings.rate if method.rates else None
    try:
        contestant, steps = _learn_all(method, world, settings, run, watcher)
    except TrainingDiverged as error:
        watcher.say(f"{method.name} diverged: {error}")
        notes = RunNotes(
            rate=rate,
            seconds=(),
            peak_bytes=None,
            parameters=0,
            numbers=0,
            texts=0,
            validation_score=None,
            diverged=str(error),
        )
    else:
        peaks = [step.peak_bytes for step in steps if step.peak_bytes is not None]
        notes = RunNotes(
            rate=rate,
            seconds=tuple(step.seconds for step in steps),
            peak_bytes=max(peaks, default=None),
            parameters=steps[-1].parameters,
            numbers=max(step.numbers for step in steps),
            texts=max(step.texts for step in steps),
            validation_score=_validation_score(method, world, contestant),
        )
        if notes.parameters > _LARGE:
            del contestant
            gc.collect()  # a whole base that learned is in a circle of references, and would stay beside the next one
    write_notes(run, notes)
    (run / _STATE).unlink(missing_ok=True)
    shutil.rmtree(run / _OWN, ignore_errors=True)
    return notes


def _learn_all(
    method: Method, world: World, settings: Settings, run: Path, watcher: Watcher
) -> tuple[Contestant, list[Step]]:
    numbers = steps_of(method.is_joint, len(world.tasks))
    kept, state = _kept(numbers, run, watcher.say)
    if not kept:
        shutil.rmtree(run, ignore_errors=True)
    make_directory(run / _OWN)
    contestant = method.begin(world, settings, run / _OWN)
    if kept:
        contestant.restore(state, numbers[len(kept) - 1] + 1)
    steps = list(kept)
    for number in numbers[len(kept) :]:
        began, peak = watcher.clock(), watched_peak()
        contestant.learn(number)
        seconds, peak_bytes = watcher.clock() - began, peak()
        steps.append(_step(world, contestant, number, seconds, peak_bytes))
        write_step(run, number, steps[-1])
        write_output(run / _STATE, _saved(contestant.state(), number + 1))
        watcher.step(number, watcher.clock() - began)
    return contestant, steps


def _step(world: World, contestant: Contestant, number: int, seconds: float, peak_bytes: int | None) -> Step:
    answers = [contestant.answer(task, "test") for task in range(number + 1)]
    keeps = contestant.keeps()
    for task, answer in enumerate(answers):
        rows = (len(world.tasks[task].test.labels),)
        assert answer.free.shape == answer.given.shape == rows, f"task {task}: {answer.free.shape}, expected {rows}"
    return Step(
        free={task: answer.free.astype(np.int32) for task, answer in enumerate(answers)},
        given={task: answer.given.astype(np.int32) for task, answer in enumerate(answers)},
        seconds=seconds,
        peak_bytes=peak_bytes,
        parameters=keeps.parameters,
        numbers=keeps.numbers,
        texts=keeps.texts,
    )


def _kept(numbers: tuple[int, ...], run: Path, say: Callable[[str], None]) -> tuple[list[Step], dict[str, Tensor]]:
    """The steps that were done, and the state after them; none where they are not whole, which is said."""
    path = run / _STATE
    if not path.exists():
        return [], {}
    try:
        data = path.read_bytes()
        state, learned = load(data), int(metadata(data)["learned"])
        return [read_step(run, number) for number in numbers if number < learned], state
    except DamagedBlob as error:
        say(f"{error}; this run begins again")
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        say(f"{path} is damaged: {error}; this run begins again")
    return [], {}


def _saved(state: dict[str, Tensor], learned: int) -> bytes:
    apart = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}  # none shares memory
    return save(apart, metadata={"learned": str(learned)})


def _validation_score(method: Method, world: World, contestant: Contestant) -> float | None:
    """Mean accuracy over the tasks' validation rows, in the reading that counts for the method."""
    scores = []
    for number, task in enumerate(world.tasks):
        labels = task.validation.labels.numpy()
        if len(labels):
            answers = contestant.answer(number, "validation")
            right = (answers.given if method.knows_task else answers.free) == labels
            scores.append(float(right.mean()))
    return float(np.mean(scores)) if scores else None
