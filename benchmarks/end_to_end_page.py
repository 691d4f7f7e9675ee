"""From the figures of `end_to_end.py` to its page. Spreads go from first to third quartile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.end_to_end_passes import ROUTED
from benchmarks.measuring import spread

OURS, PIPELINE, SORTED = "portfolio predict", "transformers.pipeline", "transformers.pipeline, sorted by hand"
PASS_AIM, TEXTS_AIM = 1.25, 2.0


def page(figures: Mapping[str, Any]) -> str:
    """Everything as Markdown."""
    machine, versions, files = figures["machine"], figures["versions"], figures["files"]
    threads = "1 thread" if machine["threads"] == 1 else f"{machine['threads']} threads"
    lines = [
        "# Routed inference, end to end",
        "",
        f"- made by `{figures['command']}`",
        f"- {machine['cpu']}, {machine['cores']} cores, {threads}, {machine['clock']}, {machine['system']}; load average "
        f"{', '.join(map(str, machine['load']))}",
        f"- {', '.join(f'{name} {version}' for name, version in versions.items())}; MiniLM-L6, float32",
        "- time does not depend on what adapters know: portfolios that are not there yet are grown from few rows in one epoch",
        "",
        f"## One pass: 32 texts in, 32 answers out (aim: routed in at most {PASS_AIM:g} × base)",
        "",
        "In units of the base's plain forward pass over the same padded batch, which begins with token numbers and ends with "
        f"states. Median and quartiles of {figures['rounds']} rounds, each with other texts. `asked`: share of texts for which "
        "the bare base's upper blocks were run too, as the trunk's features were not sure. A separate embedding model is the "
        "same base run once to embed, then once with the adapters; choosing by the embedding is not counted. `predict` cuts a "
        "batch of unlike lengths so that less is padded, which the unit does not do: the base alone, cut the same way, and the "
        "separate model, cut likewise, stand beside it. Synthetic tasks "
        "know none of these texts, so the router is as unsure as it can be.",
        "",
        "| portfolio | texts | tokens | asked | way | × base | ms |",
        "|---|---|---|---|---|---|---|",
        *[
            f"| {one['portfolio']} | {one['texts']} | {one['tokens']:g} | {100 * one['asked']:.0f} % | {one['way']} | "
            f"{'**' if one['way'] == ROUTED else ''}{spread(one['times_base'])}{'**' if one['way'] == ROUTED else ''} | "
            f"{spread(one['ms'])} |"
            for one in figures["passes"]
        ],
        "",
        f"## Files: {files['texts']:,} texts in, answers out (aim: {TEXTS_AIM:g} × the texts a second of the pipeline)",
        "",
        f"Test texts of {', '.join(files['sets'])} in mixed order; at most {files['max_tokens']} tokens each. Ours is the "
        "command line, routed among ten tasks, with every field of every route written. The pipeline has one model of the "
        "same base, told the task, with a head of random weights, as only its speed counts; batches of 32, label and score "
        "written. Sorted by hand, its texts come by length and are put back in order: what its user may do, and ours does. "
        f"Work from opening portfolio or model to the closed file, imports done; {files['rounds']} rounds.",
        "",
        "| way | texts a second | seconds | portfolio predict is | start of the process with one text, seconds |",
        "|---|---|---|---|---|",
        *[
            f"| {way} | {spread(one['texts_per_second'])} | {spread(one['seconds'])} | "
            f"{'' if way == OURS else spread(one['ours_is_times']) + ' × as fast'} | "
            f"{spread(files['start_s'][way]) if way in files['start_s'] else ''} |"
            for way, one in files["ways"].items()
        ],
    ]
    return "\n".join(lines) + "\n"
