"""The tasks of a portfolio, and one task in full: as JSON and on a terminal."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from portfolio.cells import Cells
from portfolio.champions import champions_of, find_adapter
from portfolio.errors import NotFound
from portfolio.gates.verdict import Verdict
from portfolio.records import Attention, Cell, Lineage, Snapshot, TaskRecord, Traffic
from portfolio.reports.figures import TaskFigures, figures_now, figures_of, rows_of
from portfolio.reports.history import stand_in
from portfolio.reports.tables import fields_table, figures_table, print_table, texts_table
from portfolio.reports.versions import Version, print_versions, versions_by_task, versions_to_dict
from portfolio.reports.wording import EMPTY, NOTHING, count, digits, moment, percent, plain

_SUGGESTIONS = 3
_COLUMNS = ("kind", "tenant", "risk", "owner")  # tags with a column of their own
EVERY_TASK: Mapping[str, str] = MappingProxyType({})  # tags that any task has


def tasks_to_dict(snapshot: Snapshot, tags: Mapping[str, str] = EVERY_TASK) -> dict[str, Any]:
    """The tasks in the order they were added, as one JSON object, strictly: null where a score was not measured.

    Args:
        tags: only tasks that have these.
    """
    versions, tried = versions_by_task(snapshot), {one.name: one for one in snapshot.traffic}
    return {
        "generation": snapshot.generation,
        "base": snapshot.contract.name,
        "tasks": [
            _task_fields(position, task, versions.get(task.name, []), now, tried.get(task.name))
            for position, task, now in _chosen(snapshot, tags)
        ],
    }


def task_to_dict(
    snapshot: Snapshot,
    name: str,
    attention: Attention | None = None,
    lineages: Sequence[Lineage] = (),
    verdicts: Sequence[Verdict] = (),
) -> dict[str, Any]:
    """One task as in `tasks_to_dict`, its scores after every step since it was added, and `attention` if given.

    Args:
        name: of the task; of `name@version` or `name@alias` that version alone is told.
        attention: of the version that answers, or that one.
        lineages: of its versions.
        verdicts: on its versions, oldest first.

    Raises:
        NotFound: the portfolio has no task or version of this name.
    """
    index, versions = _named(snapshot, name, lineages, verdicts)
    task = snapshot.tasks[index]
    tried = next((one for one in snapshot.traffic if one.name == task.name), None)
    fields = _task_fields(index + 1, task, versions, figures_now(snapshot)[index], tried)
    steps = [{"step": cell.step, **_score_fields(figures_of(cell))} for cell in _history(snapshot, task.name)]
    if attention is None:
        return {**fields, "history": steps}
    from portfolio.reports.attention import attention_to_dict

    return {**fields, "history": steps, "attention": attention_to_dict(attention)}


def print_tasks(snapshot: Snapshot, console: Console, tags: Mapping[str, str] = EVERY_TASK) -> None:
    """Write one line a task; which version answers, where any task has more than one; then tags, and who is out or tried.

    Args:
        tags: only tasks that have these.
    """
    if not snapshot.tasks:
        console.print(Text(EMPTY))
        return
    chosen = _chosen(snapshot, tags)
    if not chosen:
        console.print(Text(plain(f"No task has the tags {_pairs(tags.items())}.", console)))
        return
    headers = ["task", "method", "labels", "train", "test", "oracle", "routed", "added"]
    answering, width = champions_of(snapshot), len(str(len(snapshot.tasks)))
    several = len(snapshot.adapters) > len(answering)
    rows: list[list[str | Text]] = []
    endings = []
    for position, task, now in chosen:
        champion = answering.get(task.name)
        counts = (len(task.labels), rows_of(task, "train"), rows_of(task, "test"))
        scores = (percent(now.oracle), percent(now.routed))
        method = NOTHING if champion is None else champion.method
        rows.append([f"{position:>{width}} {task.name}", method, *map(count, counts), *scores, task.added_at[:10]])
        version = f"@{champion.version}" if several and champion is not None else ""
        endings.append(version + ("" if task.disabled is None else " (off)"))
    print_table(figures_table(headers, rows, console, left=2, endings=endings), console)
    legend = "oracle, routed: test accuracy now in %, with the task given, and with the router choosing"
    console.print(Text(legend, style="dim"))
    _print_beside([task for _, task, _ in chosen], snapshot, console)


def _print_beside(tasks: Sequence[TaskRecord], snapshot: Snapshot, console: Console) -> None:
    """Tags, tasks that are disabled, and challengers that are tried, where there are any."""
    if any(task.tags for task in tasks):
        _print_section("tags", console)
        _print_tags([task for task in tasks if task.tags], console)
    disabled = [f"{task.name}: {stand_in(task.disabled)} answers" for task in tasks if task.disabled is not None]
    names = {task.name for task in tasks}
    tried = [f"{one.name}@{one.version}: {_trial(one)}" for one in snapshot.traffic if one.name in names]
    for title, lines in (("disabled (off)", disabled), ("tried beside the version that answers", tried)):
        if lines:
            _print_section(title, console)
            console.print(Text("\n".join(plain(line, console) for line in lines), overflow="fold"))


def _print_tags(tasks: Sequence[TaskRecord], console: Console) -> None:
    """A column for each of those that have one, and one for all others; none for what no task has."""
    known = [key for key in _COLUMNS if any(key in dict(task.tags) for task in tasks)]
    others = {task.name: [pair for pair in task.tags if pair[0] not in _COLUMNS] for task in tasks}
    more = ["other tags"] if any(others.values()) else []
    rows = [
        [
            task.name,
            *(dict(task.tags).get(key, NOTHING) for key in known),
            *([_pairs(others[task.name]) or NOTHING] if more else []),
        ]
        for task in tasks
    ]
    headers = ["task", *known, *more]
    print_table(texts_table(headers, rows, console, texts=len(headers)), console)


def print_task(
    snapshot: Snapshot,
    name: str,
    console: Console,
    attention: Attention | None = None,
    lineages: Sequence[Lineage] = (),
    verdicts: Sequence[Verdict] = (),
) -> None:
    """Write all that is known of one task; args as of `task_to_dict`.

    Raises:
        NotFound: the portfolio has no task or version of this name.
    """
    index, versions = _named(snapshot, name, lineages, verdicts)
    task = snapshot.tasks[index]
    title = f"{task.name}: task {index + 1} of {count(len(snapshot.tasks))}, {task.kind}"
    console.print(Text(title, style="bold"))
    _print_fields(_task_lines(task, [one for one in snapshot.traffic if one.name == task.name]), console)
    for source in task.sources:
        held_out = f", held out of {source.held_out_of}" if source.held_out_of else ""
        _print_section(f"{source.split}: {count(source.rows, 'row')}{held_out}", console)
        _print_fields([("from", source.path), ("sha256", digits(source.sha256))], console)
    print_versions(versions, console)
    if attention is not None:
        from portfolio.reports.attention import print_attention

        console.print()
        print_attention(attention, console)
    _print_section("scores in % after each step", console)
    print_table(_history_table(_history(snapshot, task.name), console), console)


def _chosen(snapshot: Snapshot, tags: Mapping[str, str]) -> list[tuple[int, TaskRecord, TaskFigures]]:
    """Position, record and scores now of each task that has these tags."""
    everything = enumerate(zip(snapshot.tasks, figures_now(snapshot), strict=True), start=1)
    return [(position, task, now) for position, (task, now) in everything if tags.items() <= dict(task.tags).items()]


def _named(
    snapshot: Snapshot, name: str, lineages: Sequence[Lineage], verdicts: Sequence[Verdict]
) -> tuple[int, list[Version]]:
    """The place of a task, and all of its versions, or the one that is named."""
    task, at, _ = name.partition("@")
    index = _index_of(snapshot, task)
    versions = versions_by_task(snapshot, lineages, verdicts).get(task, [])
    if not at:
        return index, versions
    record = find_adapter(snapshot, name)
    return index, [version for version in versions if version.record is record]


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


def _history(snapshot: Snapshot, name: str) -> list[Cell]:
    """The task's cells in the order of the steps."""
    position = {task.name: index for index, task in enumerate(snapshot.tasks)}
    cells = [cell for cell in Cells.of(snapshot.cells).of_task(name) if cell.step in position]
    return sorted(cells, key=lambda cell: position[cell.step])


