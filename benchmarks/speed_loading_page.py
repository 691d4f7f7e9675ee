"""From the seconds that `speed_loading.py` measured to its figures and its page. Spreads go from first to third quartile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.measuring import quartiles, spread
from benchmarks.peers.speed_loading_rig import LORA_RANK, RANK, Loads
from benchmarks.speed_page import machine_lines

OURS = "ours"
READ, DIGEST, SAFETENSORS = (
    "our files, open().read()",
    "our files, read and SHA-256",
    "our files, safetensors load_file",
)
AIM = 3.0  # times reading the files


@dataclass(frozen=True, kw_only=True)
class Goes:
    """One number of adapters, loaded again and again."""

    by: str
    method: str
    head_bytes: int  # of an adapter's files
    loads: Sequence[Loads]


def summary(goes: Sequence[Goes]) -> list[dict[str, Any]]:
    """For each: bytes, seconds in all and of the first and the last adapter, times reading the same files in that round."""
    return [
        {
            "by": one.by,
            "method": one.method,
            "adapters": len(one.loads[0].seconds),
            "rounds": len(one.loads),
            "bytes": one.loads[0].bytes,
            "head_bytes": one.head_bytes,
            "seconds": quartiles([sum(load.seconds) for load in one.loads]),
            "first_ms": quartiles([1e3 * load.seconds[0] for load in one.loads]),
            "last_ms": quartiles([1e3 * load.seconds[-1] for load in one.loads]),
            "reading_seconds": quartiles([load.reading for load in one.loads]),
            "times_reading": quartiles([sum(load.seconds) / load.reading for load in one.loads]),
            "times_safetensors": _times_safetensors(one.loads),
        }
        for one in goes
    ]


def _times_safetensors(loads: Sequence[Loads]) -> list[float] | None:
    """None for another library's files."""
    ratios = [sum(load.seconds) / load.safetensors for load in loads if load.safetensors]
    return quartiles(ratios) if ratios else None


def verdict(times: Sequence[float]) -> str:
    """Of the aim, by the median."""
    return "reached" if times[1] <= AIM else "missed"


def page(figures: Mapping[str, Any]) -> str:
    """Everything as Markdown."""
    lines = [
        "# Adapters from disk",
        "",
        *machine_lines(figures),
        f"- MiniLM-L6, float32; bottlenecks of rank {RANK} in all blocks, LoRA r = {LORA_RANK} beside all 36 linear layers; "
        "random weights; the files are in the system's memory already",
        "- ours is `load_passes`, which checks the digest, and `Bank.add`; its bytes are those of adapter and head (15 "
        "labels), the others have no head",
        "- first: into a base without any adapter; last: the last one of so many; × reading: seconds in all, to those of "
        "`open().read()` on the same files in the same round",
        "- peft takes longer for each adapter than for the one before, so its hundred are loaded once only",
        "",
        f"Aim: at most {AIM:g} × reading the files, as bytes or as tensors:",
        "",
    ]
    for one in figures["loads"]:
        if one["by"] == OURS:
            lines.append(
                f"- {one['adapters']:,} of {one['method']}: **{spread(one['times_reading'])}** × `open().read()` "
                f"({verdict(one['times_reading'])}), **{spread(one['times_safetensors'])}** × safetensors "
                f"({verdict(one['times_safetensors'])})"
            )
    lines += [
        "",
        "| adapters | number | by | rounds | KB each | of which head | first, ms | last, ms | all, s | × reading |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in sorted(figures["loads"], key=lambda one: (one["method"], one["adapters"])):  # stable: ours first
        lines.append(
            f"| {one['method']} | {one['adapters']:,} | {one['by']} | {one['rounds']} | {one['bytes'] / 1e3:.0f} | "
            f"{one['head_bytes'] / 1e3:.0f} | {spread(one['first_ms'])} | {spread(one['last_ms'])} | "
            f"{spread(one['seconds'])} | {spread(one['times_reading'])} |"
        )
    return "\n".join(lines) + "\n"
