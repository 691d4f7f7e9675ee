"""The page of the end-to-end benchmark says what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.end_to_end_page import OURS, PIPELINE, SORTED, page
from benchmarks.end_to_end_texts import write_texts
from benchmarks.measuring import quartiles

PASS = {
    "portfolio": "ten domains",
    "tasks": 10,
    "texts": "single questions",
    "rows": 32,
    "tokens": 11.0,
    "asked": 0.25,
    "answered": 1.0,
    "way": "routed",
    "times_base": [1.2, 1.21, 1.23],
    "ms": [240.0, 250.0, 260.0],
    "base_ms": [200.0, 201.0, 202.0],
}
WAY = {"seconds": [8.0, 8.1, 8.2], "texts_per_second": [61.0, 62.0, 63.0], "ours_is_times": [2.4, 2.5, 2.6]}
FIGURES: dict[str, Any] = {
    "command": "python benchmarks/end_to_end.py",
    "machine": {"cpu": "a", "cores": 2, "threads": 1, "clock": "processor time", "system": "Linux", "load": [0.1]},
    "versions": {"python": "3.11"},
    "rounds": 9,
    "passes": [PASS, PASS | {"way": "task given", "times_base": [1.0, 1.01, 1.02]}],
    "files": {
        "texts": 10_000,
        "sets": ["snips", "trec6"],
        "portfolio": "ten data sets",
        "max_tokens": 128,
        "rounds": 3,
        "ways": {OURS: WAY, PIPELINE: WAY, SORTED: WAY},
        "start_s": {OURS: [2.0, 2.1, 2.2], PIPELINE: [3.0, 3.1, 3.2]},
    },
}


def test_every_way_has_its_row() -> None:
    lines = page(FIGURES).splitlines()
    routed, given = (line for line in lines if line.startswith("| ten domains"))
    assert "| 25 % | routed | **1.21 (1.2–1.23)** | 250 (240–260) |" in routed
    assert "| task given | 1.01 (1–1.02) |" in given
    ours, pipeline, by_hand = (line for line in lines if line.startswith(("| portfolio predict |", "| transformers")))
    assert ours == "| portfolio predict | 62 (61–63) | 8.1 (8–8.2) |  | 2.1 (2–2.2) |"
    assert pipeline.endswith("| 2.5 (2.4–2.6) × as fast | 3.1 (3–3.2) |") and by_hand.endswith("× as fast |  |")


def test_quartiles_are_low_middle_high() -> None:
    assert quartiles([5.0, 1.0, 2.0, 3.0, 4.0]) == [2.0, 3.0, 4.0]


def test_texts_of_all_sets_are_mixed_and_come_once(tmp_path: Path) -> None:
    sets = {"one": [f"a{number}" for number in range(30)], "other": [f"b{number}" for number in range(30)]}
    assert write_texts(tmp_path / "texts.jsonl", sets, 40, seed=0) == 40
    texts = [json.loads(line)["text"] for line in (tmp_path / "texts.jsonl").read_text().splitlines()]
    assert len(set(texts)) == 40
    assert {text[0] for text in texts[:10]} == {"a", "b"}
