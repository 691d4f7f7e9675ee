"""Adapters that are made of other adapters: what each kind must say of itself.

    fusion    y + Σ_k a_k(x) W_v o_k(x)      learned attention over the members' updates o_k, per token   (package `fusion`)
    blend     y + Σ_k w_k o_k(x)             the same members with constant weights: one wider adapter
    stack     y' = y + o_1(x), y' + o_2(y')  a new adapter that reads what a member has already changed
    ensemble  Σ_k w_k P_k(label | x)         each member for itself under a head of its own; probabilities are averaged

Members stay as they are: a composition holds their digests, and only what it learned beside them.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any, ClassVar

from portfolio.errors import ConfigError, require

ATTENTION, LIGHT = "attention", "light"  # kinds of gates
GATES = (ATTENTION, LIGHT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fusion:
    """Members under a learned gate."""

    method: ClassVar[str] = "fusion"
    members: tuple[str, ...]  # digests
    gate: str = ATTENTION
    width: int = 16  # of a light gate's queries and keys
    dropout: float = 0.0  # of scores before the softmax, while training
    regulariser: float = 0.01  # pulls values towards the members' own outputs

    def __post_init__(self) -> None:
        _check_members(self.members)
        require(self.gate in GATES, f"gate must be one of {', '.join(GATES)}; got {self.gate!r}")
        require(self.width >= 1, f"gate width must be 1 or more, got {self.width}")
        require(0 <= self.dropout < 1, f"dropout must be in [0, 1), got {self.dropout}")
        require(0 <= self.regulariser < math.inf, f"regulariser must be 0 or more and finite, got {self.regulariser}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """Members with constant weights, the same for every input."""

    method: ClassVar[str] = "blend"
    members: tuple[str, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_members(self.members)
        _check_weights(self.members, self.weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A trained adapter on top of a member."""

    method: ClassVar[str] = "stack"
    members: tuple[str, ...]  # the one below
    top: str  # canonical JSON of the upper adapter's config

    def __post_init__(self) -> None:
        require(len(self.members) == 1, f"a stack stands on one adapter, got {len(self.members)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """Members each under a head of its own."""

    method: ClassVar[str] = "ensemble"
    members: tuple[str, ...]
    weights: tuple[float, ...]  # add up to 1

    def __post_init__(self) -> None:
        _check_members(self.members)
        _check_weights(self.members, self.weights)
        require(
            min(self.weights) >= 0 and math.isclose(sum(self.weights), 1.0, abs_tol=1e-6),
            f"an ensemble's weights must be 0 or more and add up to 1, got {self.weights}",
        )


Composition = Fusion | Blend | Stack | Ensemble
COMPOSITIONS: dict[str, type[Fusion] | type[Blend] | type[Stack] | type[Ensemble]] = {
    kind.method: kind for kind in (Fusion, Blend, Stack, Ensemble)
}


def composition_to_json(config: Composition) -> str:
    """Canonical JSON with the method's name, so that equal configs give equal bytes."""
    fields = {"method": config.method, **dataclasses.asdict(config)}
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def composition_from_fields(fields: dict[str, Any]) -> Composition:
    """The config whose JSON object this is.

    Raises:
        ConfigError: no such composition, or a value that cannot be.
    """
    settings: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()
    }
    kind = COMPOSITIONS.get(str(settings.pop("method", None)))
    if kind is None:
        raise ConfigError(f"a composition must be one of {', '.join(COMPOSITIONS)}; got {fields.get('method')!r}")
    try:
        return kind(**settings)
    except TypeError as error:
        raise ConfigError(f"{kind.method} cannot be made of these settings: {error}") from error


def _check_members(members: tuple[str, ...]) -> None:
    require(len(members) >= 1, "expected at least one member, got none")
    require(len(set(members)) == len(members), "expected each member once, got one of them twice")


def _check_weights(members: tuple[str, ...], weights: tuple[float, ...]) -> None:
    require(
        len(weights) == len(members) and all(math.isfinite(weight) for weight in weights),
        f"expected a finite weight for each of {len(members)} members, got {weights}",
    )
