"""What is kept of a contest on disk, so that it can go on after an interruption and any figure can be computed again.

    contest.json                             what is compared: the same for every method
    truth.safetensors                        the classes of all test rows, a task each; no texts
    METHOD/method.json                       its words and paper
    METHOD/sweep.json                        learning rates tried, their scores, the one chosen
    METHOD/order-ORDER.seed-SEED/task-K.safetensors   answers after task K: free.J and given.J to the test rows of task J
    METHOD/order-ORDER.seed-SEED/run.json    the run is done: rate, seconds a task, peak memory, what it keeps

K and J count the tasks in the run's order from 0. Every file is written whole or not at all. No torch.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from portfolio.errors import ConfigError, DamagedBlob, NotFound, Unwritable
from portfolio.records import from_json
from portfolio.reports.output import write_output
from portfolio.reports.runs import Contest, Entry, Int32, Order, Run, RunNotes, Step, Sweep, Terms

_CONTEST, _TRUTH, _METHOD, _SWEEP, _RUN = "contest.json", "truth.safetensors", "method.json", "sweep.json", "run.json"
_MAY_GROW = ("orders", "seeds")  # of the terms
_UNREADABLE = (OSError, SafetensorError, AttributeError, KeyError, TypeError, ValueError)

_Record = TypeVar("_Record", RunNotes, Sweep, Entry)


def run_directory(directory: Path, method: str, order: str, seed: int) -> Path:
    """Where one run is kept."""
    return directory / method / f"order-{order}.seed-{seed}"


def sweep_directory(directory: Path, method: str) -> Path:
    """Where a method's trials are kept until its learning rate is chosen."""
    return directory / method / "sweep"


def open_contest(directory: Path, terms: Terms, truth: Mapping[str, Int32], labels: tuple[str, ...]) -> None:
    """Begin a contest in this directory, or go on with the one that is there, which may get more orders and seeds.

    Raises:
        ConfigError: the one that is there compares something else.
        Unwritable: the directory cannot be written.
    """
    make_directory(directory)
    if (directory / _CONTEST).exists():
        kept = _read_terms(directory)
        require_same(directory, kept, terms)
        orders, seeds = max(kept.orders, terms.orders, key=len), max(kept.seeds, terms.seeds, key=len)
        terms = dataclasses.replace(terms, orders=orders, seeds=seeds)
    write_output(directory / _CONTEST, _pretty(dataclasses.asdict(terms)))
    said = {"labels": json.dumps(labels, ensure_ascii=False)}
    write_output(directory / _TRUTH, save({task: _int32(rows) for task, rows in truth.items()}, metadata=said))


def require_same(directory: Path, kept: Terms, wanted: Terms) -> None:
    """Raise ConfigError, naming all that differs, unless both compare the same; one may have more orders and seeds."""
    differing = [
        f"{field.name} {_short(getattr(kept, field.name))}, now {_short(getattr(wanted, field.name))}"
        for field in dataclasses.fields(Terms)
        if not _agree(getattr(kept, field.name), getattr(wanted, field.name), is_list=field.name in _MAY_GROW)
    ]
    if differing:
        raise ConfigError(
            f"{directory} holds another comparison: it has {'; '.join(differing)}; "
            "name another directory, or ask for what it holds"
        )


def _agree(kept: Any, wanted: Any, *, is_list: bool) -> bool:
    return bool(kept[: len(wanted)] == wanted[: len(kept)] if is_list else kept == wanted)


def write_entry(directory: Path, entry: Entry) -> None:
    """Say which methods are in the contest."""
    make_directory(directory / entry.name)
    write_output(directory / entry.name / _METHOD, _pretty(dataclasses.asdict(entry)))


def write_sweep(directory: Path, method: str, sweep: Sweep) -> None:
    write_output(directory / method / _SWEEP, _pretty(dataclasses.asdict(sweep)))


def read_sweep(directory: Path, method: str) -> Sweep | None:
    """What the method tried; None where that is not known."""
    return _read_json(Sweep, directory / method / _SWEEP)


def write_step(run: Path, number: int, step: Step) -> None:
    """Keep what was answered after task `number`."""
    free = {f"free.{task}": _int32(rows) for task, rows in step.free.items()}
    given = {f"given.{task}": _int32(rows) for task, rows in step.given.items()}
    costs = {
        "seconds": step.seconds,
        "peak_bytes": step.peak_bytes,
        "parameters": step.parameters,
        "numbers": step.numbers,
        "texts": step.texts,
    }
    write_output(_step_file(run, number), save(free | given, metadata={"costs": json.dumps(costs)}))


def read_step(run: Path, number: int) -> Step:
    """What `write_step` kept.

    Raises:
        DamagedBlob: it is not there, or not whole.
    """
    try:
        data = _step_file(run, number).read_bytes()
        answers = load(data)
        return Step(
            free=_numbered(answers, "free."), given=_numbered(answers, "given."), **json.loads(metadata(data)["costs"])
        )
    except _UNREADABLE as error:
        raise DamagedBlob(f"{_step_file(run, number)} is missing or damaged: {error}") from error