def _task_fields(
    position: int, task: TaskRecord, versions: Sequence[Version], now: TaskFigures, tried: Traffic | None
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
        "disabled": task.disabled,
        "traffic": None if tried is None else dataclasses.asdict(tried),
        "added_at": task.added_at,
        "sources": [dataclasses.asdict(source) for source in task.sources],
        "adapters": versions_to_dict(versions),
        "scores": _score_fields(now),
    }


def _score_fields(figures: TaskFigures) -> dict[str, Any]:
    fields = dataclasses.asdict(figures)
    del fields["task"]  # said one level up
    return fields


def _task_lines(task: TaskRecord, traffic: Sequence[Traffic]) -> list[tuple[str, str]]:
    text, pair, label = task.columns
    columns = f"text = {text}" + (f", pair = {pair}" if pair is not None else "") + f", label = {label}"
    return [
        ("added", moment(task.added_at)),
        ("columns", columns),
        ("seed of splits", str(task.seed)),
        (count(len(task.labels), "label"), ", ".join(task.labels)),
        *([("tags", _pairs(task.tags))] if task.tags else []),
        *([("disabled", f"{stand_in(task.disabled)} answers in its place")] if task.disabled is not None else []),
        *(("tried", f"{one.name}@{one.version}, {_trial(one)}") for one in traffic),
        *(("note", note) for note in task.notes),
    ]


def _pairs(tags: Iterable[tuple[str, str]]) -> str:
    """`risk = high, tenant = acme`"""
    return ", ".join(f"{key} = {value}" for key, value in tags)


def _trial(one: Traffic) -> str:
    """`canary on 10 % of sessions since 2026-11-22 10:00 UTC`"""
    return f"{one.mode} on {percent(one.share)} % of {one.by}s since {moment(one.since)}"


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
