"""Answers as they are read by people and by programs."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portfolio.errors import DataError
from portfolio.records import Answer, NearClass, Route
from portfolio.reports.answers import (
    Answered,
    answer_to_dict,
    answers_in,
    print_answers,
    print_explained,
    write_answers,
)

ROUTE = Route(tasks=("billing", "returns"), scores=(0.9, 0.1), margin=0.8, reason="nearest is class 3 of 'billing'")
ANSWER = Answer(
    text="where is my invoice",
    label="invoice_copy",
    probability=0.875,
    task="billing",
    adapter="billing@2",
    abstained=False,
    route=ROUTE,
)
ABSTENTION = Answer(
    text="what is the moon", label=None, probability=None, task=None, adapter=None, abstained=True, route=ROUTE
)


def test_a_line_holds_probability_label_adapter_and_text(screen: Callable[..., Any]) -> None:
    terminal = screen()
    print_answers([ANSWER, ABSTENTION], terminal.console)
    assert terminal.lines() == [
        " 87.5  invoice_copy  billing@2  where is my invoice",
        "    -  (nobody)                 what is the moon",
    ]


def test_an_explanation_holds_the_whole_route(screen: Callable[..., Any]) -> None:
    terminal = screen(width=40)
    print_explained([ANSWER, ABSTENTION], terminal.console)
    assert terminal.lines() == [
        "where is my invoice",
        "  invoice_copy, 87.5 %, by billing@2",
        "  route: billing 90.0 %, returns 10.0 %; nearest is class 3 of 'billing'",
        "",
        "what is the moon",
        "  no answer: no task knows such inputs (to have one all the same: --always)",
        "  route: billing 90.0 %, returns 10.0 %; nearest is class 3 of 'billing'",
        "",
    ]


def test_the_answer_of_a_fusion_says_what_it_attends_to(screen: Callable[..., Any]) -> None:
    attention = (("banking@1", 0.62), ("snips@1", 0.304), ("trec6@1", 0.076))
    fused, terminal = dataclasses.replace(ANSWER, attention=attention), screen()
    print_explained([fused], terminal.console)
    assert terminal.lines()[2] == "  attends to: banking@1 62 %, snips@1 30 %, trec6@1 8 %"
    print_explained([fused], terminal.console, in_full=True)
    assert terminal.text().count("attends to: banking@1 62 %") == 2
    told = answer_to_dict(fused)["attention"]
    assert list(told.items()) == [("banking@1", 0.62), ("snips@1", 0.304), ("trec6@1", 0.076)]
    assert "attention" not in answer_to_dict(ANSWER)


def test_a_long_text_is_cut_on_a_terminal_only(screen: Callable[..., Any]) -> None:
    long = dataclasses.replace(ANSWER, text="where is " * 20)
    cut, whole = screen(width=60, color=True), screen(width=60)
    print_answers([long], cut.console)
    print_answers([long], whole.console)
    assert max(map(len, cut.lines())) == 60 and cut.lines()[0].endswith("…")
    assert long.text.strip() in whole.lines()[0]


def test_a_text_cannot_steer_the_terminal(screen: Callable[..., Any]) -> None:
    evil = dataclasses.replace(ANSWER, text="\x1b[2Jgone\nforged line [bold]")
    terminal = screen()
    print_answers([evil], terminal.console)
    print_explained([evil], terminal.console)
    assert "\x1b" not in terminal.text() and "\nforged" not in terminal.text()
    assert "[bold]" in terminal.text()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_json_lines_are_one_strict_object_each_in_any_encoding(encoding: str) -> None:
    answers = [dataclasses.replace(ANSWER, text="Straße\n漢字"), ABSTENTION]
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    write_answers(answers, stream)
    lines = raw.getvalue().decode(encoding).splitlines()
    assert [json.loads(line) for line in lines] == json.loads(json.dumps([answer_to_dict(one) for one in answers]))


def test_an_object_holds_every_field_of_answer_route_and_near_classes() -> None:
    near = (
        NearClass(task="billing", label="invoice", distance=2.5),
        NearClass(task="returns", label="label", distance=3.0),
    )
    answer = dataclasses.replace(ANSWER, route=dataclasses.replace(ROUTE, nearest=near))
    copied = dataclasses.asdict(answer)
    del copied["attention"]
    assert json.dumps(answer_to_dict(answer)) == json.dumps(copied)  # in the same order


def test_what_a_file_of_answers_holds_is_told_by_its_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    assert answers_in(str(path)) == Answered(count=0, last_text=None, is_cut_short=False)
    with path.open("w", encoding="utf-8") as stream:
        write_answers([ABSTENTION, dataclasses.replace(ANSWER, text="Straße\n漢字")], stream)
    assert answers_in(str(path)) == Answered(count=2, last_text="Straße\n漢字", is_cut_short=False)
    path.write_bytes(path.read_bytes()[:-4])
    assert answers_in(str(path)) == Answered(count=1, last_text="what is the moon", is_cut_short=True)


@pytest.mark.parametrize("line", [b"hello\n", b"[1]\n", b'{"label": "a"}\n', b'{"text": 3}\n', b"\xff\xfe\n", b"\n"])
def test_a_file_of_something_else_holds_no_answers(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b'{"text": "rose"}\n' + line)
    with pytest.raises(DataError, match="answers.jsonl:2: expected an answer that predict wrote"):
        answers_in(str(path))
    with pytest.raises(DataError, match="cannot read"):
        answers_in(str(tmp_path))