def write_notes(run: Path, notes: RunNotes) -> None:
    """Say that a run is done."""
    write_output(run / _RUN, _pretty(dataclasses.asdict(notes)))


def read_notes(run: Path) -> RunNotes | None:
    """How a run ended; None where it did not, or is damaged."""
    return _read_json(RunNotes, run / _RUN)


def steps_of(is_joint: bool, tasks: int) -> tuple[int, ...]:
    """The tasks after which a method answers."""
    return (tasks - 1,) if is_joint else tuple(range(tasks))


def read_run(run: Path, is_joint: bool, tasks: int) -> tuple[RunNotes, dict[int, Step]] | None:
    """A run that is done, with its steps, if it did not diverge; None where it is not done.

    Raises:
        DamagedBlob: it is done, but one of its files is not whole.
    """
    notes = read_notes(run)
    if notes is None:
        return None
    steps = () if notes.diverged is not None else steps_of(is_joint, tasks)
    return notes, {number: read_step(run, number) for number in steps}


def load_contest(directory: Path) -> Contest:
    """All that is known of the contest in this directory.

    Raises:
        NotFound: there is none.
        DamagedBlob: what it compares, or the classes of its test rows, cannot be read.
    """
    if not (directory / _CONTEST).exists():
        raise NotFound(f"{directory} holds no comparison; make one with: portfolio compare SEQUENCE --into {directory}")
    terms = _read_terms(directory)
    try:
        truth = load((directory / _TRUTH).read_bytes())
    except _UNREADABLE as error:
        raise DamagedBlob(
            f"{directory / _TRUTH} is missing or damaged: {error}; type the same command again"
        ) from error
    found = (_read_json(Entry, path) for path in sorted(directory.glob(f"*/{_METHOD}")))
    entries = tuple(entry for entry in found if entry is not None)
    swept = {entry.name: read_sweep(directory, entry.same_run or entry.name) for entry in entries}
    runs: list[Run] = []
    faults: list[str] = []
    for entry in entries:
        for seed in terms.seeds:
            for order in terms.orders:
                try:
                    run = _load_run(directory, entry, order, seed)
                except DamagedBlob as error:
                    faults.append(str(error))
                else:
                    runs.extend([run] if run is not None else [])
    return Contest(
        terms=terms,
        truth=truth,
        entries=entries,
        sweeps={name: sweep for name, sweep in swept.items() if sweep is not None},
        runs=tuple(runs),
        faults=tuple(dict.fromkeys(faults)),
    )


def _load_run(directory: Path, entry: Entry, order: Order, seed: int) -> Run | None:
    path = run_directory(directory, entry.same_run or entry.name, order.name, seed)
    found = read_run(path, entry.is_joint, len(order.tasks))
    if found is None:
        return None
    return Run(method=entry.name, order=order, seed=seed, notes=found[0], steps=found[1])


def make_directory(path: Path) -> None:
    """Make it and those above it, unless they are there.

    Raises:
        Unwritable: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unwritable(f"{path} cannot be made: {error.strerror or error}; name another directory") from error


def metadata(data: bytes) -> Any:
    """The words in the header of a safetensors file."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]).get("__metadata__", {})


def _step_file(run: Path, number: int) -> Path:
    return run / f"task-{number}.safetensors"


def _read_terms(directory: Path) -> Terms:
    try:
        fields = json.loads((directory / _CONTEST).read_text(encoding="utf-8"))
        orders = tuple(Order(name=order["name"], tasks=tuple(order["tasks"])) for order in fields.pop("orders"))
        versions = tuple((name, version) for name, version in fields.pop("versions"))
        return Terms(orders=orders, versions=versions, seeds=tuple(fields.pop("seeds")), **fields)
    except _UNREADABLE as error:
        raise DamagedBlob(f"{directory / _CONTEST} is damaged: {error}; name another directory") from error


def _read_json(kind: type[_Record], path: Path) -> _Record | None:
    try:
        return from_json(kind, path.read_text(encoding="utf-8"))
    except _UNREADABLE:
        return None


def _numbered(answers: Mapping[str, Any], prefix: str) -> dict[int, Int32]:
    return {int(key.removeprefix(prefix)): rows for key, rows in answers.items() if key.startswith(prefix)}


def _int32(rows: np.ndarray[Any, Any]) -> Int32:
    return np.ascontiguousarray(rows, dtype=np.int32)


def _pretty(fields: dict[str, Any]) -> bytes:
    return (json.dumps(fields, indent=2, ensure_ascii=False) + "\n").encode()


def _short(value: object) -> str:
    """A setting, not longer than an error can bear."""
    shown = str(value)
    return shown if len(shown) <= 80 else shown[:79] + "…"
