"""Bottlenecks: the formula against plain loops, and what a config refuses."""

from __future__ import annotations

import math

import pytest
import torch

from portfolio.errors import ConfigError
from portfolio.methods.bottleneck import PLACEMENTS, BottleneckConfig
from portfolio.methods.config import SiteShape

ACTIVATIONS = {
    "identity": lambda x: x,
    "relu": lambda x: max(0.0, x),
    "gelu": lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "tanh": math.tanh,
}


def fresh(config, features_in=5, features_out=4, seed=0):
    return config.fresh(SiteShape(features_in, features_out), torch.Generator().manual_seed(seed))


def randomised(weights, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(w.shape, generator=generator, dtype=torch.float64) for name, w in weights.items()}


def written_out(config, weights, y, x):
    """y + scale · (U f(D x + b) + c), one number at a time."""
    out = y.clone()
    down, down_bias, up, up_bias = (weights[name].tolist() for name in ("down", "down_bias", "up", "up_bias"))
    for batch in range(x.shape[0]):
        for time in range(x.shape[1]):
            token = x[batch, time].tolist()
            hidden = []
            for row, bias in zip(down, down_bias, strict=True):
                hidden.append(
                    ACTIVATIONS[config.activation](bias + sum(a * b for a, b in zip(row, token, strict=True)))
                )
            for place, (row, bias) in enumerate(zip(up, up_bias, strict=True)):
                added = bias + sum(a * b for a, b in zip(row, hidden, strict=True))
                out[batch, time, place] += config.scale * added
    return out


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_it_adds_what_the_written_out_formula_says(activation):
    config = BottleneckConfig(rank=3, activation=activation, scale=-1.5)
    weights = randomised(fresh(config))
    x, y = torch.randn(2, 3, 5, dtype=torch.float64), torch.randn(2, 3, 4, dtype=torch.float64)
    before = y.clone()
    made = config.update(weights).add_to(y, x)
    torch.testing.assert_close(made, written_out(config, weights, y, x), rtol=0, atol=1e-12)
    assert torch.equal(y, before)  # what the base made is not changed


def test_a_fresh_one_adds_nothing_and_can_learn():
    config = BottleneckConfig(rank=3)
    weights = fresh(config)
    x, y = torch.randn(2, 3, 5), torch.randn(2, 3, 4)
    assert torch.equal(config.update(weights).add_to(y, x), y)
    assert weights["down"].abs().min() > 0  # all of it zero, no gradient would ever come
    assert {name: tuple(w.shape) for name, w in weights.items()} == {
        "down": (3, 5),
        "down_bias": (3,),
        "up": (4, 3),
        "up_bias": (4,),
    }


def test_the_seed_decides_how_a_fresh_one_begins():
    config = BottleneckConfig(rank=3)
    assert torch.equal(fresh(config, seed=4)["down"], fresh(config, seed=4)["down"])
    assert not torch.equal(fresh(config, seed=4)["down"], fresh(config, seed=5)["down"])


def test_each_placement_names_its_sites():
    assert {name: BottleneckConfig(placement=name).site_kinds() for name in PLACEMENTS} == {
        "pfeiffer": ("ffn_output",),
        "houlsby": ("attention_output", "ffn_output"),
        "parallel": ("ffn_parallel",),
    }


def test_dropout_scales_what_is_left_and_serves_only_when_asked_for():
    config = BottleneckConfig(rank=400, activation="identity")
    weights = {
        "down": torch.ones(400, 1),
        "down_bias": torch.zeros(400),
        "up": torch.full((1, 400), 1 / 400),
        "up_bias": torch.zeros(1),
    }
    update, x, y = config.update(weights), torch.ones(1, 50, 1), torch.zeros(1, 50, 1)
    torch.manual_seed(0)
    dropped = update.add_to(y, x, dropout=0.5)
    assert dropped.std() > 0
    assert dropped.mean() == pytest.approx(1, abs=0.05)
    torch.testing.assert_close(update.add_to(y, x), torch.ones(1, 50, 1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 0}, "rank must be 1 or more, got 0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"dropout": -0.1}, "dropout must be"),
        ({"dropout": math.nan}, "dropout must be"),
        ({"placement": "above"}, "placement must be one of pfeiffer, houlsby, parallel; got 'above'"),
        ({"activation": "step"}, "activation must be one of identity, relu, gelu, silu, tanh; got 'step'"),
        ({"scale": 0.0}, "scale must be finite and not 0, got 0.0"),
        ({"scale": math.inf}, "scale must be finite"),
        ({"blocks": ()}, "blocks must be block numbers from 0"),
        ({"blocks": (3, -1)}, "blocks must be block numbers from 0"),
    ],
)
def test_a_config_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        BottleneckConfig(**settings)
