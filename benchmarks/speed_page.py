"""From the passes that `speed.py` measured to its figures and its page. Spreads go from first to third quartile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.measuring import quartiles, spread
from benchmarks.peers.fusion_rig import Pass
from benchmarks.peers.speed_rig import (
    BOTTLENECK,
    EFFECT,
    EIGHT,
    LONG,
    LORA,
    NO_ADAPTER,
    ONE,
    PAIRS,
    THIRTY_TWO,
    TOLERANCE,
    Case,
    Check,
)

OURS = "ours"
AIMS: Mapping[
    tuple[str, str], float
] = {  # method, use: at most so many times the base, in a batch of 32 rows of 32 tokens
    (BOTTLENECK, ONE): 1.05,
    (LORA, ONE): 1.05,
    (BOTTLENECK, EIGHT): 1.08,
    (BOTTLENECK, THIRTY_TWO): 1.08,
    (LORA, EIGHT): 1.12,
    (LORA, THIRTY_TWO): 1.12,
    (BOTTLENECK, PAIRS): 1.15,
}


@dataclass(frozen=True)
class Key:
    """Who ran what."""

    process: str
    case: Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Everything that was measured."""

    passes: Mapping[Key, Sequence[Pass]]
    checks: Mapping[Key, Check]


def is_right(use: str, check: Check) -> bool:
    """Each row is what it is alone, and the adapters did something."""
    return check.difference <= TOLERANCE and (use == NO_ADAPTER or check.effect >= EFFECT)


def summary(measured: Measured) -> dict[str, Any]:
    """For each case: times the base's forward pass, milliseconds, the check, raw seconds. Ratios are taken pass by pass."""
    return {
        "base_ms": _base_ms(measured),
        "cases": [
            {
                "process": key.process,
                **asdict(key.case),
                "times_base": quartiles([one.seconds / one.base_seconds for one in passes]),
                "ms": quartiles([1e3 * one.seconds for one in passes]),
                **asdict(measured.checks[key]),
                "right": is_right(key.case.use, measured.checks[key]),
                "seconds": [[round(one.seconds, 5), round(one.base_seconds, 5)] for one in passes],
            }
            for key, passes in measured.passes.items()
        ],
    }


def _base_ms(measured: Measured) -> dict[str, dict[str, list[float]]]:
    """Process -> rows × tokens -> milliseconds of the plain forward pass."""
    found: dict[str, dict[str, list[float]]] = {}
    for key, passes in measured.passes.items():
        shape = f"{key.case.rows} × {key.case.tokens}"
        found.setdefault(key.process, {}).setdefault(shape, []).extend(1e3 * one.base_seconds for one in passes)
    return {process: {shape: quartiles(ms) for shape, ms in shapes.items()} for process, shapes in found.items()}


def page(figures: Mapping[str, Any]) -> str:
    """Everything as Markdown."""
    cases = figures["cases"]
    shapes = sorted({(case["rows"], case["tokens"]) for case in cases}, key=lambda shape: shape != LONG)
    lines = [
        "# Many adapters in one batch",
        "",
        *machine_lines(figures),
        f"- MiniLM-L6, float32, made-up tokens, random weights; median and quartiles of {figures['rounds']} rounds in "
        "changing order after a warm-up",
        "- all figures in units of the same process's plain forward pass of the base over the same rows, one just before "
        "each pass",
        "- ours is what every batch of a portfolio takes: making the plan, the pass with pooled features of four blocks, "
        "the heads; the others' passes end at the last states",
        "- BatchSplit is given its rows sorted by adapter, as it needs them; all others get them shuffled",
        "- bottlenecks stand after the feed-forward layer (Pfeiffer), LoRA beside all 36 linear layers",
        f"- every row is compared with the same row run alone: WRONG marks a case that is further than {TOLERANCE:g} "
        "from it, or in which some adapter did nothing",
        "",
        *_headline(cases),
    ]
    for rows, tokens in shapes:
        here = [case for case in cases if (case["rows"], case["tokens"]) == (rows, tokens)]
        base = ", ".join(
            f"{spread(ms[f'{rows} × {tokens}'])} ms in the process of {process}"
            for process, ms in figures["base_ms"].items()
            if f"{rows} × {tokens}" in ms
        )
        lines += ["", f"## {rows} rows of {tokens} tokens, × base", "", f"The base takes {base}.", "", *_table(here)]
    lines += ["", "## The numbers", "", *_numbers(cases)]
    return "\n".join(lines) + "\n"


