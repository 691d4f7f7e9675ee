"""All figures about speed on one page: `RESULTS.md`, made from the JSON files in `results/`.

    python benchmarks/results_page.py

A part without a JSON file is named with the command that makes it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this file's directory, whose routing.py hides the package

from benchmarks.results_readers import (
    Answer,
    Figures,
    Row,
    loading,
    many_bottlenecks,
    many_loras,
    mixes,
    one_adapter,
    other_numbers,
    routed_pass,
    texts_per_second,
    training,
    verdict,
)

HERE = Path(__file__).parent
DATA = "PORTFOLIO_DATA=DIR "


@dataclass(frozen=True, slots=True)
class Part:
    """One benchmark: `results/NAME.json` and `NAME.md`, made by `NAME.py`."""

    name: str
    title: str
    before: str = ""  # of the command
    after: str = ""

    @property
    def command(self) -> str:
        return f"{self.before}python benchmarks/{self.name}.py{self.after}"


PARTS = (
    Part("speed", "Many adapters in one batch"),
    Part("end_to_end", "Routed inference, file in, answers out", before=DATA),
    Part("other_numbers", "bfloat16, int8, compiled", before=DATA),
    Part("add_task", "Training one adapter"),
    Part("side_by_side", "Several tasks learned side by side"),
    Part("speed_loading", "Adapters from disk"),
    Part("many_adapters", "10,000 adapters in one portfolio", after=" --portfolio DIR"),
    Part("growth", "The cost of growth"),
    Part("start_up", "Start-up", after=" --work DIR"),
    Part("releases", "Releases", after=" --work DIR"),
    Part("fusion_speed", "AdapterFusion"),
)

ROWS = (
    Row(what="one adapter, batch 32 × 32 tokens", aim="≤ 1.05", part="speed", read=one_adapter),
    Row(
        what="8 and 32 different bottleneck adapters in a batch of 32, shuffled",
        aim="≤ 1.08",
        part="speed",
        read=many_bottlenecks,
    ),
    Row(what="the same with LoRA r = 8 on all 36 linear layers", aim="≤ 1.12", part="speed", read=many_loras),
    Row(what="every row a mix of 2 bottleneck adapters", aim="≤ 1.15", part="speed", read=mixes),
    Row(what="routed inference, one pass", aim="≤ 1.25", part="end_to_end", read=routed_pass),
    Row(
        what="10,000 real texts of mixed length, file in, answers out",
        aim="≥ 2 × the texts per second",
        part="end_to_end",
        read=texts_per_second,
    ),
    Row(
        what="the same in bfloat16 or int8, with accuracy change",
        aim="≤ 0.6 of float32's time",
        part="other_numbers",
        read=other_numbers,
    ),
    Row(
        what="training step, rank 16 bottleneck, after the first epoch",
        aim="≥ 3 × adapters' examples per second",
        part="add_task",
        read=training,
    ),
    Row(
        what="bytes per task on disk; milliseconds to load one; seconds to load 100 and 1,000",
        aim="≤ 3 × reading the files",
        part="speed_loading",
        read=loading,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What is on disk."""

    figures: Mapping[str, Figures]  # part -> its JSON
    pages: Mapping[str, str]  # part -> its Markdown


def main() -> None:
    results = read_results(HERE / "results")
    (HERE / "RESULTS.md").write_text(page(results), encoding="utf-8")
    missing = [part.command for part in PARTS if part.name not in results.figures]
    for command in missing:
        print(f"not measured yet: {command}", file=sys.stderr)


def read_results(directory: Path) -> Results:
    def texts(ending: str) -> dict[str, str]:
        files = {part.name: directory / f"{part.name}{ending}" for part in PARTS}
        return {name: file.read_text(encoding="utf-8") for name, file in files.items() if file.exists()}

    return Results(
        figures={name: json.loads(text) for name, text in texts(".json").items()},
        pages=texts(".md"),
    )


def page(results: Results) -> str:
    """Everything as Markdown."""
    lines = [
        "# Speed",
        "",
        "`make bench` makes this page and every figure on it (`BENCH=quick make bench` for a rough look that writes "
        "nothing); `python benchmarks/results_page.py` makes the page again from the figures in "
        "[results/](results). Ratios are to the plain forward pass of the base in the same process; medians, with "
        "quartiles in brackets. Where an aim is missed, the table says so.",
        "",
        "| what | aim | ours | peers | met? |",
        "|---|---|---|---|---|",
        *[_row(row, results) for row in ROWS],
        "",
        "## When, where and with what",
        "",
        "| part | measured | made by | machine | versions |",
        "|---|---|---|---|---|",
        *[_origin(part, results) for part in PARTS],
    ]
    for part in PARTS:
        lines += ["", f"## {part.title}", "", *_section(part, results)]
    return "\n".join(lines) + "\n"


def _row(row: Row, results: Results) -> str:
    part = next(one for one in PARTS if one.name == row.part)
    if part.name not in results.figures:
        return f"| {row.what} | {row.aim} | not measured yet: `{part.command}` | | |"
    try:
        answer = row.read(results.figures[part.name])
    except (KeyError, IndexError, TypeError) as error:  # a part has changed its JSON and not its reader
        return f"| {row.what} | {row.aim} | not found in results/{part.name}.json ({error!r}); see below | | |"
    return f"| {row.what} | {row.aim} | {_ours(answer)} | {_peers(answer)} | {verdict(answer)} |"


def _ours(answer: Answer) -> str:
    return "<br>".join(f"{one.what}: **{one.value}**" for one in answer.ours)


def _peers(answer: Answer) -> str:
    return "<br>".join(f"{who}: {value}" for who, value in answer.peers) or "none has it"


def _origin(part: Part, results: Results) -> str:
    if part.name not in results.figures:
        return f"| {part.title} | **not yet** | `{part.command}` | | |"
    figures = results.figures[part.name]
    cells = (
        figures.get("date", "without a date"),
        f"`{figures.get('command', part.command)}`",
        _machine(figures.get("machine", "not said")),
        _versions(figures.get("versions", "not said")),
    )
    return f"| [{part.title}](results/{part.name}.json) | {' | '.join(map(str, cells))} |"


def _machine(machine: object) -> str:
    if not isinstance(machine, Mapping):
        return str(machine)
    return ", ".join(f"{name} {_plain(value)}" for name, value in machine.items())


def _versions(versions: object) -> str:
    """Every package once, also where several processes have it."""
    if not isinstance(versions, Mapping):
        return str(versions)
    said: dict[str, None] = {}
    for name, value in versions.items():
        for package, version in value.items() if isinstance(value, Mapping) else ((name, value),):
            said[f"{package} {version}"] = None
    return ", ".join(said)


def _plain(value: object) -> str:
    return "/".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)


def _section(part: Part, results: Results) -> list[str]:
    """The part's own page under its title here."""
    if part.name not in results.figures:
        return [f"Not measured yet; make it with `{part.command}`."]
    raw = f"Raw figures: [results/{part.name}.json](results/{part.name}.json)."
    if part.name not in results.pages:
        return [raw, "", f"They have no page of their own: results/{part.name}.md is missing."]
    lines = results.pages[part.name].strip().splitlines()
    if lines[0].startswith("# "):
        lines = lines[1:]
    lowered = [f"#{line}" if line.startswith("#") else line for line in lines]
    return [raw, "", *("\n".join(lowered).strip().splitlines())]


if __name__ == "__main__":
    main()
