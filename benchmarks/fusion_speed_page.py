"""From the passes that `fusion_speed.py` measured to its figures and its page. Spreads go from first to third quartile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.measuring import quartiles, spread
from benchmarks.peers.fusion_rig import FORWARD, RANK, ROWS, STEP, Case, Pass

OURS, LIBRARY = "ours", "adapters"  # the two processes
AIM, AIM_AT = 1.3, 8  # times the base's forward pass, members
TOLERANCE = 1e-5
MB = 1e6


@dataclass(frozen=True)
class Key:
    """Who ran what."""

    process: str
    case: Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Everything that was measured."""

    passes: Mapping[Key, Sequence[Pass]]
    peak_bytes: Mapping[Key, int]
    base_peak_bytes: Mapping[str, int]  # by process, of its plain forward pass


def summary(measured: Measured) -> dict[str, Any]:
    """For each case: times the base's forward pass, milliseconds, examples a second, memory. Ratios are taken pass by pass."""
    return {
        "base": {
            process: {
                "ms": quartiles([1e3 * one.base_seconds for one in _passes_of(process, measured)]),
                "peak_mb": round(peak / MB, 1),
            }
            for process, peak in measured.base_peak_bytes.items()
        },
        "cases": [
            {
                "process": key.process,
                **asdict(key.case),
                "times_base": quartiles([one.seconds / one.base_seconds for one in passes]),
                "ms": quartiles([1e3 * one.seconds for one in passes]),
                "examples_per_second": quartiles([ROWS / one.seconds for one in passes]),
                "peak_mb": round(measured.peak_bytes[key] / MB, 1),
                "mb_beyond_base": round((measured.peak_bytes[key] - measured.base_peak_bytes[key.process]) / MB, 1),
            }
            for key, passes in measured.passes.items()
        ],
    }


def _passes_of(process: str, measured: Measured) -> list[Pass]:
    return [one for key, passes in measured.passes.items() if key.process == process for one in passes]


def page(figures: Mapping[str, Any]) -> str:
    """Everything as Markdown."""
    machine, versions = figures["machine"], figures["versions"]
    forward = [case for case in figures["cases"] if case["what"] == FORWARD]
    steps = [case for case in figures["cases"] if case["what"] == STEP]
    lines = [
        "# What AdapterFusion costs",
        "",
        f"- made by `{figures['command']}`",
        f"- {machine['cpu']}, {machine['cores']} cores, {_threads(machine['threads'])}, {machine['clock']}, "
        f"{machine['system']}; load average at the end {', '.join(map(str, machine['load']))}",
        f"- Python {versions['python']}; ours: {_named(versions[OURS])}; the library: {_named(versions[LIBRARY])}",
        f"- MiniLM-L6, float32, {ROWS} rows of 32 tokens, bottlenecks of rank {RANK} after every feed-forward layer; "
        f"median and quartiles of {figures['rounds']} rounds in changing order after a warm-up",
        "- × base: in units of the same process's plain forward pass of the base, one just before each case; "
        f"it takes {spread(figures['base'][OURS]['ms'])} ms here, "
        f"{spread(figures['base'][LIBRARY]['ms'])} ms in the library's process",
        "- ours is `Host.run`: the pooled features of four blocks, which heads and router read, are counted",
        "",
        _headline(forward),
        "",
        "## Forward pass, × base",
        "",
        *_by_members(forward, lambda case: spread(case["times_base"])),
        "",
        "## Memory of a forward pass",
        "",
        "Peak of the tensors made, in MB; the base's own forward pass takes "
        f"{figures['base'][OURS]['peak_mb']:g} here, {figures['base'][LIBRARY]['peak_mb']:g} in the library's process.",
        "",
        *_by_members(forward, lambda case: f"{case['peak_mb']:.1f}"),
        "",
        f"## Training step, {steps[0]['members']} members",
        "",
        "Forward, backward and AdamW step of fusions and head, the members and the base frozen. As its training does, the "
        "library runs the base with dropout; the rows without it are like ours.",
        "",
        "| process | form | blocks | examples/s | × base | peak MB |",
        "|---|---|---|---|---|---|",
        *[
            f"| {case['process']} | {case['form']} | {case['blocks']} | {spread(case['examples_per_second'])} | "
            f"{spread(case['times_base'])} | {case['peak_mb']:.1f} |"
            for case in steps
        ],
        "",
        "## Same numbers",
        "",
        *_agreement(figures["numbers"]),
    ]
    return "\n".join(lines) + "\n"


def _headline(forward: Sequence[Mapping[str, Any]]) -> str:
    said = []
    for case in forward:
        if case["form"] in ("folded", "Fuse") and case["members"] == AIM_AT:
            verdict = "" if case["process"] != OURS else "; reached" if case["times_base"][1] <= AIM else "; missed"
            said.append(f"- {case['process']}, {case['blocks']}: **{spread(case['times_base'])}**{verdict}")
    return "\n".join([f"Aim: folded fusion of {AIM_AT} members in at most {AIM:g} × base:", "", *said])


def _by_members(cases: Sequence[Mapping[str, Any]], shown: Any) -> list[str]:
    """One row for each form, one column for each number of members."""
    counts = sorted({case["members"] for case in cases if case["members"]})
    rows: dict[tuple[str, str, str], dict[int, str]] = {}
    for case in cases:
        rows.setdefault((case["blocks"], case["process"], case["form"]), {})[case["members"]] = shown(case)
    head = f"| blocks | process | form | {' | '.join(f'{count} members' for count in counts)} |"
    lines = [head, "|" + "---|" * (3 + len(counts))]
    for row, cells in sorted(rows.items(), key=lambda pair: pair[0][0]):  # stable: forms stay in the order measured
        cells_shown = [cells.get(count, cells.get(0, "")) for count in counts]
        lines.append(f"| {' | '.join([*row, *cells_shown])} |")
    return lines


def _agreement(numbers: Mapping[str, Any]) -> list[str]:
    verdict = "reached" if numbers["folded"] <= TOLERANCE else "missed"
    return [
        f"One fusion after {numbers['steps']} steps on random labels: ‖W_v − I‖ is {numbers['value_moved']:.2f}, the "
        f"largest weight of a token {numbers['largest_weight']:.2f} on average, the largest output "
        f"{numbers['largest_output']:.3g}. Largest differences over {numbers['values']:,} numbers at all sites:",
        "",
        f"- folded form and the paper's formula in float64, token by token: **{numbers['folded']:.1e}** "
        f"(aim {TOLERANCE:g}: {verdict})",
        f"- form for training and the formula: {numbers['trainable']:.1e}",
        f"- the library's own fusion layer, given the same matrices, and the formula: {numbers['library']:.1e}",
        f"- folded form and the library's layer: {numbers['folded_library']:.1e}",
    ]


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _named(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
