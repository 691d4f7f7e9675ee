"""Routes: as JSON, one line each, or explained: who was chosen, over whom, how surely, and what had a say in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import IO, Any

from rich.console import Console
from rich.text import Text

from portfolio.records import NearClass, Route
from portfolio.reports.output import to_line
from portfolio.reports.tables import fields_table
from portfolio.reports.wording import NOTHING, count, cut, percent, plain

ABSTAINED = "(abstained)"  # stands for the task
_ROUTE = tuple(field.name for field in dataclasses.fields(Route))
_NEAR = tuple(field.name for field in dataclasses.fields(NearClass))
_DECIDERS = {
    "router": "the router",
    "given": "the caller, who named the task",
    "pin": "a rule that pins the task",
    "rules": "the rules, which leave no task",
    "session": "the session, which keeps its task over a doubtful turn",
    "fallback": "the fallback, as the router abstained",
    "disabled": "who stands in for a task that is disabled",
}
_LOOKS = {"trunk": "of the trunk alone, which was sure", "base": "of the base, as the trunk alone was not sure"}


def route_to_dict(route: Route) -> dict[str, Any]:
    """Every field of a route. Several times as fast as `dataclasses.asdict`, which copies what it finds."""
    near = [{name: getattr(one, name) for name in _NEAR} for one in route.nearest]
    return {name: getattr(route, name) for name in _ROUTE} | {"nearest": near}


def write_routes(texts: Sequence[str], routes: Sequence[Route], stream: IO[str]) -> None:
    """Write one JSON object a line: `text` and every field of the route."""
    for text, route in zip(texts, routes, strict=True):
        stream.write(to_line({"text": text, **route_to_dict(route)}, stream) + "\n")
    stream.flush()


def print_routes(texts: Sequence[str], routes: Sequence[Route], console: Console) -> None:
    """Write one line a text: P(task) in %, margin in points, task, text; on a terminal the text is cut to fit."""
    names = [named(route) for route in routes]
    width = max(map(len, names), default=0)
    for text, route, name in zip(texts, routes, names, strict=True):
        sure, margin = (percent(route.scores[0]), _points(route.margin)) if route.scores else (NOTHING, NOTHING)
        start = f"{sure:>5}  {margin:>5}  {name:<{width}}  "
        line = start + cut(plain(text, console), len(start), console)
        console.print(Text(line, style="dim" if route.abstained else ""), soft_wrap=True)


def print_explained_routes(texts: Sequence[str], routes: Sequence[Route], console: Console) -> None:
    """Write each text with everything that its route says."""
    for text, route in zip(texts, routes, strict=True):
        console.print(Text(plain(text, console), style="bold"))
        print_explanation(route, console)
        console.print()


def print_explanation(route: Route, console: Console) -> None:
    """Write everything that a route says, a line for each."""
    console.print(fields_table([("  " + field, value) for field, value in explanation(route)], console))


def explanation(route: Route) -> list[tuple[str, str]]:
    """Each part of a decision and what it was; what had no say in it is left out."""
    fields: list[tuple[str, str | None]] = [
        ("route", _shares(route)),
        ("margin", _margin(route)),
        ("in scope", _scope(route)),
        ("nearest classes", _nearest(route)),
        ("decided by", _DECIDERS[route.decided_by]),
        ("rules", route.rule),
        ("features", None if route.looked is None else _LOOKS[route.looked]),
        ("reason", route.reason),
        ("spent", count(route.block_evaluations, "block evaluation")),
    ]
    return [(field, value) for field, value in fields if value]


def named(route: Route) -> str:
    """The tasks in a word, best first; `(abstained)` where nobody is to answer."""
    return ABSTAINED if route.abstained else "+".join(route.tasks)


def _shares(route: Route) -> str:
    """The tasks with their probabilities; whoever came nearest, where the router abstained."""
    shares = ", ".join(f"{task} {percent(score)} %" for task, score in zip(route.tasks, route.scores, strict=True))
    if not route.abstained:
        return shares
    return f"abstained; the nearest is {shares}" if shares else "abstained"


def _margin(route: Route) -> str | None:
    if route.looked is None:
        return None
    return f"{_points(route.margin)} points" + (f" over {route.runner_up}" if route.runner_up else ", no other task")


def _points(margin: float) -> str:
    """A margin in points, below 0 where a session holds its task against a better one."""
    return f"{100 * margin:.1f}".replace("100.0", "100")


def _nearest(route: Route) -> str | None:
    near = ", ".join(f"{one.label} of {one.task} at {one.distance:.4g}" for one in route.nearest)
    return f"{near} (squared distances)" if near else None


def _scope(route: Route) -> str | None:
    if route.in_scope is None:
        return None
    held = "no threshold" if route.threshold is None else f"threshold {route.threshold:.4g}"
    return f"{route.in_scope:.4g}, {held}"
