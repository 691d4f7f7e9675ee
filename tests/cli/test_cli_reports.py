"""Reports, sequences and comparisons on the command line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

COMPARE = (
    "compare",
    "helpdesk",
    "--into",
    "compared",
    "--methods",
    "frozen-means,frozen-whitened",
    "--budget",
    "quick",
)


def test_a_report_is_written_as_a_page_and_as_pictures(run: Run, grown: Path) -> None:
    written = run("-p", grown, "report", "--html", "report.html", "--png", "pictures")
    assert (written.code, written.out) == (0, "")
    page = Path("report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and "garden" in page and "<script" not in page
    pictures = sorted(path.name for path in Path("pictures").iterdir())
    assert pictures == [
        "changes.png",
        "confusion.png",
        "results-oracle.png",
        "results-routed.png",
        "scores-over-time.png",
    ]
    assert "written: report.html" in written.err and all(name in written.err for name in pictures)


def test_a_report_as_csv_holds_the_numbers_of_the_json(run: Run, grown: Path) -> None:
    figures = json.loads(run("-p", grown, "report", "--json").out)
    rows = list(csv.DictReader(io.StringIO(run("-p", grown, "report", "--csv").out)))
    found = {row["kind"]: float(row["value"]) for row in rows if row["figure"] == "average_accuracy"}
    assert found == {kind: pytest.approx(figures[kind]["average_accuracy"]) for kind in ("oracle", "routed")}


def test_a_page_that_cannot_be_written_is_one_message(run: Run, grown: Path) -> None:
    failed = run("-p", grown, "report", "--html", "nowhere/report.html")
    assert failed.code == 2 and "nowhere/report.html cannot be written" in failed.err


def test_two_moments_are_compared(run: Run, grown: Path) -> None:
    [_, later] = [task["name"] for task in json.loads(run("-p", grown, "tasks", "--json").out)["tasks"]][:2]
    told = run("-p", grown, "report", "--since", later, "--with-texts")
    assert told.code == 0 and later in told.out
    found = json.loads(run("-p", grown, "report", "--since", later, "--json").out)
    assert later in found["came"] and found["before"]["generation"] < found["after"]["generation"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--until", "now"], "expected --since beside --until"),
        (["--since", "now", "--html", "a.html"], "expected --since alone"),
        (["--since", "yesterday"], "yesterday"),
    ],
)
def test_options_of_a_report_that_cannot_be_are_refused(
    run: Run, grown: Path, arguments: list[str], expected: str
) -> None:
    refused = run("-p", grown, "report", *arguments)
    assert refused.code == 2 and expected in refused.err
    assert not Path("a.html").exists()


def test_shipped_sequences_are_listed_and_printed(run: Run) -> None:
    listed = json.loads(run("sequences", "--json").out)
    names = [one["name"] for one in listed]
    assert names == ["banking77-7x11", "clinc150-15x10", "clinc150-domains", "helpdesk", "standard-four"]
    assert [one["tasks"] for one in listed] == [7, 15, 10, 6, 4]
    assert listed[-1]["orders"] == ["order1", "order2", "order3"]
    assert all(name in run("sequences").out for name in names)
    [helpdesk] = [one for one in listed if one["name"] == "helpdesk"]
    assert run("sequences", "helpdesk").out == Path(helpdesk["path"]).read_text(encoding="utf-8")
    missing = run("sequences", "helpdisk")
    assert missing.code == 2 and "helpdesk" in missing.err


def test_a_comparison_is_run_once_and_printed_in_every_form(run: Run, tiny_base_dir: Path) -> None:
    first = run(*COMPARE, "--base", tiny_base_dir, "--orders", "1", "--seeds", "1")
    assert first.code == 0 and "frozen-whitened" in first.out and "[" in first.err
    again = run(*COMPARE, "--base", tiny_base_dir, "--orders", "1", "--seeds", "1")
    assert (again.code, again.out, again.err) == (0, first.out, "")
    assert run("compare", "--into", "compared").out == first.out
    found = json.loads(run("compare", "--into", "compared", "--json").out)
    markdown = run("compare", "--into", "compared", "--markdown").out
    assert "| frozen-whitened |" in markdown.replace("`", "")
    rows = list(csv.DictReader(io.StringIO(run("compare", "--into", "compared", "--csv").out)))
    assert {row["method"] for row in rows} == {"frozen-means", "frozen-whitened"} and found
    drawn = run("compare", "--into", "compared", "--png", "curves.png")
    assert drawn.err == "written: curves.png\n" and Path("curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["compare", "--into", "nothing"], "holds no comparison"),
        (
            ["compare", "helpdesk", "--into", "a", "--methods", "magic"],
            "there is no method 'magic'; the methods: frozen-means",
        ),
        (
            ["compare", "helpdesk", "--into", "a", "--budget", "huge"],
            "budget must be one of quick, small, full; got 'huge'",
        ),
        (["compare", "helpdesk", "--into", "a", "--per-class", "0"], "rows a class must be 1 or more, got 0"),
        (["compare", "nowhere", "--into", "a"], "shipped sequences"),
    ],
)
def test_a_comparison_that_cannot_be_is_refused_and_leaves_nothing(
    run: Run, tiny_base_dir: Path, arguments: list[str], expected: str
) -> None:
    refused = run(*arguments, *([] if len(arguments) == 3 else ["--base", tiny_base_dir]))
    assert refused.code == 2 and expected in refused.err
    assert not Path("a").exists() and not Path("nothing").exists()


def test_tasks_can_be_added_in_another_order_of_their_sequence(run: Run, toy_files: Any, tiny_base_dir: Path) -> None:
    for name in ("kitchen", "harbour"):
        toy_files(Path.cwd(), name)
    Path("sequence.toml").write_text(
        '[orders]\nbackwards = ["loans", "cards"]\n'
        '[[task]]\nname = "cards"\ntrain = "kitchen.train.jsonl"\n[[task]]\nname = "loans"\ntrain = "harbour.train.jsonl"\n'
    )
    assert run("-p", "p", "init", "--base", tiny_base_dir).code == 0
    assert run("-p", "p", "add-tasks", "sequence.toml", "--order", "backwards", "--epochs", "1").code == 0
    assert [task["name"] for task in json.loads(run("-p", "p", "tasks", "--json").out)["tasks"]] == ["loans", "cards"]
    refused = run("-p", "p", "add-tasks", "sequence.toml", "--order", "sideways")
    assert refused.code == 2 and "backwards" in refused.err
