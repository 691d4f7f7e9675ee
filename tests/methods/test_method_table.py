"""The table of methods: by name, with settings, to JSON and back."""

from __future__ import annotations

import json

import pytest

from portfolio.errors import ConfigError
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.lora import LoraConfig
from portfolio.methods.table import METHODS, config_from_json, config_to_json, method_config


def test_every_method_stands_under_its_own_name():
    assert {name: kind.method for name, kind in METHODS.items()} == {name: name for name in METHODS}


@pytest.mark.parametrize(
    "config",
    [
        BottleneckConfig(),
        BottleneckConfig(rank=3, placement="houlsby", activation="silu", dropout=0.25, scale=0.1, blocks=(2, 3)),
        LoraConfig(),
        LoraConfig(rank=2, alpha=1.0, targets=("query", "attn.c_proj"), dropout=0.5, blocks=(0,)),
    ],
    ids=repr,
)
def test_a_config_comes_back_from_json_as_it_was(config):
    text = config_to_json(config)
    assert config_from_json(text) == config
    assert type(config_from_json(text)) is type(config)
    assert json.loads(text)["method"] == config.method


def test_equal_configs_give_equal_json_however_they_were_made():
    assert config_to_json(method_config("lora", {"alpha": 3.0, "rank": 2})) == config_to_json(
        method_config("lora", {"rank": 2, "alpha": 3.0})
    )


def test_a_method_by_name_has_its_defaults_and_takes_settings():
    assert method_config("bottleneck", {}) == BottleneckConfig()
    assert method_config("lora", {"rank": 5}) == LoraConfig(rank=5)


def test_an_unknown_method_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match="method must be one of bottleneck, lora; got 'prefix'"):
        method_config("prefix", {})


def test_a_setting_that_the_method_does_not_have_is_refused_with_those_it_has():
    with pytest.raises(ConfigError, match=r"lora has no setting placement; it has rank, alpha, targets"):
        method_config("lora", {"placement": "pfeiffer", "rank": 2})


def test_a_value_that_a_setting_cannot_take_is_refused():
    with pytest.raises(ConfigError, match="rank must be 1 or more"):
        method_config("lora", {"rank": 0})