def machine_lines(figures: Mapping[str, Any]) -> list[str]:
    """What a page of ours says of the command, the machine and the versions."""
    machine, versions = figures["machine"], figures["versions"]
    of_each = [f"{name}: {_named(of)}" for name, of in versions.items() if name != "python"]
    return [
        f"- made by `{figures['command']}`, {figures['date']}",
        f"- {machine['cpu']}, {machine['cores']} cores, {_threads(machine['threads'])}, {machine['clock']}, "
        f"{machine['system']}; load average at the end {', '.join(map(str, machine['load']))}",
        f"- Python {versions['python']}; {'; '.join(of_each)}",
    ]


def cell(case: Mapping[str, Any]) -> str:
    """`1.05 (1.04–1.06)`, with a mark where the numbers are wrong."""
    return spread(case["times_base"]) + ("" if case["right"] else " WRONG")


def reached(case: Mapping[str, Any]) -> bool | None:
    """Whether a case of ours keeps its aim; None where there is none."""
    aim = AIMS.get((case["method"], case["use"]))
    if case["by"] != OURS or aim is None or (case["rows"], case["tokens"]) != LONG:
        return None
    return bool(case["right"] and case["times_base"][1] <= aim)


def _headline(cases: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["| adapters | rank | blocks | rows | aim | ours | |", "|---|---|---|---|---|---|---|"]
    for case in cases:
        kept = reached(case)
        if kept is not None:
            lines.append(
                f"| {case['method']} | {case['rank']} | {case['blocks']} | {case['use']} | "
                f"≤ {AIMS[case['method'], case['use']]:g} | **{cell(case)}** | {'reached' if kept else 'missed'} |"
            )
    return lines


def _table(cases: Sequence[Mapping[str, Any]]) -> list[str]:
    """One row for each contestant and kind of adapter, one column for each use."""
    uses = list(dict.fromkeys(case["use"] for case in cases))
    rows: dict[tuple[str, str, str, str], dict[str, str]] = {}
    for case in cases:
        kind = (case["method"], str(case["rank"] or "all"), case["blocks"], case["by"])
        rows.setdefault(kind, {})[case["use"]] = cell(case)
    lines = [f"| adapters | rank | blocks | by | {' | '.join(uses)} |", "|" + "---|" * (4 + len(uses))]
    for kind, cells in sorted(rows.items(), key=lambda pair: pair[0][:3]):  # stable: ours first
        lines.append(f"| {' | '.join([*kind, *[cells.get(use, '') for use in uses]])} |")
    return lines


def _numbers(cases: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "Largest difference of any state from the same row run alone by the same contestant; and how far the least changed "
        "row with an adapter lies from the bare base.",
        "",
        "| by | adapters | largest difference | least effect | |",
        "|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for case in cases:
        groups.setdefault((case["by"], case["method"]), []).append(case)
    for (by, method), here in groups.items():
        difference = max(case["difference"] for case in here)
        effects = [case["effect"] for case in here if case["use"] != NO_ADAPTER]
        verdict = "right" if all(case["right"] for case in here) else "WRONG"
        lines.append(
            f"| {by} | {method} | {f'{difference:.1e}' if difference else 'none'} | {min(effects, default=0):.2g} | {verdict} |"
        )
    return lines


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _named(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
