"""A gate's verdict on a terminal and as data."""

from __future__ import annotations

import dataclasses
import io
import json

import pytest
from rich.console import Console

from portfolio.gates.verdict import BLOCK, INCONCLUSIVE, PASS, Figure, Finding, Verdict, verdict_from_json
from portfolio.reports.gate_verdict import figure_in_words, gate_to_dict, print_gate

LOSS = Finding(
    rule="no-worse",
    check="no-worse",
    outcome=BLOCK,
    reason="of 500 examples 30 are lost and 2 won, a loss of 5.6 %; it is 3.8 % at least, more than the 2.0 % allowed",
    figures=(Figure(name="loss", value=0.056, bound=0.02, relation="<="), Figure(name="rows", value=500)),
    rows=tuple(range(3, 15)),
)
FEW = Finding(
    rule="every tenant",
    check="slices",
    subject="tenant acme",
    outcome=INCONCLUSIVE,
    reason="too few examples",
    figures=(Figure(name="loss", value=0.01, bound=0.02, relation="<="),),
)
SOUND = Finding(
    rule="integrity",
    check="integrity",
    outcome=PASS,
    reason="it is whole",
    figures=(Figure(name="faults", value=0, bound=0, relation="<="),),
)
VERDICT = Verdict(
    ref="banking@2",
    champion="banking@1",
    outcome=BLOCK,
    findings=(LOSS, FEW, SOUND),
    adapter="a" * 64,
    champion_adapter="b" * 64,
    data=(("test rows: test.jsonl", "c" * 64),),
    gates="d" * 64,
    surroundings="e" * 64,
    at="2026-11-22T10:11:12Z",
)


def printed(verdict: Verdict, width: int = 100, encoding: str = "utf-8", color: str | None = None) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=stream, width=width, color_system=color, force_terminal=color is not None)  # type: ignore[arg-type]
    print_gate(verdict, console)
    stream.seek(0)
    return stream.read()


@pytest.mark.parametrize("outcome", [PASS, BLOCK, INCONCLUSIVE])
def test_the_first_line_says_the_outcome_and_of_what(outcome: str) -> None:
    first = printed(dataclasses.replace(VERDICT, outcome=outcome)).splitlines()[0]
    assert first == f"{outcome} banking@2, compared with banking@1"


def test_the_first_version_of_a_task_is_compared_with_nothing() -> None:
    first = printed(dataclasses.replace(VERDICT, champion=None)).splitlines()[0]
    assert first == "BLOCK banking@2, with no champion to compare with"


def test_every_finding_is_a_line_of_the_table_with_its_reason_below() -> None:
    lines = printed(VERDICT, width=200).splitlines()
    assert lines[2].split() == ["outcome", "rule", "subject", "figure"]
    table = [line.split("  ") for line in lines[3:9:2]]
    assert [[cell.strip() for cell in line if cell.strip()] for line in table] == [
        ["BLOCK", "no-worse", "loss 5.6 % > 2.0 %"],
        ["INCONCLUSIVE", "every tenant", "tenant acme", "loss 1.0 % <= 2.0 %"],
        ["PASS", "integrity", "faults 0 <= 0"],
    ]
    assert lines[4].rstrip() == f"  {LOSS.reason} (rows 3, 4, 5, 6, 7, 8, 9, 10, …)"
    assert lines[-2:] == [
        "adapter aaaaaaaaaaaa, rules dddddddddddd, 2026-11-22 10:11 UTC",
        "data: test rows: test.jsonl, cccccccccccc",
    ]


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_narrow_terminal_loses_no_outcome_no_figure_and_no_word_of_a_reason(width: int) -> None:
    written = printed(VERDICT, width=width)
    assert "loss 5.6 % > 2.0 %" in written and "loss 1.0 % <= 2.0 %" in written
    assert [line.split()[0] for line in written.splitlines() if line.startswith(("BLOCK no", "BLOCK  ", "INC", "PASS"))]
    assert " ".join(LOSS.reason.split()) in " ".join(written.split())


def test_long_names_are_cut_but_figures_are_not() -> None:
    long = dataclasses.replace(VERDICT, findings=(dataclasses.replace(FEW, rule="x" * 300, subject="y" * 300),))
    written = printed(long)
    assert "x" * 29 not in written and "loss 1.0 % <= 2.0 %" in written


def test_colours_are_on_top_of_words_that_are_there_without_them() -> None:
    colored = printed(VERDICT, color="standard")
    assert "\x1b[" in colored and "\x1b[" not in printed(VERDICT)
    assert all(outcome in printed(VERDICT) for outcome in (PASS, BLOCK, INCONCLUSIVE))


def test_a_name_cannot_steer_the_terminal_and_ascii_is_enough() -> None:
    odd = dataclasses.replace(FEW, rule="a\x1b[2Jb", subject="tenant café" * 9, reason="\x07 ring")
    written = printed(dataclasses.replace(VERDICT, findings=(odd,)), encoding="ascii")
    assert "\x1b" not in written and "\x07" not in written and "\\x1b[2Jb" in written


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        (Figure(name="accuracy", value=0.91, bound=0.9, relation=">="), "accuracy 91.0 % >= 90.0 %"),
        (Figure(name="accuracy", value=0.89, bound=0.9, relation=">="), "accuracy 89.0 % < 90.0 %"),
        (Figure(name="bytes", value=12345, bound=9000, relation="<="), "bytes 12,345 > 9,000"),
        (Figure(name="time to the base's", value=1.25, bound=1.5, relation="<="), "time to the base's 1.25 <= 1.5"),
        (Figure(name="coverage", value=None, bound=0.9, relation=">="), "coverage not measured"),
        (Figure(name="rows", value=1200), "rows 1,200"),
    ],
)
def test_a_figure_stands_against_its_bound_with_the_sign_that_holds(figure: Figure, said: str) -> None:
    assert figure_in_words(dataclasses.replace(FEW, figures=(figure,))) == said


def test_a_finding_without_a_figure_has_none() -> None:
    assert figure_in_words(dataclasses.replace(FEW, figures=())) == ""


def test_as_data_a_verdict_is_the_json_that_is_stored() -> None:
    data = json.loads(json.dumps(gate_to_dict(VERDICT), allow_nan=False))
    assert data == json.loads(VERDICT.to_json())
    assert verdict_from_json(json.dumps(data)) == VERDICT
