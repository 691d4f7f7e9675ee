"""`portfolio predict` and `route` over long inputs: windows, interruptions, going on, and what is said meanwhile."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cli
from portfolio import Portfolio
from portfolio.commands import texts as texts_of_commands
from portfolio.records import Answer
from portfolio.reports import counting

Run = Callable[..., Any]
Stop = Callable[[], None]

WORDS = ["rose", "fern", "moss", "ivy", "spade", "rake", "hoe", "soup", "stew", "pie", "pan", "ladle", "whisk", "bowl"]
TEXTS = [f"{one} {other}" for one in WORDS for other in WORDS][:23]
ALWAYS = ("predict", "--always", "--out", "answers.jsonl", "--file", "texts.jsonl")


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts_of_commands, "WINDOW", 4)


@pytest.fixture
def texts_file() -> Path:
    path = Path("texts.jsonl")
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    return path


@pytest.fixture
def whole(run: Run, grown: Path, texts_file: Path) -> str:
    """What one run writes that nobody interrupts."""
    assert run("-p", grown, *ALWAYS).code == 0
    text = Path("answers.jsonl").read_text()
    Path("answers.jsonl").unlink()
    return text


@pytest.fixture
def stopped_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Stop], None]:
    """`stopped_at(TEXT, STOP)`: as TEXT is about to be answered, STOP is called; once."""

    def arrange(text: str, stop: Stop) -> None:
        answering, stops = Portfolio.predict, [stop]

        def predict(self: Portfolio, texts: list[str], *arguments: Any, **options: Any) -> list[Answer]:
            if text in texts and stops:
                stops.pop()()
            return answering(self, texts, *arguments, **options)

        monkeypatch.setattr(Portfolio, "predict", predict)

    return arrange


def ctrl_c() -> None:
    raise KeyboardInterrupt


def terminated() -> None:
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL  # which would end the tests
    os.kill(os.getpid(), signal.SIGTERM)


def lines_of(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


@pytest.mark.parametrize("stop", [ctrl_c, terminated])
def test_an_interrupt_leaves_the_answers_until_then_and_resume_makes_the_file_of_one_run(
    run: Run, grown: Path, whole: str, stopped_at: Callable[[str, Stop], None], stop: Stop
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    stopped_at(TEXTS[13], stop)
    stopped = run("-p", grown, *ALWAYS)
    assert (stopped.code, stopped.out) == (130, "")
    assert "the first 12 texts are answered, in answers.jsonl" in stopped.err and "--resume" in stopped.err
    assert Path("answers.jsonl").read_text() == "".join(whole.splitlines(keepends=True)[:12])
    assert signal.getsignal(signal.SIGTERM) == before
    resumed = run("-p", grown, *ALWAYS, "--resume")
    assert (resumed.code, resumed.out, resumed.err) == (0, "", "")
    assert Path("answers.jsonl").read_text() == whole
    assert sorted(os.listdir()) == ["answers.jsonl", "texts.jsonl"]
    run("-p", grown, *ALWAYS, "--resume")
    assert Path("answers.jsonl").read_text() == whole


def test_an_interrupt_before_the_first_answer_leaves_the_file_of_yesterday(
    run: Run, grown: Path, texts_file: Path, stopped_at: Callable[[str, Stop], None]
) -> None:
    Path("answers.jsonl").write_text("of yesterday\n")
    stopped_at(TEXTS[0], ctrl_c)
    stopped = run("-p", grown, *ALWAYS)
    assert (stopped.code, stopped.err) == (130, "Interrupted.\n")
    assert Path("answers.jsonl").read_text() == "of yesterday\n"
    assert sorted(os.listdir()) == ["answers.jsonl", "texts.jsonl"]


def test_a_resumed_run_that_is_interrupted_keeps_what_it_added(
    run: Run, grown: Path, whole: str, stopped_at: Callable[[str, Stop], None]
) -> None:
    for number in (5, 17):
        stopped_at(TEXTS[number], ctrl_c)
        assert run("-p", grown, *ALWAYS, "--resume").code == 130
        assert whole.startswith(Path("answers.jsonl").read_text())
        assert len(lines_of("answers.jsonl")) == number - number % 4
    assert run("-p", grown, *ALWAYS, "--resume").code == 0
    assert Path("answers.jsonl").read_text() == whole


def test_a_bad_line_late_in_the_file_costs_no_answer_and_can_be_put_right(run: Run, grown: Path, whole: str) -> None:
    good = lines_of("texts.jsonl")
    Path("texts.jsonl").write_text("\n".join([*good[:10], "{", *good[11:], ""]))
    failed = run("-p", grown, *ALWAYS)
    assert (failed.code, failed.out) == (2, "")
    assert "texts.jsonl:11: not JSON" in failed.err and "the first 10 texts are answered" in failed.err
    answered = [json.loads(line) for line in lines_of("answers.jsonl")]
    assert [one["text"] for one in answered] == TEXTS[:10]
    Path("texts.jsonl").write_text("\n".join(good))
    assert run("-p", grown, *ALWAYS, "--resume").code == 0
    answers, expected = (
        [json.loads(line) for line in text.splitlines()] for text in (Path("answers.jsonl").read_text(), whole)
    )
    for answer, other in zip(answers, expected, strict=True):  # windows are others here, so the last bits may be too
        assert (answer["text"], answer["label"]) == (other["text"], other["label"])
        assert answer["probability"] == pytest.approx(other["probability"], abs=1e-4)


def test_a_line_that_was_cut_short_is_answered_again(run: Run, grown: Path, whole: str) -> None:
    Path("answers.jsonl").write_text(whole[: whole.index("\n", len(whole) // 2) - 7])
    resumed = run("-p", grown, *ALWAYS, "--resume")
    assert resumed.code == 0 and "answers.jsonl: the last line was cut short" in resumed.err
    texts = [json.loads(line)["text"] for line in lines_of("answers.jsonl")]
    assert texts == TEXTS


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ("of yesterday\n", "answers.jsonl:1: expected an answer that predict wrote, as JSON, got b'of yesterday"),
        ('["text"]\n', "answers.jsonl:1: expected an answer"),
        ('{"text": "rose rose"}\n{"text": "opera"}\n', "answers.jsonl:2: expected the answer to text 2, 'rose fern'"),
        ('{"text": "rose rose"}\n' * 24, "answers.jsonl holds answers to 24 texts, but there are only 23"),
    ],
)
def test_a_file_of_something_else_is_not_gone_on_with(
    run: Run, grown: Path, texts_file: Path, held: str, message: str
) -> None:
    Path("answers.jsonl").write_text(held)
    refused = run("-p", grown, *ALWAYS, "--resume")
    assert (refused.code, refused.out) == (2, "")
    assert message in refused.err
    assert Path("answers.jsonl").read_text() == held


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rose", "--resume"), "expected --out FILE with --resume"),
        (("rose", "--resume", "--out", "a", "--session", "s"), "expected --resume without --session"),
    ],
)
def test_resume_goes_with_a_file_and_without_a_session(
    run: Run, grown: Path, arguments: tuple[str, ...], message: str
) -> None:
    refused = run("-p", grown, "predict", *arguments)
    assert refused.code == 2 and message in refused.err
    assert os.listdir() == []


def test_texts_before_a_bad_line_of_a_pipe_are_answered(run: Run, grown: Path) -> None:
    failed = run("-p", grown, "predict", "--always", "--json", typed="rose\nfern\n\nmoss\n")
    assert failed.code == 2 and "standard input:3: the text is empty" in failed.err
    assert [line["text"] for line in failed.lines()] == ["rose", "fern"]
    assert "the first 2 texts are answered" in failed.err


class _Piped:
    """What one process says and another hears."""

    def __init__(self) -> None:
        hears, says = os.pipe()
        self.hears, self.says = os.fdopen(hears, encoding="utf-8"), os.fdopen(says, "w", encoding="utf-8")


@pytest.fixture
def pipes() -> Iterator[tuple[_Piped, _Piped]]:
    both = (_Piped(), _Piped())
    yield both
    for pipe in both:
        pipe.hears.close()
        pipe.says.close()


@pytest.mark.parametrize("command", ["predict", "route"])
def test_lines_of_a_pipe_are_answered_as_they_come(
    grown: Path, pipes: tuple[_Piped, _Piped], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Each question is put only after the last one was answered, as a conversation through two pipes goes."""
    questions, answers = pipes
    monkeypatch.setattr(sys, "stdin", questions.hears)
    monkeypatch.setattr(sys, "stdout", answers.says)
    heard: list[str] = []
    given_up = threading.Timer(60, questions.says.close)  # or a command that waits for more would wait for ever

    def ask() -> None:
        for said in (TEXTS[:1], TEXTS[1:4], TEXTS[4:5]):
            questions.says.write("".join(text + "\n" for text in said))
            questions.says.flush()
            heard.extend(json.loads(answers.hears.readline())["text"] for _ in said)
        given_up.cancel()
        questions.says.close()

    given_up.start()
    threading.Thread(target=ask, daemon=True).start()
    assert cli.main(["-p", str(grown), command, "--json"]) == 0
    assert heard == TEXTS[:5]


def test_how_far_it_is_is_said_on_standard_error_alone(
    run: Run, grown: Path, whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "EVERY_S", 0.0)
    told = run("-p", grown, *ALWAYS[:2], "--json", *ALWAYS[4:])
    assert (told.code, told.out) == (0, whole)
    assert [line.split(",")[0] for line in told.err.splitlines()] == [
        f"{done} of 23 texts" for done in (4, 8, 12, 16, 20, 23)
    ]
    routed = run("-p", grown, "route", "--json", "--file", "texts.jsonl")
    assert "23 of 23 texts" in routed.err and len(routed.lines()) == 23
    assert "of" not in run("-p", grown, "predict", "--json", typed="rose\n").err  # nobody knows how many will come
