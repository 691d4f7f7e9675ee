"""Answers: as JSON, one line each, or explained."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import IO, Any

from rich.console import Console
from rich.text import Text

from portfolio.records import Answer
from portfolio.reports.output import to_line
from portfolio.reports.wording import percent, plain

NOBODY = "(nobody)"  # stands for the label and the adapter of an abstention

_NARROWEST_TEXT = 24  # columns; on a terminal a text is cut to what is left, but not to less


def answer_to_dict(answer: Answer) -> dict[str, Any]:
    """`text, label, probability, task, adapter, abstained, route{tasks, scores, margin, reason}`."""
    return dataclasses.asdict(answer)


def write_answers(answers: Sequence[Answer], stream: IO[str]) -> None:
    """Write one JSON object a line."""
    for answer in answers:
        stream.write(to_line(answer_to_dict(answer), stream) + "\n")
    stream.flush()


def print_answers(answers: Sequence[Answer], console: Console) -> None:
    """Write one line an answer: probability in %, label, adapter, text; on a terminal the text is cut to fit."""
    labels = [plain(answer.label or NOBODY, console) for answer in answers]
    adapters = [answer.adapter or "" for answer in answers]
    label_width, adapter_width = max(map(len, labels), default=0), max(map(len, adapters), default=0)
    for answer, label, adapter in zip(answers, labels, adapters, strict=True):
        start = f"{percent(answer.probability):>5}  {label:<{label_width}}  {adapter:<{adapter_width}}  "
        text = plain(answer.text, console)
        if console.is_terminal:
            text = _cut(text, max(console.width - len(start), _NARROWEST_TEXT), console)
        style = "dim" if answer.abstained else ""
        console.print(Text(start + text, style=style), soft_wrap=True)


def print_explained(answers: Sequence[Answer], console: Console) -> None:
    """Write each answer over some lines: the text, what is said to it, by whom, and why this task."""
    for answer in answers:
        console.print(Text(plain(answer.text, console), style="bold"))
        console.print(Text(f"  {plain(_said(answer), console)}"), soft_wrap=True)
        tasks = zip(answer.route.tasks, answer.route.scores, strict=True)
        route = ", ".join(f"{task} {percent(score)} %" for task, score in tasks)
        console.print(Text(f"  route: {route}; {plain(answer.route.reason, console)}", style="dim"), soft_wrap=True)
        console.print()


def _said(answer: Answer) -> str:
    if answer.abstained:
        return "no answer: no task knows such inputs (to have one all the same: --always)"
    return f"{answer.label}, {percent(answer.probability)} %, by {answer.adapter}"


def _cut(text: str, width: int, console: Console) -> str:
    if len(text) <= width:
        return text
    return text[: width - 1] + ("~" if console.options.ascii_only else "…")
