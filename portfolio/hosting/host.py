"""A frozen base with a slot at every site, and a trunk whose blocks can be skipped.

The slots are forward hooks set once, when the host is made; what they do is in the `Call` of the moment. Without a call the
base computes what it always did, bit for bit. One ordinary `forward` of the model serves every use, so masks, positions
and norms stay the model's own code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from portfolio.errors import require
from portfolio.hosting.base import Base
from portfolio.hosting.encode import Batch
from portfolio.hosting.plan import CALL, NO_ADAPTER, Call, Plan
from portfolio.hosting.sites import Site, blocks_of, choose_sites, find_sites
from portfolio.methods.config import AdapterConfig

POOLINGS = ("mean", "last")


@dataclass(frozen=True, slots=True)
class States:
    """What one pass made."""

    trunk: Tensor  # (batch, time, hidden), after the last block of the trunk
    last: Tensor  # (batch, time, hidden), the model's own last hidden state


class Host:
    """Runs a frozen base under a plan. Several threads may run it at once."""

    def __init__(self, base: Base, *, trunk: int, pooling: str = "mean") -> None:
        """Set the slots.

        Raises:
            ConfigError: the trunk leaves no block to adapt, or the pooling is unknown.
        """
        self.base = base
        self.trunk = trunk
        self.pooling = pooling
        self.blocks = blocks_of(base.model)
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

    def run(
        self,
        batch: Batch,
        plan: Plan = NO_ADAPTER,
        *,
        trunk_state: Tensor | None = None,
        choose_plan: Callable[[Tensor], Plan] | None = None,
    ) -> States:
        """One forward pass; whether gradients flow is the caller's choice.

        Args:
            plan: what acts above the trunk.
            trunk_state: (batch, time, hidden), from an earlier pass over the same batch: the trunk is not run again.
            choose_plan: called with the trunk's state inside the pass; its plan takes the place of `plan`.
        """
        seen: list[Tensor] = []

        def at_trunk(state: Tensor) -> Plan | None:
            seen.append(state)
            return None if choose_plan is None else choose_plan(state)

        token = CALL.set(Call(host=self, plan=plan, trunk_state=trunk_state, at_trunk=at_trunk))
        try:
            last: Tensor = self.base.model(**batch.inputs()).last_hidden_state
        finally:
            CALL.reset(token)
        return States(trunk=seen[0], last=last)

    def pool(self, states: Tensor, batch: Batch) -> Tensor:
        """(batch, time, hidden) -> (batch, hidden): the mean over a row's tokens, or its last token."""
        mask = batch.attention_mask
        if self.pooling == "last":
            return states[torch.arange(len(states)), mask.sum(1) - 1]
        weights = mask.to(states.dtype) / mask.sum(1, keepdim=True)
        return torch.einsum("btd,bt->bd", states, weights)

    def features(self, states: States, batch: Batch) -> Tensor:
        """(batch, 2 * hidden): the pooled state after the trunk and the pooled last state, each of unit length.

        The router reads them of the bare base, a head under its adapter. The two together are better than either:
        docs/decisions/0002-features.md.
        """
        parts = [self.pool(states.trunk, batch), self.pool(states.last, batch)]
        return torch.cat([functional.normalize(part, dim=1) for part in parts], dim=1)

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
    """Adds what the plan says to a module's output. Every update reads what the base made, not another's update."""
    keys = [(site.key, site.reads != site.writes, site.reads_input) for site in sites]

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


def _skippable(host: Host, run: Callable[..., Tensor], number: int) -> Callable[..., Tensor]:
    """A block's forward that does nothing where the call already has the trunk's state."""

    def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        call = CALL.get()
        if call is not None and call.host is host:
            if number < host.trunk and call.trunk_state is not None:
                return call.trunk_state
            if number == host.trunk and call.at_trunk is not None:
                if call.trunk_state is not None:
                    hidden_states = call.trunk_state  # also where the trunk has no blocks
                call.plan = call.at_trunk(hidden_states) or call.plan
        return run(hidden_states, *args, **kwargs)

    return forward
