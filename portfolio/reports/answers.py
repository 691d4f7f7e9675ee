"""Answers: as JSON, one line each, or explained."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

from rich.console import Console
from rich.text import Text

from portfolio.errors import DataError
from portfolio.records import Answer, Route
from portfolio.reports.output import to_line
from portfolio.reports.routes import print_explanation, route_to_dict
from portfolio.reports.wording import cut, percent, plain, share
from portfolio.tasks.faults import shown

NOBODY = "(nobody)"  # stands for the label of an abstention
BARE = "(base)"  # stands for the adapter where the bare base answers

_ANSWER = tuple(field.name for field in dataclasses.fields(Answer) if field.name != "attention")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a file of answers holds already."""

    count: int  # of whole lines
    last_text: str | None  # None where there is no answer yet
    is_cut_short: bool  # its last line has no end; it does not count


def answers_in(path: str) -> Answered:
    """What the file holds that `write_answers` wrote, perhaps in part; nothing where there is no such file.

    Raises:
        DataError: its last whole line is no answer, or the file cannot be read.
    """
    count, last, rest = 0, b"", b""
    try:
        with open(path, "rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    count, last = count + 1, line
                else:
                    rest = line
    except FileNotFoundError:
        pass
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    text = _text_in(last, f"{path}:{count}") if count else None
    return Answered(count=count, last_text=text, is_cut_short=bool(rest))


def _text_in(line: bytes, place: str) -> str:
    try:
        text = json.loads(line)["text"]
    except (ValueError, TypeError, KeyError):
        text = None
    if not isinstance(text, str):
        raise DataError(
            f"{place}: expected an answer that predict wrote, as JSON, got {shown(line[:100])}; "
            "name another file, or leave out --resume to write this one anew"
        )
    return text


def answer_to_dict(answer: Answer) -> dict[str, Any]:
    """`text, label, probability, task, adapter, abstained, route` with every field of a route, and `attention` if any."""
    fields = {name: getattr(answer, name) for name in _ANSWER} | {"route": route_to_dict(answer.route)}
    return {**fields, "attention": dict(answer.attention)} if answer.attention else fields


def write_answers(answers: Sequence[Answer], stream: IO[str]) -> None:
    """Write one JSON object a line."""
    stream.write("".join(to_line(answer_to_dict(answer), stream) + "\n" for answer in answers))
    stream.flush()


def print_answers(answers: Sequence[Answer], console: Console) -> None:
    """Write one line an answer: probability in %, label, adapter, text; on a terminal the text is cut to fit."""
    labels = [plain(answer.label or NOBODY, console) for answer in answers]
    adapters = [answer.adapter or ("" if answer.abstained else BARE) for answer in answers]
    label_width, adapter_width = max(map(len, labels), default=0), max(map(len, adapters), default=0)
    for answer, label, adapter in zip(answers, labels, adapters, strict=True):
        start = f"{percent(answer.probability):>5}  {label:<{label_width}}  {adapter:<{adapter_width}}  "
        text = cut(plain(answer.text, console), len(start), console)
        console.print(Text(start + text, style="dim" if answer.abstained else ""), soft_wrap=True)


def print_explained(answers: Sequence[Answer], console: Console, *, in_full: bool = False) -> None:
    """Write each answer over some lines: the text, what is said to it, by whom, and why this task.

    Args:
        in_full: everything that the route says, not its reason alone.
    """
    for answer in answers:
        console.print(Text(plain(answer.text, console), style="bold"))
        console.print(Text(f"  {plain(_said(answer), console)}"), soft_wrap=True)
        if answer.attention:
            console.print(Text(f"  attends to: {plain(_attended(answer), console)}"), soft_wrap=True)
        if in_full:
            print_explanation(answer.route, console)
        else:
            console.print(Text(f"  route: {plain(_why(answer.route), console)}", style="dim"), soft_wrap=True)
        console.print()


def _why(route: Route) -> str:
    tasks = ", ".join(f"{task} {percent(score)} %" for task, score in zip(route.tasks, route.scores, strict=True))
    return f"{tasks}; {route.reason}" if tasks else route.reason


def _attended(answer: Answer) -> str:
    return ", ".join(f"{member} {share(weight)} %" for member, weight in answer.attention)


def _said(answer: Answer) -> str:
    if answer.abstained and answer.route.decided_by == "rules":
        return "no answer: the rules let no task answer this (what they say: portfolio rules)"
    if answer.abstained and answer.route.decided_by == "disabled":
        return "no answer: the task that knows such inputs is disabled (to have it answer again: portfolio enable)"
    if answer.abstained:
        return "no answer: no task knows such inputs (to have one all the same: --always)"
    if answer.adapter is None:
        return f"{answer.label}, the nearest class of {answer.task}, by the bare base"
    return f"{answer.label}, {percent(answer.probability)} %, by {answer.adapter}"
