"""From the seconds that `growth.py` measured to its page."""

from __future__ import annotations

from typing import Any

AIM = 1.2  # at the largest, of what it costs at the smallest


def page(figures: dict[str, Any]) -> str:
    """Markdown: one column a size."""
    sizes = figures["sizes"]
    first = next(iter(sizes.values()))
    rows = [("open", [one["opening"] for one in sizes.values()])]
    rows.append(("**add a task**", [one["add"]["total"] for one in sizes.values()]))
    for stage in first["add"]["stages"]:
        rows.append((f"– {stage}", [one["add"]["stages"][stage] for one in sizes.values()]))
    rows.append(("**remove it**", [one["remove"]["total"] for one in sizes.values()]))
    for stage in ("router", "measuring", "commit", "rest"):
        rows.append((f"– {stage}", [one["remove"]["stages"][stage] for one in sizes.values()]))
    rows.append(("report", [one["report"] for one in sizes.values()]))
    rows.append(("add a task, the router anew", [one["anew"]["total"] for one in sizes.values()]))
    rows.append(("measure without a neighbour", [one["neighbour"]["seconds"] for one in sizes.values()]))
    lines = [
        f"| seconds, with so many tasks already | {' | '.join(f'{int(size):,}' for size in sizes)} |",
        f"|---|{'---|' * len(sizes)}",
        *(f"| {name} | {' | '.join(f'{seconds:.2f}' for seconds in row)} |" for name, row in rows),
    ]
    ratios = [one["add"]["total"] / first["add"]["total"] for one in sizes.values()]
    lines.append(f"| **add a task, of the first column** | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |")
    looked = [f"{one['neighbour']['looked_at']:,} of {one['neighbour']['rows']:,}" for one in sizes.values()]
    lines.append(f"| test rows looked at again without the neighbour | {' | '.join(looked)} |")
    return "\n".join(
        [
            f"Medians of {figures['rounds']} rounds, processor time of one thread; the aim is {AIM} at the most. "
            f"`{figures['command']}`",
            "",
            *lines,
            "",
        ]
    )
