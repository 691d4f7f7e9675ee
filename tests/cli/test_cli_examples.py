"""Every example in the help of a command is run; and the reference in docs/ says what the help says."""

from __future__ import annotations

import dataclasses
import inspect
import re
import runpy
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cli
from portfolio.methods.bottleneck import PLACEMENTS
from portfolio.methods.low_rank import ACTIVATIONS
from portfolio.methods.table import METHODS

Run = Callable[..., Any]

ROOT = Path(cli.__file__).resolve().parent
ORDER = [
    "init",
    "add-task",
    "add-tasks",
    "fuse",
    "merge",
    "ensemble",
    "export",
    "import",
    "tasks",
    "show",
    "report",
    "sequences",
    "compare",
    "evaluate",
    "predict",
    "route",
    "overlap",
    "calibrate",
    "tag",
    "rules",
    "gate",
    "canary",
    "shadow",
    "traffic",
    "promote",
    "rollback",
    "disable",
    "enable",
    "deprecate",
    "history",
    "at",
    "diff",
    "suite",
    "gc",
    "verify",
    "remove-task",
    "demo",
]
GATES = """
[[rule]]
check = "bound"
metric = "accuracy"
at_least = 0.0
"""
SEQUENCE = """
[[task]]
name = "cards"
train = "kitchen.train.jsonl"
method = "lora"

[[task]]
name = "loans"
train = "harbour.train.jsonl"
method = "lora"
"""


def examples(name: str) -> list[list[str]]:
    """The commands under `Example:` in the help of a command, as lists of arguments."""
    text = inspect.cleandoc(cli.commands.commands[name].help or "")
    *_, written = re.split(r"\n\s*Examples?:\n", text)
    return [shlex.split(line) for line in written.splitlines() if line.strip()]


def test_each_example_runs(run: Run, toy_files: Callable[..., Any], tiny_base_dir: Path) -> None:
    """One after another in one directory, the files that they name beside them, a tiny base for `minilm`."""
    assert set(ORDER) == set(cli.commands.commands)
    here = Path.cwd()
    files = toy_files(here, "garden")
    files.train.rename(here / "train.jsonl")
    files.test.rename(here / "test.jsonl")
    toy_files(here, "kitchen")
    toy_files(here, "harbour")
    (here / "sequence.toml").write_text(SEQUENCE)
    (here / "questions.txt").write_text("rose fern\nsoup pan\n")
    (here / "tone.jsonl").write_text('{"text": "rose fern ivy", "label": "plant"}\n')
    for name in ORDER:
        if name == "gate":
            (here / "support" / "gates.toml").write_text(GATES)
        assert examples(name)
        for program, *arguments in examples(name):
            ran = run(*(str(tiny_base_dir) if word == "minilm" else word for word in arguments))
            assert (program, ran.code) == ("portfolio", 0), f"{name}: {ran.err}"
    assert len((here / "answers.jsonl").read_text().splitlines()) == 2


def test_the_reference_is_what_the_help_says() -> None:
    build = runpy.run_path(str(ROOT / "docs" / "build_cli.py"))["build"]
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == build(cli.commands), "out of date; write it anew with: python docs/build_cli.py"


def test_the_help_names_every_method_and_setting() -> None:
    options = {option for parameter in cli.commands.commands["add-task"].params for option in parameter.opts}
    helped = " ".join(getattr(parameter, "help", "") or "" for parameter in cli.commands.commands["add-task"].params)
    settings = {field.name for kind in METHODS.values() for field in dataclasses.fields(kind)}
    assert {f"--{name}".replace("targets", "target") for name in settings} <= options
    assert all(name in helped for name in (*METHODS, *ACTIVATIONS, *PLACEMENTS))
