"""METHODS: every method there is. A new one is one file and one line here."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from portfolio.errors import ConfigError
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.config import AdapterConfig
from portfolio.methods.lora import LoraConfig

METHODS: dict[str, type[BottleneckConfig] | type[LoraConfig]] = {
    BottleneckConfig.method: BottleneckConfig,
    LoraConfig.method: LoraConfig,
}


def method_config(method: str, settings: dict[str, Any]) -> AdapterConfig:
    """The config of the method of that name.

    Raises:
        ConfigError: no such method, a setting it does not have, or a value it cannot take.
    """
    if method not in METHODS:
        raise ConfigError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    kind = METHODS[method]
    known = [field.name for field in dataclasses.fields(kind)]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ConfigError(f"{method} has no setting {', '.join(unknown)}; it has {', '.join(known)}")
    return kind(**settings)


def config_to_json(config: AdapterConfig) -> str:
    """Canonical JSON with the method's name, so that equal configs give equal bytes."""
    fields = {"method": config.method, **dataclasses.asdict(config)}  # type: ignore[call-overload]
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def config_from_json(text: str) -> AdapterConfig:
    """The config that `config_to_json` wrote."""
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in json.loads(text).items()}
    return method_config(str(fields.pop("method")), fields)
