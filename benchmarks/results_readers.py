"""From each part's figures to the rows of the first table in `RESULTS.md`: one small function for each row.

A reader takes the JSON of its part as it is on disk. Where a part changes the shape of its JSON, its reader changes here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.end_to_end_page import OURS as PREDICT
from benchmarks.end_to_end_page import PASS_AIM, PIPELINE, TEXTS_AIM
from benchmarks.end_to_end_passes import ROUTED
from benchmarks.measuring import spread
from benchmarks.other_numbers_page import AIM as NUMBERS_AIM
from benchmarks.peers.speed_rig import ALL, BOTTLENECK, EIGHT, LONG, LORA, ONE, PAIRS, THIRTY_TWO
from benchmarks.speed_loading_page import AIM as READING_AIM
from benchmarks.speed_page import AIMS, OURS, cell

Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One figure of ours, and whether it keeps the aim; None: nothing was aimed at."""

    what: str
    value: str
    met: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What stands in one row of the table."""

    ours: Sequence[Found]
    peers: Sequence[tuple[str, str]]  # who, figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the table: the question, its aim, the part that has the figures, and how to find them there."""

    what: str
    aim: str
    part: str
    read: Callable[[Figures], Answer]


def verdict(answer: Answer) -> str:
    """yes, no, or which figures miss the aim."""
    judged = [one for one in answer.ours if one.met is not None]
    missed = [one.what for one in judged if not one.met]
    if not judged:
        return ""
    if not missed:
        return "yes"
    return "no" if len(missed) == len(judged) else f"in part; not {'; '.join(missed)}"


# speed.json


def one_adapter(figures: Figures) -> Answer:
    return _of_cases(_cases(figures, [ONE], [BOTTLENECK, LORA]))


def many_bottlenecks(figures: Figures) -> Answer:
    return _of_cases(_cases(figures, [EIGHT, THIRTY_TWO], [BOTTLENECK]))


def many_loras(figures: Figures) -> Answer:
    return _of_cases(_cases(figures, [EIGHT, THIRTY_TWO], [LORA]))


def mixes(figures: Figures) -> Answer:
    return _of_cases(_cases(figures, [PAIRS], [BOTTLENECK]))


def _cases(figures: Figures, uses: Sequence[str], methods: Sequence[str]) -> list[Mapping[str, Any]]:
    return [
        case
        for case in figures["cases"]
        if case["use"] in uses and case["method"] in methods and (case["rows"], case["tokens"]) == LONG
    ]


def _of_cases(cases: Sequence[Mapping[str, Any]]) -> Answer:
    ours = [
        Found(
            what=_named(case),
            value=cell(case),
            met=case["right"] and case["times_base"][1] <= AIMS[case["method"], case["use"]],
        )
        for case in cases
        if case["by"] == OURS
    ]
    theirs = [case for case in cases if case["by"] != OURS and case["blocks"] == ALL]
    return Answer(ours=ours, peers=[(f"{case['by']}, {_named(case)}", cell(case)) for case in theirs])


def _named(case: Mapping[str, Any]) -> str:
    adapters = f"LoRA r = {case['rank']}" if case["method"] == LORA else f"rank {case['rank']}"
    count = {EIGHT: "8 of ", THIRTY_TWO: "32 of "}.get(case["use"], "")
    return f"{count}{adapters}{'' if case['blocks'] == ALL else ', ' + case['blocks']}"


# speed_loading.json


def loading(figures: Figures) -> Answer:
    ours, peers = [], []
    for one in figures["loads"]:
        what = f"{one['adapters']:,} of {one['method']}"
        if one["by"] == OURS:
            size = f"{one['bytes'] / 1e3:.0f} KB each, {one['head_bytes'] / 1e3:.0f} of them the head"
            time = f"first {spread(one['first_ms'])} ms, all {spread(one['seconds'])} s"
            ours += [
                Found(
                    what=f"{what} to bytes",
                    value=f"{size}; {time}; {spread(one['times_reading'])} × `open().read()`",
                    met=one["times_reading"][1] <= READING_AIM,
                ),
                Found(
                    what=f"{what} to safetensors",
                    value=f"{spread(one['times_safetensors'])} × `load_file`",
                    met=one["times_safetensors"][1] <= READING_AIM,
                ),
            ]
        elif "our files" not in one["by"]:
            size = f"{one['bytes'] / 1e3:.0f} KB each"
            peers.append(
                (f"{one['by']}, {what}", f"{size}; first {spread(one['first_ms'])} ms, all {spread(one['seconds'])} s")
            )
    return Answer(ours=ours, peers=peers)


# add_task.json

_TRAINING_AIM, _TRAINED_RANK = 3.0, 16


def training(figures: Figures) -> Answer:
    """Ours with the trunk's states kept against the library's adapter in all blocks, each in its process's unit."""
    ours, peers = [], []
    for data, found in figures["data"].items():
        for ratio in found["ratios"]:
            if "trunk kept" in ratio["ours"] and ratio["theirs"].endswith("all blocks"):
                times = ratio["in_units"]
                met = times[1] >= _TRAINING_AIM if ratio["rank"] == _TRAINED_RANK else None
                value = f"{spread(times)} × the speed of {ratio['theirs']}"
                ours.append(Found(what=f"{data} rank {ratio['rank']}", value=value, met=met))
        for speed in found["speeds"]:
            if speed["process"] != OURS and "upper half" not in speed["name"]:
                peers.append(
                    (
                        f"{speed['process']} {speed['name']}, {data}",
                        f"{spread(speed['examples_per_second'])} examples/s",
                    )
                )
    return Answer(ours=ours, peers=peers)


# end_to_end.json


def routed_pass(figures: Figures) -> Answer:
    ours, peers = [], []
    for one in figures["passes"]:
        what = f"{one['portfolio']}, {one['texts']}"
        if one["way"] == ROUTED:
            ours.append(Found(what=what, value=spread(one["times_base"]), met=one["times_base"][1] <= PASS_AIM))
        else:
            peers.append((f"{one['way']}, {what}", spread(one["times_base"])))
    return Answer(ours=ours, peers=peers)


def texts_per_second(figures: Figures) -> Answer:
    """The aim is set against the pipeline as it comes; sorted by hand it is shown too."""
    ways = dict(figures["files"]["ways"])
    times = ways[PIPELINE]["ours_is_times"]
    many = f"{figures['files']['texts']:,} texts"
    value = f"{spread(ways.pop(PREDICT)['texts_per_second'])} texts/s, {spread(times)} × the pipeline's"
    return Answer(
        ours=[Found(what=f"{PREDICT}, {many}", value=value, met=times[1] >= TEXTS_AIM)],
        peers=[(way, f"{spread(one['texts_per_second'])} texts/s") for way, one in ways.items()],
    )


# other_numbers.json


def other_numbers(figures: Figures) -> Answer:
    """The base alone decides; routed, and how many labels changed on the test rows, stand beside it."""
    found = []
    for one in figures["settings"]:
        if one["name"] == "float32":
            continue
        base, routed = one["forward_times_float32"], one["routed_times_float32"]
        value = f"{spread(base)}, routed {spread(routed)}; {100 * one['test']['other_label']:.2f} % other labels"
        found.append(Found(what=one["name"], value=value, met=base[1] <= NUMBERS_AIM))
    return Answer(ours=found, peers=[])
