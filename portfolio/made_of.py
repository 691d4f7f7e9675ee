"""What a user asks for when a task's adapter is to be made of adapters that are here. Plain data, no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from portfolio.champions import find_adapter
from portfolio.errors import ConfigError, NotFound, require
from portfolio.records import AdapterRecord, Snapshot

if TYPE_CHECKING:
    from portfolio.methods.config import AdapterConfig

BEST, FUSION = "best", "fusion"  # what `keep` can be
KEEPS = (BEST, FUSION)
_AUTO = re.compile(r"auto(?::([1-9][0-9]*))?")
AUTO_MEMBERS = 4  # of `auto` without a number


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuse:
    """Learn to attend to several adapters, token by token."""

    adapters: tuple[str, ...]  # tasks, or `name@version`; or one `auto:K` for the K most promising
    gate: str = "attention"  # or `light`
    width: int = 16  # of a light gate's queries and keys
    dropout: float = 0.0  # of scores before the softmax, while training
    regulariser: float = 0.01
    with_own: bool = False  # an adapter of its own, trained first, is a member too
    own: AdapterConfig | None = None  # that adapter's method; None: the default
    keep: str = BEST  # whichever did best on validation; or the `fusion` in any case

    def __post_init__(self) -> None:
        require(self.keep in KEEPS, f"keep must be one of {', '.join(KEEPS)}; got {self.keep!r}")
        if self.wanted is None:
            _check_adapters(self.adapters, least=1 if self.with_own else 2)

    @property
    def wanted(self) -> int | None:
        """The K of `auto:K`; None where adapters are named."""
        found = _AUTO.fullmatch(self.adapters[0]) if len(self.adapters) == 1 else None
        return None if found is None else int(found[1] or AUTO_MEMBERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """One plain adapter put together of several in weight space; nothing but its head is learned."""

    adapters: tuple[str, ...]
    weights: tuple[float, ...]
    how: str = "linear"  # or `task-arithmetic`, `ties`, `dare`, `svd`
    settings: tuple[tuple[str, float], ...] = ()  # `rank`, `density`, as the way of merging takes them

    def __post_init__(self) -> None:
        _check_adapters(self.adapters)
        _check_weights(self.adapters, self.weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOn:
    """Train an adapter on top of one that is here."""

    adapter: str
    top: AdapterConfig | None = None  # the upper adapter's method; None: the default


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleOf:
    """Each adapter for itself, under a head of its own for the task; their probabilities are averaged."""

    adapters: tuple[str, ...]
    weights: tuple[float, ...] = field(default=())  # none given: all the same

    def __post_init__(self) -> None:
        _check_adapters(self.adapters)
        if self.weights:
            _check_weights(self.adapters, self.weights)
            require(
                min(self.weights) >= 0 and sum(self.weights) > 0,
                f"an ensemble's weights must be 0 or more, and one of them above 0; got {self.weights}",
            )

    @property
    def shares(self) -> tuple[float, ...]:
        """The weights such that they add up to 1."""
        given = self.weights or (1.0,) * len(self.adapters)
        return tuple(weight / sum(given) for weight in given)


MadeOf: TypeAlias = Fuse | Merge | StackOn | EnsembleOf


def find_members(snapshot: Snapshot, names: tuple[str, ...]) -> tuple[AdapterRecord, ...]:
    """The plain adapters of these names. Raises ConfigError for one that is itself made of others, NotFound as above."""
    found = tuple(find_adapter(snapshot, name) for name in names)
    composed = [str(one.ref) for one in found if one.members]
    require(
        not composed,
        f"members must be adapters of their own, but {', '.join(composed)} is made of others; name its members instead",
    )
    refs = [str(one.ref) for one in found]
    require(len(set(refs)) == len(refs), f"expected each adapter once, got {', '.join(refs)}")
    return found


def find_named(snapshot: Snapshot, wish: MadeOf) -> tuple[AdapterRecord, ...]:
    """The adapters that a wish names; raises as `find_members` does. None for those that are to be found by promise."""
    if isinstance(wish, StackOn):
        return find_members(snapshot, (wish.adapter,))
    if isinstance(wish, Fuse) and wish.wanted is not None:
        if not snapshot.tasks:
            raise NotFound("there is no adapter to fuse yet; add tasks with: portfolio add-task NAME --train FILE")
        return ()
    return find_members(snapshot, wish.adapters)


def _check_adapters(adapters: tuple[str, ...], least: int = 2) -> None:
    if isinstance(adapters, str):
        raise ConfigError(f"expected names of adapters, got the text {adapters!r}; write ({adapters!r},)")
    require(len(adapters) >= least, f"expected {least} or more adapters, got {', '.join(adapters) or 'none'}")


def _check_weights(adapters: tuple[str, ...], weights: tuple[float, ...]) -> None:
    require(
        len(weights) == len(adapters), f"expected a weight for each of {len(adapters)} adapters, got {len(weights)}"
    )
