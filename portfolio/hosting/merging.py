"""Adapters merged in weight space: one adapter without a head, a plain LoRA or bottleneck, in place of several.

What happens at a site is `fusion.merging`; here sites are brought together. The merged adapter acts wherever one of the
adapters does. Its config says exactly that, so where their sites make no full table of blocks and kinds, weights of 0
fill it up; zeros also bring all sites to one rank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Generator, Tensor
from torch.nn import functional

from fusion.members import Member
from fusion.merging import MERGERS, Merger, merge
from portfolio.errors import ConfigError, require
from portfolio.hosting.ready import as_member
from portfolio.hosting.sites import place_of
from portfolio.hosting.weights import AdapterWeights
from portfolio.methods.bottleneck import PLACEMENTS, BottleneckConfig
from portfolio.methods.config import AdapterConfig
from portfolio.methods.lora import EVERY_LINEAR, LoraConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedAdapter:
    """What several adapters became; it still needs a head."""

    config: LoraConfig | BottleneckConfig
    sites: Mapping[str, Mapping[str, Tensor]]  # site key -> weight name -> tensor, as of `AdapterWeights`
    error: float  # of the rank cut, relative, at the site where it is largest; in [0, 1], 0 where nothing was cut


def merger_named(how: str, settings: Mapping[str, int | float]) -> Merger:
    """The way to merge of that name with these settings: `rank`, and for some `density`.

    Raises:
        ConfigError: there is no such way, it has no such setting, or a value cannot be.
    """
    require(how in MERGERS, f"adapters are merged by one of {', '.join(MERGERS)}; got {how!r}")
    kind = MERGERS[how]
    known = [name for name in ("rank", "density") if name in kind.__dataclass_fields__]
    unknown = sorted(set(settings) - set(known))
    require(not unknown, f"merging by {how} has no setting {', '.join(unknown)}; it has {', '.join(known)}")
    try:
        return kind(**settings)  # type: ignore[arg-type]  # their values are checked there
    except ValueError as error:
        raise ConfigError(f"merging by {how}: {error}") from error


def merge_adapters(
    adapters: Sequence[AdapterWeights], weights: Sequence[float], merger: Merger, generator: Generator
) -> MergedAdapter:
    """One adapter for these, each counted by its weight.

    Args:
        generator: what `dare` draws from, site by site; the other ways leave it alone.

    Raises:
        ConfigError: there is none, LoRA and bottlenecks or activations are mixed, no placement has all their sites, they
            are of different bases, or the merger cannot merge them with these weights.
    """
    config = _config_of([adapter.config for adapter in adapters])
    there = [adapter.updates() for adapter in adapters]
    merged: dict[str, Member] = {}
    worst = 0.0
    for key in sorted({key for updates in there for key in updates}, key=place_of):
        here = [as_member(updates[key]) if key in updates else None for updates in there]
        try:
            result = merge(here, weights, merger, generator)
        except ValueError as error:
            raise ConfigError(f"these adapters cannot be merged at site {key}: {error}") from error
        merged[key] = result.member
        worst = max(worst, result.error)
    rank = max(member.rank for member in merged.values())
    blocks = tuple(sorted({place_of(key)[0] for key in merged}))
    return MergedAdapter(config=_with_rank(config, rank, blocks), sites=_table(merged, rank, blocks), error=worst)


def _config_of(configs: Sequence[AdapterConfig]) -> LoraConfig | BottleneckConfig:
    """A config that acts on all kinds of sites that one of these acts on; rank and blocks are still to come."""
    loras = [config for config in configs if isinstance(config, LoraConfig)]
    bottlenecks = [config for config in configs if isinstance(config, BottleneckConfig)]
    require(len(configs) > 0, "merging needs one adapter or more, got none")
    methods = ", ".join(config.method for config in configs)
    require(
        len(configs) in (len(loras), len(bottlenecks)),
        f"merging needs adapters that are all LoRA or all bottlenecks, got {methods}; blend others with a fusion, which "
        "takes any",
    )
    if loras:
        targets = tuple(dict.fromkeys(target for config in loras for target in config.targets))
        return LoraConfig(targets=(EVERY_LINEAR,) if EVERY_LINEAR in targets else targets)
    activations = list(dict.fromkeys(config.activation for config in bottlenecks))
    require(
        len(activations) == 1,
        f"merging needs bottlenecks of one activation, got {', '.join(activations)}; blend these with a fusion",
    )
    kinds = {kind for config in bottlenecks for kind in config.site_kinds()}
    fitting = [name for name, has in PLACEMENTS.items() if set(has) == kinds]
    require(
        len(fitting) == 1,
        f"no placement has the sites of all these bottlenecks ({', '.join(sorted(kinds))}), which one adapter must have; "
        "merge those of placement parallel apart from the others, or blend all with a fusion",
    )
    return BottleneckConfig(placement=fitting[0], activation=activations[0])


def _with_rank(
    config: LoraConfig | BottleneckConfig, rank: int, blocks: tuple[int, ...]
) -> LoraConfig | BottleneckConfig:
    """Scaled by 1, as the weights of the merged adapter hold every scale."""
    if isinstance(config, LoraConfig):
        return LoraConfig(rank=rank, alpha=float(rank), targets=config.targets, blocks=blocks)
    return BottleneckConfig(rank=rank, placement=config.placement, activation=config.activation, blocks=blocks)


def _table(merged: Mapping[str, Member], rank: int, blocks: Sequence[int]) -> dict[str, dict[str, Tensor]]:
    """Weights of this rank for every kind of site in every block; 0 where no adapter acts."""
    of_kind = {place_of(key)[1]: member for key, member in merged.items()}
    table: dict[str, dict[str, Tensor]] = {}
    for block in blocks:
        for kind, like in of_kind.items():
            key = f"{block}.{kind}"
            padded = _padded(merged.get(key, like), rank)
            table[key] = padded if key in merged else {name: tensor.zero_() for name, tensor in padded.items()}
    return table


def _padded(member: Member, rank: int) -> dict[str, Tensor]:
    """Copies of the member's weights, filled up with zeros."""
    more = rank - member.rank
    weights = {
        "down": functional.pad(member.down, (0, 0, 0, more)),
        "up": functional.pad(member.up, (0, more)),
    }
    if member.down_bias is not None:
        weights["down_bias"] = functional.pad(member.down_bias, (0, more))
    if member.up_bias is not None:
        weights["up_bias"] = member.up_bias
    return {name: tensor.detach().clone() for name, tensor in weights.items()}
