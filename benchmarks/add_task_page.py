"""From the seconds that `add_task.py` measured to its figures and its page. Spreads go from first to third quartile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from peers.training_rig import DATA, FULL, LORA_RANK, LORAS

OURS, ADAPTERS, PEFT = "ours", "adapters", "peft"  # the processes
TRUNK_PASS = "trunk pass"
EPOCHS = 8  # over which the trunk pass is spread in the effective speed
AIM = 3.0  # times the speed of the adapters library
Key = tuple[str, str]  # process, contestant
Seconds = Mapping[Key, Sequence[float]]  # of each round, to go through all rows once


def summary(measured: Seconds, rows: int, ranks: Sequence[int]) -> dict[str, Any]:
    """Speeds of all contestants, and how many times as fast as theirs ours are. Ratios are taken round by round."""
    seconds = {key: np.array(times) for key, times in measured.items()}
    for rank in ranks:
        every_epoch = seconds[OURS, f"bottleneck r={rank}, upper half, trunk kept"]
        name = f"bottleneck r={rank}, upper half, {EPOCHS} epochs and their trunk pass"
        seconds[OURS, name] = every_epoch + seconds[OURS, TRUNK_PASS] / EPOCHS
    units = {key: seconds[key[0], FULL] / times for key, times in seconds.items()}
    speeds = [
        {
            "process": key[0],
            "name": key[1],
            "examples_per_second": quartiles(rows / times),
            "times_full_fine_tuning": quartiles(units[key]),
        }
        for key, times in seconds.items()
    ]
    ratios = [
        {
            "rank": rank,
            "ours": ours[1],
            "theirs": theirs[1],
            "in_units": quartiles(units[ours] / units[theirs]),
            "direct": quartiles(seconds[theirs] / seconds[ours]),
        }
        for rank in ranks
        for ours in _of(OURS, rank, seconds)
        for theirs in _of(ADAPTERS, rank, seconds)
        if "upper half" in ours[1] or "all blocks" in theirs[1]
    ]
    kept = [key for key in seconds if key[0] == OURS and key[1].endswith("trunk kept")]
    beside = [
        {
            "ours": ours[1],
            "theirs": f"{theirs[0]} {theirs[1]}",
            "in_units": quartiles(units[ours] / units[theirs]),
            "direct": quartiles(seconds[theirs] / seconds[ours]),
        }
        for ours in kept
        for theirs in seconds
        if theirs[0] == PEFT and (theirs[1] == FULL or "bottleneck" in ours[1] or _lora_of(ours) == _lora_of(theirs))
    ]
    return {"speeds": speeds, "ratios": ratios, "beside": beside}


def _of(process: str, rank: int, seconds: Mapping[Key, object]) -> list[Key]:
    return [key for key in seconds if key[0] == process and f" r={rank}," in key[1]]


def _lora_of(key: Key) -> str | None:
    """Where the LoRA of a contestant acts."""
    return next((name for name in LORAS if f"lora r={LORA_RANK}, {name}," in key[1]), None)


def quartiles(values: np.ndarray) -> list[float]:
    """First quartile, median, third quartile."""
    return [float(f"{value:.4g}") for value in np.percentile(values, (25, 50, 75))]


def page(figures: Mapping[str, Any]) -> str:
    """Everything as Markdown."""
    machine, versions = figures["machine"], figures["versions"]
    lines = [
        "# Training one adapter: examples per second",
        "",
        f"- made by `{figures['command']}`",
        f"- {machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, {machine['system']}; "
        f"load average at the end {', '.join(map(str, machine['load']))}",
        f"- Python {versions['python']}; ours: {_named(versions[OURS])}; the libraries: {_named(versions[ADAPTERS])}; "
        f"{_named(versions[PEFT])}",
        f"- MiniLM-L6, float32, batches of {figures['batch_size']}, {figures['rows']} rows an epoch, AdamW (fused), "
        "gradients clipped; median and quartiles of "
        f"{figures['rounds']} interleaved rounds after a warm-up"
        f"{'; processor time' if machine['threads'] == 1 else ''}",
        "- × FT: in units of full fine-tuning in the same process, which takes out what versions of transformers do "
        "differently",
        "- as usual in plain loops, the libraries, full fine-tuning and the head run the base with its dropout (but "
        "for the rows that say no dropout); ours trains on the base's exact states",
        "- ours is an epoch after the first of `train_adapter` itself, its padding, schedule and a validation of one row "
        "counted; the others are handed padded tensors",
        "",
        _headline(figures),
    ]
    for data, words in DATA.items():
        lines += ["", f"## {data}: {words}", "", *_speeds(figures["data"][data]["speeds"])]
        lines += ["", *_ratios("adapters", figures["data"][data]["ratios"])]
        lines += ["", *_ratios("peft", figures["data"][data]["beside"])]
    return "\n".join(lines) + "\n"


def _headline(figures: Mapping[str, Any]) -> str:
    said = []
    for data in DATA:
        for ratio in figures["data"][data]["ratios"]:
            if "trunk kept" in ratio["ours"] and ratio["theirs"].endswith("all blocks"):
                verdict = "reached" if ratio["in_units"][1] >= AIM else "missed"
                said.append(
                    f"- {data}, rank {ratio['rank']}: **{_spread(ratio['in_units'])}** in units of full fine-tuning, "
                    f"{_spread(ratio['direct'])} directly; {verdict}"
                )
    return "\n".join(
        [
            f"Aim: at least {AIM:g} times as fast as the library's seq_bn, which stands in all blocks:",
            "",
            *said,
        ]
    )


def _speeds(speeds: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["| process | trains | examples/s | × FT |", "|---|---|---|---|"]
    return lines + [
        f"| {one['process']} | {one['name']} | {_spread(one['examples_per_second'])} | "
        f"{_spread(one['times_full_fine_tuning'])} |"
        for one in speeds
    ]


def _ratios(library: str, ratios: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [f"| ours | {library} | times as fast, in units of FT | directly |", "|---|---|---|---|"]
    return lines + [
        f"| {one['ours']} | {one['theirs']} | {_spread(one['in_units'])} | {_spread(one['direct'])} |" for one in ratios
    ]


def _spread(three: Sequence[float]) -> str:
    low, middle, high = (f"{value:.0f}" if value >= 100 else f"{value:.3g}" for value in three)
    return f"{middle} ({low}–{high})"


def _named(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
