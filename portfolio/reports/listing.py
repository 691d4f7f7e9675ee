"""The tasks of a portfolio, and one task in full: as JSON and on a terminal."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from portfolio.cells import Cells
from portfolio.errors import NotFound
from portfolio.records import AdapterRecord, Attention, Cell, Snapshot, TaskRecord
from portfolio.reports.figures import TaskFigures, figures_now, figures_of, rows_of
from portfolio.reports.tables import fields_table, figures_table, print_table
from portfolio.reports.versions import print_versions, versions_to_dict
from portfolio.reports.wording import EMPTY, NOTHING, count, digits, moment, percent, plain

_SUGGESTIONS = 3


def tasks_to_dict(snapshot: Snapshot) -> dict[str, Any]:
    """All tasks in the order they were added, as one JSON object, strictly: null where a score was not measured."""
    adapters = _adapters_by_task(snapshot)
    return {
        "generation": snapshot.generation,
        "base": snapshot.contract.name,
        "tasks": [
            _task_fields(position, task, adapters.get(task.name, []), now)
            for position, (task, now) in enumerate(zip(snapshot.tasks, figures_now(snapshot), strict=True), start=1)
        ],
    }


def task_to_dict(snapshot: Snapshot, name: str, attention: Attention | None = None) -> dict[str, Any]:
    """One task as in `tasks_to_dict`, its scores after every step since it was added, and `attention` if given.

    Args:
        attention: of the version that answers.

    Raises:
        NotFound: the portfolio has no task of this name.
    """
    index = _index_of(snapshot, name)
    adapters = _adapters_by_task(snapshot).get(name, [])
    fields = _task_fields(index + 1, snapshot.tasks[index], adapters, figures_now(snapshot)[index])
    steps = [{"step": cell.step, **_score_fields(figures_of(cell))} for cell in _history(snapshot, name)]
    if attention is None:
        return {**fields, "history": steps}
    from portfolio.reports.attention import attention_to_dict

    return {**fields, "history": steps, "attention": attention_to_dict(attention)}


def print_tasks(snapshot: Snapshot, console: Console) -> None:
    """Write one line a task."""
    if not snapshot.tasks:
        console.print(Text(EMPTY))
        return
    headers = ["task", "method", "labels", "train", "test", "oracle", "routed", "added"]
    adapters = _adapters_by_task(snapshot)
    width = len(str(len(snapshot.tasks)))
    rows: list[list[str | Text]] = []
    for position, (task, now) in enumerate(zip(snapshot.tasks, figures_now(snapshot), strict=True), start=1):
        method = adapters[task.name][-1].method if task.name in adapters else NOTHING
        counts = (len(task.labels), rows_of(task, "train"), rows_of(task, "test"))
        scores = (percent(now.oracle), percent(now.routed))
        name = f"{position:>{width}} {task.name}"
        rows.append([name, method, *map(count, counts), *scores, task.added_at[:10]])
    print_table(figures_table(headers, rows, console, left=2), console)
    legend = "oracle, routed: test accuracy now in %, with the task given, and with the router choosing"
    console.print(Text(legend, style="dim"))
    tagged = [task for task in snapshot.tasks if task.tags]
    if tagged:
        _print_section("tags", console)
        console.print(Text("\n".join(plain(f"{task.name}: {_tags(task)}", console) for task in tagged)))


def print_task(snapshot: Snapshot, name: str, console: Console, attention: Attention | None = None) -> None:
    """Write all that is known of one task.

    Args:
        attention: of the version that answers.

    Raises:
        NotFound: the portfolio has no task of this name.
    """
    index = _index_of(snapshot, name)
    task = snapshot.tasks[index]
    title = f"{task.name}: task {index + 1} of {count(len(snapshot.tasks))}, {task.kind}"
    console.print(Text(title, style="bold"))
    _print_fields(_task_lines(task), console)
    for source in task.sources:
        held_out = f", held out of {source.held_out_of}" if source.held_out_of else ""
        _print_section(f"{source.split}: {count(source.rows, 'row')}{held_out}", console)
        _print_fields([("from", source.path), ("sha256", digits(source.sha256))], console)
    print_versions(_adapters_by_task(snapshot).get(name, []), console)
    if attention is not None:
        from portfolio.reports.attention import print_attention

        console.print()
        print_attention(attention, console)
    _print_section("scores in % after each step", console)
    print_table(_history_table(_history(snapshot, name), console), console)


def _index_of(snapshot: Snapshot, name: str) -> int:
    names = [task.name for task in snapshot.tasks]
    if name in names:
        return names.index(name)
    if not names:
        raise NotFound(f"expected the name of a task, got {name!r}, but this portfolio has no task yet")
    near = difflib.get_close_matches(name, names, n=_SUGGESTIONS)
    hint = f"; did you mean {' or '.join(near)}?" if near else "."
    raise NotFound(
        f"none of this portfolio's {count(len(names), 'task')} is named {name!r}{hint} List them with: portfolio tasks"
    )


def _adapters_by_task(snapshot: Snapshot) -> dict[str, list[AdapterRecord]]:
    """Oldest version first; the last one answers."""
    owned: dict[str, list[AdapterRecord]] = {}
    for adapter in sorted(snapshot.adapters, key=lambda adapter: adapter.version):
        owned.setdefault(adapter.task, []).append(adapter)
    return owned


def _history(snapshot: Snapshot, name: str) -> list[Cell]:
    """The task's cells in the order of the steps."""
    position = {task.name: index for index, task in enumerate(snapshot.tasks)}
    cells = [cell for cell in Cells.of(snapshot.cells).of_task(name) if cell.step in position]
    return sorted(cells, key=lambda cell: position[cell.step])


