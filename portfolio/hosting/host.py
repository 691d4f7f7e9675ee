"""A frozen base with a slot at every site, and a trunk whose blocks can be skipped.

The slots are forward hooks set once, when the host is made; what they do is in the `Call` of the moment. Without a call the
base computes what it always did, bit for bit. One ordinary `forward` of the model serves every use, so masks, positions
and norms stay the model's own code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from portfolio.errors import require
from portfolio.hosting.base import Base
from portfolio.hosting.encode import Batch
from portfolio.hosting.plan import CALL, NO_ADAPTER, Call, Plan, Trunk
from portfolio.hosting.sites import Site, blocks_of, choose_sites, find_sites
from portfolio.methods.config import AdapterConfig

POOLINGS = ("mean", "last")
Output = Tensor | tuple[Tensor | None, ...]  # of a block: the state (batch, time, hidden), in some families with more


@dataclass(frozen=True, slots=True)
class Passed:
    """What one pass made."""

    trunk: Trunk  # to be handed to later passes over the same rows
    features: Tensor  # (batch, len(feature_blocks) * hidden), see `Host`
    last: Tensor  # (batch, time, hidden), the model's own last hidden state


def default_feature_blocks(blocks: int, trunk: int) -> tuple[int, ...]:
    """After how many blocks the pooled states are read: a third, the trunk, two thirds and all of them.

    Lower blocks know style and register, which tell domains apart; the last knows meaning: docs/decisions/0002-features.md.
    """
    return tuple(sorted({max(1, round(blocks / 3)), max(1, trunk), max(1, round(2 * blocks / 3)), blocks}))


class Host:
    """Runs a frozen base under a plan. Several threads may run it at once.

    Its features, which router and heads read, are the pooled states after each of `feature_blocks`, each made of unit
    length, side by side.
    """

    def __init__(
        self, base: Base, *, trunk: int, pooling: str = "mean", feature_blocks: tuple[int, ...] | None = None
    ) -> None:
        """Set the slots.

        Args:
            feature_blocks: numbers of blocks in rising order; None for `default_feature_blocks`.

        Raises:
            ConfigError: the trunk leaves no block to adapt, or the pooling is unknown.
        """
        self.base = base
        self.trunk = trunk
        self.pooling = pooling
        self.blocks = blocks_of(base.model)
        self.feature_blocks = feature_blocks or default_feature_blocks(len(self.blocks), trunk)
        require(0 <= trunk < len(self.blocks), f"trunk must be 0 to {len(self.blocks) - 1} blocks, got {trunk}")
        require(pooling in POOLINGS, f"pooling must be one of {', '.join(POOLINGS)}; got {pooling!r}")
        self.sites: dict[str, Site] = find_sites(base.model)
        self._handles: list[Any] = []
        self._gates: list[tuple[nn.Module, Any, Any]] = []  # block, its forward before, our forward
        for number, block in enumerate(self.blocks):
            self._open_slots(number, block)
            self._open_gate(number, block)

    def sites_for(self, config: AdapterConfig) -> list[Site]:
        """Where an adapter of this config acts: its kinds of sites, in its blocks, above the trunk.

        Raises:
            ConfigError: a block lies in the trunk or above the model, or no site fits.
        """
        upper = tuple(range(self.trunk, len(self.blocks)))
        blocks = config.blocks if config.blocks is not None else upper
        outside = sorted(set(blocks) - set(upper))
        require(
            not outside,
            f"adapters act in blocks {upper[0]} to {upper[-1]} here (the trunk is {self.trunk} blocks); got {outside}; "
            "a smaller trunk is chosen with: portfolio init --trunk N",
        )
        return choose_sites(self.sites.values(), config.site_kinds(), blocks)

    def run(self, batch: Batch, plan: Plan = NO_ADAPTER, *, trunk: Trunk | None = None) -> Passed:
        """One forward pass; whether gradients flow is the caller's choice.

        Args:
            plan: what acts above the trunk.
            trunk: from an earlier pass over the same rows: the trunk is not run again.
        """
        call = Call(host=self, plan=plan, trunk=trunk)
        last = self._forward(batch, call)
        states = {**call.states, len(self.blocks): last}
        if trunk is None:
            trunk = self._trunk_of(states, batch)
        upper = [states[number] for number in self.feature_blocks if number > self.trunk]
        features = torch.cat([trunk.features, self._features(upper, batch)], dim=1)
        return Passed(trunk=trunk, features=features, last=last)

    def run_trunk(self, batch: Batch) -> Trunk:
        """The trunk alone: what stands above it does nothing. Hand it to `run` to go on."""
        call = Call(host=self, plan=NO_ADAPTER, is_trunk_only=True)
        self._forward(batch, call)
        return self._trunk_of(call.states, batch)

    def _forward(self, batch: Batch, call: Call) -> Tensor:
        """The model's own last hidden state (batch, time, hidden) under this call."""
        token = CALL.set(call)
        try:
            last: Tensor = self.base.model(**batch.inputs()).last_hidden_state
        finally:
            CALL.reset(token)
        return last

    def _trunk_of(self, states: Mapping[int, Tensor], batch: Batch) -> Trunk:
        lower = [states[number] for number in self.feature_blocks if number <= self.trunk]
        return Trunk(states[self.trunk], self._features(lower, batch))

    @property
    def feature_width(self) -> int:
        return len(self.feature_blocks) * int(self.base.model.config.hidden_size)

    @property
    def trunk_feature_width(self) -> int:
        """How many of the features the trunk alone decides; they come first."""
        return sum(number <= self.trunk for number in self.feature_blocks) * int(self.base.model.config.hidden_size)

    def pool(self, states: Tensor, batch: Batch) -> Tensor:
        """(batch, time, hidden) -> (batch, hidden): the mean over a row's tokens, or its last token."""
        mask = batch.attention_mask
        if self.pooling == "last":
            return states[torch.arange(len(states)), mask.sum(1) - 1]
        weights = mask.to(states.dtype) / mask.sum(1, keepdim=True)
        return torch.einsum("btd,bt->bd", states, weights)

    def _features(self, states: Sequence[Tensor], batch: Batch) -> Tensor:
        if not states:
            return torch.empty(len(batch.input_ids), 0)
        return torch.cat([functional.normalize(self.pool(one, batch), dim=1) for one in states], dim=1)

    def detach(self) -> None:
        """Take every slot out again: the model is as it was before this host."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        for block, before, ours in self._gates:
            if block.__dict__.get("forward") is not ours:
                continue  # another host opened its gate after us; ours stays below it and does nothing
            if before is None:
                del block.forward
            else:
                block.forward = before
        self._gates.clear()

    def _open_gate(self, number: int, block: nn.Module) -> None:
        before = block.__dict__.get("forward")
        block.forward = _skippable(self, block.forward, number)
        self._gates.append((block, before, block.forward))

    def _open_slots(self, number: int, block: nn.Module) -> None:
        here = [site for site in self.sites.values() if site.block == number]
        readers: dict[str, list[str]] = {}  # module -> sites that read its input but write elsewhere
        writers: dict[str, list[Site]] = {}
        for site in here:
            if site.reads_input and site.reads != site.writes:
                readers.setdefault(site.reads, []).append(site.key)
            writers.setdefault(site.writes, []).append(site)
        for name, keys in readers.items():
            self._handles.append(block.get_submodule(name).register_forward_pre_hook(_reading_slot(self, keys)))
        for name, sites in writers.items():
            self._handles.append(block.get_submodule(name).register_forward_hook(_writing_slot(self, sites)))


def _reading_slot(host: Host, keys: Sequence[str]) -> Callable[..., None]:
    """Keeps a module's input for the sites that write elsewhere."""

    def slot(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        call = CALL.get()
        if call is not None and call.host is host:
            for key in keys:
                if key in call.plan.updates:
                    call.reads[key] = inputs[0]

    return slot


def _writing_slot(host: Host, sites: Sequence[Site]) -> Callable[..., Tensor | None]:
    """Adds what the plan says to a module's output. An update reads what the base made, unless it stands on top of others.

    Sites that read the module's input come first, so that what reads its output can stand on top of them too.
    """
    inputs_first = sorted(sites, key=lambda site: not site.reads_input)
    keys = [(site.key, site.reads != site.writes, site.reads_input) for site in inputs_first]

    def slot(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        call = CALL.get()
        if call is None or call.host is not host or not call.plan.updates:
            return None  # the base's own output stands
        y = output
        for key, elsewhere, reads_input in keys:
            for update in call.plan.updates.get(key, ()):
                x = call.reads[key] if elsewhere else inputs[0] if reads_input else output
                y = update.add_to(y, x)
        return y

    return slot


def _skippable(host: Host, run: Callable[..., Output], number: int) -> Callable[..., Output]:
    """A block's forward that does nothing where the call already has the trunk's state."""
    beside: list[int] = []  # how many things the block returns beside the state, known once it ran; DeBERTa's: one

    def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Output:
        call = CALL.get()
        if call is None or call.host is not host:
            return run(hidden_states, *args, **kwargs)
        if call.trunk is not None and number < host.trunk and beside:
            return _as_output(call.trunk.state, beside[0])
        if call.trunk is not None and number == host.trunk:
            hidden_states = call.trunk.state  # also where the trunk has no blocks
        if number == host.trunk or number in host.feature_blocks:
            call.states[number] = hidden_states
        if call.is_trunk_only and number >= host.trunk and beside:
            return _as_output(hidden_states, beside[0])
        output = run(hidden_states, *args, **kwargs)
        if not beside:
            beside.append(len(output) - 1 if isinstance(output, tuple) else 0)
        return output

    return forward


def _as_output(state: Tensor, beside: int) -> Output:
    """What a block would return that leaves this state."""
    return (state, *[None] * beside) if beside else state
