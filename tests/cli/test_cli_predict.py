"""`portfolio predict`: where texts come from, where answers go."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portfolio import Portfolio
from portfolio.commands import texts as texts_of_commands
from portfolio.records import Route

Run = Callable[..., Any]

TEXTS = ["rose fern moss ivy the", "pan ladle whisk bowl my", "spade rake hoe shears old", "soup stew pie roast a"]
FIELDS = ["text", "label", "probability", "task", "adapter", "abstained", "route"]


def test_arguments_are_answered_with_an_explanation(run: Run, grown: Path) -> None:
    answered = run("-p", grown, "predict", "--always", *TEXTS[:2])
    assert answered.code == 0 and answered.err == ""
    assert answered.out.count("  route: ") == 2
    assert TEXTS[0] in answered.out and "by garden@1" in answered.out


def test_json_has_one_object_a_line_with_the_promised_fields(run: Run, grown: Path) -> None:
    lines = run("-p", grown, "predict", "--json", *TEXTS).lines()
    expected = Portfolio.open(grown).predict(TEXTS)
    assert [line["text"] for line in lines] == TEXTS
    assert all(list(line) == FIELDS for line in lines)
    assert all(list(line["route"]) == [field.name for field in dataclasses.fields(Route)] for line in lines)
    assert [(line["label"], line["task"], line["abstained"]) for line in lines] == [
        (answer.label, answer.task, answer.abstained) for answer in expected
    ]


@pytest.mark.parametrize("chunk", [1, 3, 1024])
def test_arguments_lines_and_files_get_the_same_answers_in_any_chunks(
    run: Run, grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(texts_of_commands, "WINDOW", chunk)
    plain, table = tmp_path / "texts.txt", tmp_path / "texts.csv"
    plain.write_text("\n".join(TEXTS))
    table.write_text("\n".join(["question,other", *(f"{text},1" for text in TEXTS)]))

    def labels(*arguments: str | Path, typed: str = "") -> list[str]:
        lines = run("-p", grown, "predict", "--always", "--json", *arguments, typed=typed).lines()
        return [f"{line['text']}: {line['label']}" for line in lines]

    by_argument = labels(*TEXTS)
    assert len(by_argument) == len(TEXTS)
    assert labels(typed="\r\n".join(TEXTS) + "\r\n\r\n") == by_argument
    assert labels("--file", plain) == by_argument
    assert labels("--file", table) == by_argument
    assert labels("--file", table, "--text-column", "question") == by_argument


def test_lines_of_standard_input_get_a_line_each(run: Run, grown: Path) -> None:
    answered = run("-p", grown, "predict", "--always", typed="\n".join(TEXTS))
    lines = answered.out.splitlines()
    assert len(lines) == len(TEXTS)
    assert all(text in line for text, line in zip(TEXTS, lines, strict=True))


def test_a_task_can_be_given_and_tasks_can_be_mixed(run: Run, grown: Path) -> None:
    given = run("-p", grown, "predict", "--task", "kitchen", "--json", TEXTS[0]).lines()[0]
    assert given["task"] == "kitchen" and given["label"] in ("dish", "ware") and not given["abstained"]
    mixed = run("-p", grown, "predict", "--top-k", "2", "--always", "--json", TEXTS[0]).lines()[0]
    assert set(mixed["route"]["tasks"]) == {"garden", "kitchen"}


def test_what_no_task_knows_is_left_to_nobody_unless_always_is_said(run: Run, grown: Path) -> None:
    strange = "%&/ " * 20
    left = run("-p", grown, "predict", "--json", strange).lines()[0]
    assert left["abstained"] and left["label"] is left["probability"] is left["adapter"] is None
    assert "no answer" in run("-p", grown, "predict", strange).out
    assert "(nobody)" in run("-p", grown, "predict", typed=strange).out
    assert not run("-p", grown, "predict", "--always", "--json", strange).lines()[0]["abstained"]


def test_pairs_come_from_a_file_or_from_pair(run: Run, grown: Path, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"text": TEXTS[0], "text_pair": TEXTS[1]}) + "\n")
    by_file = run("-p", grown, "predict", "--json", "--always", "--file", path).lines()[0]
    by_option = run("-p", grown, "predict", "--json", "--always", TEXTS[0], "--pair", TEXTS[1]).lines()[0]
    alone = run("-p", grown, "predict", "--json", "--always", TEXTS[0]).lines()[0]
    assert by_file["probability"] == pytest.approx(by_option["probability"])
    assert by_file["route"]["reason"] != alone["route"]["reason"]


def test_output_holds_the_json_lines_and_nothing_is_printed(run: Run, grown: Path) -> None:
    expected = run("-p", grown, "predict", "--json", *TEXTS).out
    Path("answers.jsonl").write_text("of yesterday")
    written = run("-p", grown, "predict", "--output", "answers.jsonl", *TEXTS)
    assert (written.code, written.out, written.err) == (0, "", "")
    assert Path("answers.jsonl").read_text() == expected
    assert [path.name for path in Path.cwd().iterdir()] == ["answers.jsonl"]


def test_a_terminal_is_told_how_to_type(run: Run, grown: Path) -> None:
    asked = run("-p", grown, "predict", "--json", typed=TEXTS[0] + "\n", terminal=True)
    assert "Ctrl-D" in asked.err and len(asked.lines()) == 1


def test_texts_of_any_script_come_back_as_they_were(run: Run, grown: Path) -> None:
    texts = ["Straße – naïve «été»", "漢字 かな", "🙂 \t tab"]
    lines = run("-p", grown, "predict", "--json", *texts).lines()
    assert [line["text"] for line in lines] == texts


@pytest.mark.parametrize(
    ("arguments", "typed", "message"),
    [
        ([""], "", "text 1 is empty"),
        (["rose", " \t"], "", "text 2 is empty"),
        (["rose \udcff"], "", "text 1 is not UTF-8"),
        (["rose", "--pair", "a", "--pair", "b"], "", "expected one --pair for each of 1 texts, got 2"),
        (["--pair", "a"], "", "expected one --pair for each of 0 texts, got 1"),
        (["rose", "--file", "texts.txt"], "", "expected TEXT or --file, got both"),
        (["--file", "texts.txt"], "", "texts.txt"),
        (["--task", "harbour", "rose"], "", "there is no task 'harbour'; the tasks here: garden, kitchen"),
        (["--top-k", "0", "rose"], "", "top_k must be 1 or more, got 0"),
        (["--output", "no/such/folder/out.jsonl", "rose"], "", "no/such/folder/out.jsonl cannot be written"),
        ([], "", "expected texts, one a line, on standard input, got none"),
        ([], "\nfern\n", "standard input:1: the text is empty"),
        ([], b"\xff\n", "standard input:1: not UTF-8"),
        ([], b"x" * (10 << 20), "standard input:1: expected at most 1048576 bytes a line"),
    ],
)
def test_bad_questions_are_refused_with_one_clear_error(
    run: Run, grown: Path, arguments: list[str], typed: str | bytes, message: str
) -> None:
    refused = run("-p", grown, "predict", *arguments, typed=typed)
    assert (refused.code, refused.out) == (2, "")
    assert message in refused.err and len(refused.err) < 600
    assert list(Path.cwd().iterdir()) == []