def _task_fields(
    position: int, task: TaskRecord, adapters: Sequence[AdapterRecord], now: TaskFigures
) -> dict[str, Any]:
    text, pair, label = task.columns
    return {
        "name": task.name,
        "position": position,
        "kind": task.kind,
        "labels": list(task.labels),
        "columns": {"text": text, "pair": pair, "label": label},
        "seed": task.seed,
        "notes": list(task.notes),
        "tags": dict(task.tags),
        "added_at": task.added_at,
        "sources": [dataclasses.asdict(source) for source in task.sources],
        "adapters": versions_to_dict(adapters),
        "scores": _score_fields(now),
    }


def _score_fields(figures: TaskFigures) -> dict[str, Any]:
    fields = dataclasses.asdict(figures)
    del fields["task"]  # said one level up
    return fields


def _task_lines(task: TaskRecord) -> list[tuple[str, str]]:
    text, pair, label = task.columns
    columns = f"text = {text}" + (f", pair = {pair}" if pair is not None else "") + f", label = {label}"
    return [
        ("added", moment(task.added_at)),
        ("columns", columns),
        ("seed of splits", str(task.seed)),
        (count(len(task.labels), "label"), ", ".join(task.labels)),
        *([("tags", _tags(task))] if task.tags else []),
        *(("note", note) for note in task.notes),
    ]


def _tags(task: TaskRecord) -> str:
    """`risk = high, tenant = acme`"""
    return ", ".join(f"{key} = {value}" for key, value in task.tags)


def _print_section(title: str, console: Console) -> None:
    console.print()
    console.print(Text(plain(title, console), style="bold"))


def _print_fields(fields: Sequence[tuple[str, str]], console: Console) -> None:
    console.print(fields_table(fields, console))


def _history_table(cells: Sequence[Cell], console: Console) -> RenderableType:
    headers = ["after", "rows", "oracle", "routed", "floor", "routing", "coverage", "selective"]
    rows: list[list[str | Text]] = []
    for cell in cells:
        then = figures_of(cell)
        scores = (then.oracle, then.routed, then.floor, then.routing_accuracy, then.coverage, then.selective_accuracy)
        rows.append([cell.step, count(cell.rows), *map(percent, scores)])
    return figures_table(headers, rows, console)
