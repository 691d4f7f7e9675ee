"""LoRA: the formula against plain loops, and what a config refuses."""

from __future__ import annotations

import math

import pytest
import torch

from portfolio.errors import ConfigError
from portfolio.methods.config import SiteShape
from portfolio.methods.lora import LoraConfig


def fresh(config, seed=0):
    return config.fresh(SiteShape(5, 4), torch.Generator().manual_seed(seed))


def test_it_adds_what_the_written_out_formula_says():
    config = LoraConfig(rank=3, alpha=7.0)
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    b = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    x, y = torch.randn(2, 3, 5, dtype=torch.float64), torch.randn(2, 3, 4, dtype=torch.float64)
    expected = y.clone()
    for row in range(2):
        for time in range(3):
            for place in range(4):
                for rank in range(3):
                    narrow = sum(float(a[rank, i] * x[row, time, i]) for i in range(5))
                    expected[row, time, place] += 7.0 / 3 * b[place, rank] * narrow
    before = y.clone()
    made = config.update({"down": a, "up": b}).add_to(y, x)
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-12)
    assert torch.equal(y, before)


def test_it_equals_a_linear_layer_with_the_update_merged_into_its_weight():
    config = LoraConfig(rank=2, alpha=16.0)
    layer = torch.nn.Linear(5, 4, dtype=torch.float64)
    a, b = torch.randn(2, 5, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    x = torch.randn(3, 6, 5, dtype=torch.float64)
    merged = torch.nn.functional.linear(x, layer.weight + 8.0 * b @ a, layer.bias)
    torch.testing.assert_close(config.update({"down": a, "up": b}).add_to(layer(x), x), merged, rtol=0, atol=1e-12)


def test_a_fresh_one_adds_nothing_and_can_learn():
    weights = fresh(LoraConfig(rank=3))
    x, y = torch.randn(2, 3, 5), torch.randn(2, 3, 4)
    assert torch.equal(LoraConfig(rank=3).update(weights).add_to(y, x), y)
    assert weights["down"].abs().min() > 0
    assert {name: tuple(w.shape) for name, w in weights.items()} == {"down": (3, 5), "up": (4, 3)}


def test_the_seed_decides_how_a_fresh_one_begins():
    config = LoraConfig(rank=3)
    assert torch.equal(fresh(config, seed=4)["down"], fresh(config, seed=4)["down"])
    assert not torch.equal(fresh(config, seed=4)["down"], fresh(config, seed=5)["down"])


def test_its_targets_name_its_sites():
    assert LoraConfig(targets=("query", "value")).site_kinds() == ("linear:query", "linear:value")
    assert LoraConfig().site_kinds() == ("linear:all",)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 0}, "rank must be 1 or more, got 0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"alpha": 0.0}, "alpha must be finite and not 0, got 0.0"),
        ({"alpha": math.nan}, "alpha must be finite"),
        ({"targets": ()}, "targets must name at least one linear layer"),
        ({"targets": ("query", "")}, "targets must name at least one linear layer"),
        ({"targets": "query"}, "targets must name at least one linear layer"),
        ({"blocks": (-2,)}, "blocks must be block numbers from 0"),
    ],
)
def test_a_config_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        LoraConfig(**settings)
