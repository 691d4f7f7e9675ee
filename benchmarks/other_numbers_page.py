"""From the figures of `other_numbers.py` to its page. Spreads go from first to third quartile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.measuring import spread

AIM = 0.6  # times float32


def page(figures: Mapping[str, Any]) -> str:
    """Everything as Markdown."""
    machine, versions, settings = figures["machine"], figures["versions"], figures["settings"]
    threads = "1 thread" if machine["threads"] == 1 else f"{machine['threads']} threads"
    lines = [
        "# bfloat16, int8, compiled",
        "",
        f"- made by `{figures['command']}`",
        f"- {machine['cpu']}, {machine['cores']} cores, {threads}, {machine['clock']}, {machine['system']}; load average "
        f"{', '.join(map(str, machine['load']))}",
        f"- {', '.join(f'{name} {version}' for name, version in versions.items())}; MiniLM-L6, ten CLINC150 domains",
        "",
        f"## Time (aim: bfloat16 or int8 at most {AIM:g} × float32)",
        "",
        "The base alone: a forward pass of 32 rows of 32 tokens. Routed: texts in, answers out. Each in units of float32, "
        f"measured just before it; median and quartiles of {figures['rounds']} rounds. Nothing was compiled before: that is "
        "in the seconds to the first answers, and comes again for the next process only as far as torch keeps it on disk.",
        "",
        "| setting | base, × float32 | routed, × float32 | ms a text | MB of weights | s to make ready | s to first answers |",
        "|---|---|---|---|---|---|---|",
        *[
            f"| {one['name']} | {spread(one['forward_times_float32'])} | {spread(one['routed_times_float32'])} | "
            f"{spread(one['routed_ms_a_text'])} | {one['weight_mb']:g} | {one['ready_s']:.1f} | {one['first_s']:.1f} |"
            for one in settings
        ],
        "",
        f"Loading the base itself takes {figures['load_s']:g} s more.",
        "",
        "## Answers",
        "",
        f"Routed among the ten tasks, each text answered; {figures['rows']['validation']:,} validation rows, by which "
        f"settings were chosen, and {figures['rows']['test']:,} test rows. Trained in float32, whatever runs it.",
        "",
        "| setting | right, validation | right, test | other label than float32, test | other task, test |",
        "|---|---|---|---|---|",
        *[
            f"| {one['name']} | {100 * one['validation']['right']:.2f} % | {100 * one['test']['right']:.2f} % | "
            f"{100 * one['test']['other_label']:.2f} % | {100 * one['test']['other_task']:.2f} % |"
            for one in settings
        ],
    ]
    return "\n".join(lines) + "\n"
