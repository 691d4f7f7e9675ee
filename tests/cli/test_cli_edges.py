"""Where the portfolio is, how faults end, and that what needs no model loads none."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cli
from portfolio.reports import report

Run = Callable[..., Any]

ROOT = Path(cli.__file__).resolve().parent
HEAVY = ("torch", "transformers", "datasets", "sklearn", "faiss", "scipy", "pandas", "matplotlib", "jinja2")


def start(*arguments: str | Path, code: str = "", **options: Any) -> subprocess.Popen[str]:
    """The command line in a process of its own, which Python finds where this one does."""
    command = ["-c", code] if code else ["-m", "cli", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    return subprocess.Popen([sys.executable, *command], env=environment, text=True, **options)


def test_the_portfolio_is_that_of_p_or_of_the_variable_or_of_the_current_directory(
    run: Run, grown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = run("-p", grown, "tasks", "--json").out
    monkeypatch.setenv("PORTFOLIO_DIR", str(grown))
    assert run("tasks", "--json").out == listed
    assert run("-p", "elsewhere", "tasks").code == 2  # -p is stronger
    monkeypatch.delenv("PORTFOLIO_DIR")
    monkeypatch.chdir(grown)
    assert run("tasks", "--json").out == listed


def test_without_a_portfolio_the_error_says_how_to_name_or_make_one(run: Run) -> None:
    nowhere = run("tasks")
    assert nowhere.code == 2
    assert "-p DIR" in nowhere.err and "PORTFOLIO_DIR" in nowhere.err and "init" in nowhere.err
    wrong = run("-p", "no such place", "tasks")
    assert wrong.code == 2 and "portfolio -p 'no such place' init" in wrong.err


def test_a_wrong_command_is_refused_with_exit_code_2(run: Run) -> None:
    assert run("fly").code == 2
    assert run("show").code == 2
    assert "Usage: portfolio show" in run("show").err


def test_help_and_version_answer(run: Run) -> None:
    for command in ("", *cli.commands.commands):
        helped = run(*command.split(), "--help")
        assert helped.code == 0 and helped.err == ""
        assert "Example" in helped.out
    assert run("--version").out.startswith("portfolio")
    assert "predict" in run("-h").out


def test_a_fault_of_ours_is_one_message_and_its_traceback_is_shown_on_request(
    run: Run, grown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("out of cheese")

    monkeypatch.setattr(report, "build_report", broken)
    failed = run("-p", grown, "report")
    assert failed.code == 1 and "Traceback" not in failed.err
    assert "RuntimeError: out of cheese" in failed.err and "PORTFOLIO_DEBUG=1" in failed.err
    monkeypatch.setenv("PORTFOLIO_DEBUG", "1")
    shown = run("-p", grown, "report")
    assert shown.code == 1 and "Traceback" in shown.err


def test_ctrl_c_ends_with_130_and_says_what_is_safe(run: Run, grown: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "build_report", interrupted)
    stopped = run("-p", grown, "report")
    assert stopped.code == 130 and stopped.out == ""
    assert "Tasks that were added are whole" in stopped.err and "Traceback" not in stopped.err


def test_a_closed_standard_input_is_refused(grown: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert cli.main(["-p", str(grown), "predict"]) == 2
    assert cli.main(["-p", str(grown), "remove-task", "garden"]) == 2


def test_a_reader_that_leaves_early_is_no_fault(grown: Path) -> None:
    process = start("-p", grown, "tasks", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() in (0, 1)


def test_what_needs_no_model_loads_none(grown: Path) -> None:
    code = f"""
import contextlib, io, sys
import cli
commands = ("--help", "add-task --help", "--version", "tasks", "tasks --json", "show garden", "verify",
            "tag garden risk=low", "rules --tenant acme", "report", "report --json",
            "add-task sky --train {grown.parent}/sky.csv --dry-run")
for command in commands:
    with contextlib.redirect_stdout(io.StringIO()):
        code = cli.main(["-p", {str(grown)!r}, *command.split()])
    print(command, code, [name for name in {HEAVY!r} if name in sys.modules], sep=": ")
    if command == "--version":
        print("early", [name for name in ("numpy", "rich", "sqlite3") if name in sys.modules], sep=": ")
    if command == "rules --tenant acme":
        print("light", [name for name in ("numpy", "routing.router") if name in sys.modules], sep=": ")
"""
    rows = "".join(f"{word} {n},{word}\n" for n in range(20) for word in ("fog", "sun"))
    (grown.parent / "sky.csv").write_text("text,label\n" + rows)
    process = start(code=code, stdout=subprocess.PIPE)
    said, _ = process.communicate()
    lines = said.splitlines()
    assert len(lines) == 14
    assert [line for line in lines if not line.endswith(": 0: []")] == ["early: []", "light: []"]


def test_an_answer_loads_nothing_that_has_no_part_in_it(grown: Path) -> None:
    code = f"""
import contextlib, io, sys
import cli
with contextlib.redirect_stdout(io.StringIO()):
    code = cli.main(["-p", {str(grown)!r}, "predict", "rose"])
print(code, [name for name in ("sklearn", "pandas", "datasets", "pyarrow", "matplotlib") if name in sys.modules])
"""
    process = start(code=code, stdout=subprocess.PIPE)
    said, _ = process.communicate()
    assert said.splitlines() == ["0 []"]
