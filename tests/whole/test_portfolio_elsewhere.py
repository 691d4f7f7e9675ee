"""A portfolio whose base is on another device: it learns there, and what it stored answers alike on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from portfolio import Portfolio, TrainingConfig
from portfolio.hosting.base import Base, twin_of
from portfolio.made_of import EnsembleOf, Fuse, Merge, StackOn
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.lora import LoraConfig

TEXTS = ["rose fern moss ivy the", "pan ladle whisk bowl my", "ferry tug storm fog", "spade rake"]
MADE = {
    "one": BottleneckConfig(rank=4),
    "lora": LoraConfig(rank=2),
    "other": BottleneckConfig(rank=3),
    "fused": Fuse(adapters=("one", "other"), keep="fusion"),
    "light": Fuse(adapters=("one", "other"), gate="light", keep="fusion"),
    "merged": Merge(adapters=("one", "other"), weights=(0.5, 0.5)),
    "stacked": StackOn(adapter="one", top=BottleneckConfig(rank=4)),
    "several": EnsembleOf(adapters=("one", "lora")),
}
THEMES = ("garden", "kitchen", "harbour")


@pytest.fixture
def grown_there(tiny_base: Base, elsewhere: torch.device, toy_files: Callable[..., Any], tmp_path: Path) -> Portfolio:
    portfolio = Portfolio.init(tmp_path / "there", twin_of(tiny_base, device=elsewhere))
    for number, (name, method) in enumerate(MADE.items()):
        files = toy_files(tmp_path, name, theme=THEMES[number % 3], train_rows=16, test_rows=4)
        training = TrainingConfig(epochs=1)
        portfolio.add_task(name, files.train, test=files.test, method=method, training=training)
    return portfolio


def cells(portfolio: Portfolio) -> list[tuple[int, str, float | None, float | None]]:
    return [(cell.step, cell.task, cell.oracle, cell.routed) for cell in portfolio.snapshot().cells]


def test_every_kind_of_adapter_learned_there_answers_alike_here(grown_there: Portfolio, tiny_base: Base) -> None:
    here = Portfolio.open(grown_there.path, base=tiny_base)
    asked: list[dict[str, Any]] = [{"task": name} for name in MADE]
    asked += [{"abstain": False}, {"abstain": False, "top_k": 3}, {"task": "fused", "drop": ("one",), "explain": True}]
    for how in asked:
        ours, expected = (portfolio.predict(TEXTS, **how) for portfolio in (grown_there, here))
        assert [one.label for one in ours] == [one.label for one in expected], how
        for one, other in zip(ours, expected, strict=True):
            assert one.probability == pytest.approx(other.probability, abs=1e-4), how
    before = cells(grown_there)
    grown_there.evaluate()
    assert cells(grown_there) == before
    grown_there.remove_task("one", cascade=True)
    assert [task.name for task in here.tasks()] == ["lora", "other", "merged"]
    here.close()
    grown_there.close()
