"""The story that docs/releases.md tells, run word for word: its commands, its gates, and the outcomes that it promises."""

from __future__ import annotations

import json
import random
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cli

Run = Callable[..., Any]
Words = dict[str, Sequence[str]]

PAGE = Path(cli.__file__).resolve().parent / "docs" / "releases.md"
KNOWN_AT_FIRST: Words = {"order": ("rose", "tulip", "fern"), "repair": ("spade", "rake", "hoe")}
CAME_LATER: Words = {"order": ("moss", "daisy", "ivy"), "repair": ("shears", "trowel", "barrow")}
OF_GLOBEX: Words = {
    "order": ("soup", "stew", "pie", "salad", "curry", "roast"),
    "repair": ("pan", "ladle", "whisk", "kettle", "grater", "bowl"),
}
FILLERS = ("the", "a", "my", "this", "that", "please", "now", "here", "again", "old", "new", "small")
OTHER = {"order": "repair", "repair": "order"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command of the story."""

    arguments: tuple[str, ...]
    code: int
    says: str | None  # how its output begins, where the story tells


def story() -> tuple[str, list[Step]]:
    """The gate file, and the commands in their order."""
    text = PAGE.read_text(encoding="utf-8")
    told = text[text.index("## The story") : text.index("## The words")]
    [gates] = re.findall(r"```toml\n(.*?)```", told, flags=re.DOTALL)
    steps = []
    for line in told.splitlines():
        if line.startswith("portfolio "):
            command, _, remark = line.partition("#")
            code = re.search(r"exit code (\d)", remark)
            _, *arguments = shlex.split(command)
            steps.append(Step(arguments=tuple(arguments), code=int(code[1]) if code else 0, says=None))
    return gates, steps


def rows(words: Words, tenant: str, count: int, seed: int, mixed_up: bool = False) -> list[dict[str, str]]:
    """Texts of two words that say the label among some that say nothing, the labels in turn."""
    draw, labels = random.Random(seed), sorted(words)
    made = []
    for number in range(count):
        label = labels[number % len(labels)]
        said = [*draw.sample(words[label], 2), *draw.sample(FILLERS, 3)]
        text = " ".join(draw.sample(said, len(said)))
        made.append({"text": text, "label": OTHER[label] if mixed_up else label, "tenant": tenant})
    return made


def write(path: Path, *parts: list[dict[str, str]]) -> None:
    lines = [json.dumps(row) + "\n" for part in parts for row in part]
    random.Random(0).shuffle(lines)
    path.write_text("".join(dict.fromkeys(lines)))


def test_the_story_of_a_blocked_a_promoted_and_a_withdrawn_version(run: Run, tiny_base_dir: Path) -> None:
    here = Path.cwd()
    early, late = rows(KNOWN_AT_FIRST, "acme", 40, 1), rows(CAME_LATER, "acme", 160, 2)
    globex = rows(OF_GLOBEX, "globex", 120, 3)
    write(here / "first.jsonl", early, globex)
    write(here / "second.jsonl", early, late, rows(OF_GLOBEX, "globex", 40, 3, mixed_up=True))
    write(here / "third.jsonl", early, late, globex, rows(OF_GLOBEX, "globex", 400, 6))
    asked = {key: (*KNOWN_AT_FIRST[key], *CAME_LATER[key]) for key in OTHER}
    write(here / "test.jsonl", rows(asked, "acme", 400, 4), rows(OF_GLOBEX, "globex", 160, 5))
    gates, steps = story()
    assert run("-p", "support", "init", "--base", tiny_base_dir).code == 0
    answered, outcomes = [], []
    for step in steps:
        ran = run(*step.arguments)
        assert ran.code == step.code, (step, ran.out, ran.err)
        if "predict" in step.arguments:
            answered.append(ran.lines()[0]["adapter"])
        if "promote" in step.arguments or "gate" in step.arguments:
            outcomes.append(ran.out.splitlines()[0])
        if step.arguments[2] == "promote" and step.code == 3:
            assert re.search(r"globex", ran.out)
        if step == steps[0]:
            (here / "support" / "gates.toml").write_text(gates)
    assert answered == ["desk@1", "desk@1"]
    assert outcomes[0].startswith("BLOCK desk@2") and outcomes[1].startswith("PASS desk@3")
    told = run("-p", "support", "history", "desk", "--json").json()["history"]
    assert [line["action"] for line in told] == [
        *("add-task", "add-version", "gate", "add-version", "gate", "promote", "rollback"),
    ]
    assert told[-1]["why"] == "wrong about returns since midnight"
    assert (told[-1]["from"], told[-1]["to"]) == ("desk@3", "desk@1")
    better = {one["ref"]: one for one in run("-p", "support", "show", "desk", "--json").json()["adapters"]}
    assert better["desk@1"]["answers"] and not better["desk@2"]["answers"]
