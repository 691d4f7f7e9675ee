"""A frozen base with a slot at every site, and a trunk whose blocks can be skipped.

The slots are forward hooks set once, when the host is made; what they do is in the `Call` of the moment. Without a call the
base computes what it always did, bit for bit. One ordinary `forward` of the model serves every use, so masks, positions
and norms stay the model's own code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from portfolio.errors import require
from portfolio.hosting.base import Base
from portfolio.hosting.encode import Batch
from portfolio.hosting.memory import keep_freed_memory
from portfolio.hosting.merged_layer import has_plain_weight, merging
from portfolio.hosting.plan import CALL, NO_ADAPTER, Call, Plan, Prelude, Trunk
from portfolio.hosting.sites import Site, blocks_of, choose_sites, comes_after_prelude, find_sites, prelude_modules
from portfolio.methods.config import AdapterConfig

POOLINGS = ("mean", "last")
Output = Tensor | tuple[Tensor | None, ...]  # of a block: the state (batch, time, hidden), in some families with more


@dataclass(frozen=True, slots=True)
class Passed:
    """What one pass made, on the host's device."""

    trunk: Trunk  # to be handed to later passes over the same rows
    features: Tensor  # (batch, len(feature_blocks) * hidden), see `Host`
    last: Tensor  # (batch, time, hidden), the model's own last hidden state
    prelude: Prelude | None  # to be handed on likewise; None of a pass under adapters, and where the base has none


def default_feature_blocks(blocks: int, trunk: int) -> tuple[int, ...]:
    """After how many blocks the pooled states are read: a third, the trunk, two thirds and all of them.

    Lower blocks know style and register, which tell domains apart; the last knows meaning: docs/decisions/0002-features.md.
    """
    return tuple(sorted({max(1, round(blocks / 3)), max(1, trunk), max(1, round(2 * blocks / 3)), blocks}))


class Host:
    """Runs a frozen base under a plan. Several threads may run it at once.

    Its features, which router and heads read, are the pooled states after each of `feature_blocks`, each made of unit
    length, side by side; in float32 at least, whatever the base computes in.

    Batches may be on the CPU; plans and kept trunks are on the base's device, and so is what comes out.
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
        keep_freed_memory()
        self.device: torch.device = base.model.device
        self.dtype: torch.dtype = base.model.dtype  # of what adapters read and write
        self.feature_dtype = torch.promote_types(self.dtype, torch.float32)  # of features, and of heads on them
        self.sites: dict[str, Site] = find_sites(base.model)
        self.common_sites = frozenset(key for key, site in self.sites.items() if site.is_common)
        self._handles: list[Any] = []
        self._gates: list[tuple[nn.Module, Any, Any]] = []  # module, its forward before, our forward
        for number, block in enumerate(self.blocks):
            if number >= trunk:
                self._open_slots(number, block)
            self._open_gate(block, _skippable(self, block.forward, number))
        self._has_prelude = self._open_prelude(self.blocks[trunk])

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
        batch = batch.to(self.device)
        call = Call(host=self, plan=plan, trunk=trunk, prelude=self._prelude_for(plan, trunk))
        last = self._forward(batch, call)
        states = {**call.states, len(self.blocks): last}
        if trunk is None:
            trunk = self._trunk_of(states, batch)
        upper = [states[number] for number in self.feature_blocks if number > self.trunk]
        features = torch.cat([trunk.features, self._features(upper, batch)], dim=1)
        return Passed(trunk=trunk, features=features, last=last, prelude=_prelude_of(call))

    def run_trunk(self, batch: Batch, *, with_prelude: bool = False) -> Trunk:
        """The trunk alone: what stands above it does nothing. Hand it to `run` to go on.

        Args:
            with_prelude: run one block more, where the base has a prelude, so that later passes need not.
        """
        batch = batch.to(self.device)
        more = with_prelude and self._has_prelude
        call = Call(host=self, plan=NO_ADAPTER, blocks=self.trunk + more)
        self._forward(batch, call)
        trunk = self._trunk_of(call.states, batch)
        return replace(trunk, prelude=_prelude_of(call)) if more else trunk

    def blocks_left(self, plan: Plan, trunk: Trunk | None) -> int:
        """How many blocks `run` would run."""
        if trunk is None:
            return len(self.blocks)
        return len(self.blocks) - self.trunk - (self._prelude_for(plan, trunk) is not None)

    def _prelude_for(self, plan: Plan, trunk: Trunk | None) -> Prelude | None:
        """What a pass under this plan need not make again."""
        return trunk.prelude if trunk is not None and self.leaves_prelude(plan.updates) else None

    def leaves_prelude(self, keys: Iterable[str]) -> bool:
        """Whether what acts at these sites leaves the prelude as it is."""
        return all(comes_after_prelude(key, self.trunk) for key in keys)

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
        mask = batch.to(states.device).attention_mask
        if self.pooling == "last":
            return states[torch.arange(len(states), device=states.device), mask.sum(1) - 1]
        weights = mask.to(states.dtype) / mask.sum(1, keepdim=True)
        return torch.bmm(weights[:, None], states).squeeze(1)  # einsum takes five times as long

    def _features(self, states: Sequence[Tensor], batch: Batch) -> Tensor:
        if not states:
            return torch.empty(len(batch.input_ids), 0, dtype=self.feature_dtype, device=self.device)
        pooled = [self.pool(one.to(self.feature_dtype), batch) for one in states]
        return torch.cat([functional.normalize(one, dim=1) for one in pooled], dim=1)

    def detach(self) -> None:
        """Take every slot out again: the model is as it was before this host."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        for module, before, ours in reversed(self._gates):  # some stand on others of ours
            if module.__dict__.get("forward") is not ours:
                continue  # another host opened its gate after us; ours stays below it and does nothing
            if before is None:
                del module.forward
            else:
                module.forward = before
        self._gates.clear()

    def _open_gate(self, module: nn.Module, forward: Callable[..., Any]) -> None:
        before = module.__dict__.get("forward")
        module.forward = forward
        self._gates.append((module, before, forward))

    def _open_prelude(self, block: nn.Module) -> bool:
        """Whether there is one."""
        names = prelude_modules(self.base.model, block)
        if names is None:
            return False
        attention, end = block.get_submodule(names.attention), block.get_submodule(names.feed_forward_end)
        self._open_gate(attention, _kept(self, attention.forward, "attention"))
        self._open_gate(end, _kept(self, end.forward, "feed_forward"))
        for name in names.feed_forward:
            linear = block.get_submodule(name)
            self._open_gate(linear, _narrowed(self, linear.forward))
        return True

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
            module = block.get_submodule(name)
            if has_plain_weight(module):
                self._open_gate(module, merging(self, module, sites))
            self._handles.append(module.register_forward_hook(_writing_slot(self, sites)))


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
        if call.merged is module:
            call.merged = None
            return None  # as the module's own forward has done it all
        acting = [(*one, update) for one in keys for update in call.plan.updates.get(one[0], ())]
        y = output.clone() if len(acting) > 1 else output  # an update may write over y, and others read the output
        for key, elsewhere, reads_input, update in acting:
            y = update.add_to(y, call.reads[key] if elsewhere else inputs[0] if reads_input else output)
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
        if call.blocks is not None and number >= call.blocks and beside:
            return _as_output(hidden_states, beside[0])
        output = run(hidden_states, *args, **kwargs)
        if not beside:
            beside.append(len(output) - 1 if isinstance(output, tuple) else 0)
        return output

    return forward


def _kept(host: Host, run: Callable[..., Output], part: str) -> Callable[..., Output]:
    """A module's forward that makes a part of the prelude, or hands on the one that the call has."""
    length: list[int | None] = []  # of the tuple that the module returns, None for a tensor; known once it ran

    def forward(*args: Any, **kwargs: Any) -> Output:
        call = CALL.get()
        if call is None or call.host is not host:
            return run(*args, **kwargs)
        if call.prelude is not None and length:
            kept: Tensor = getattr(call.prelude, part)
            kept = kept if torch.is_grad_enabled() else kept.clone()  # without gradients an update may write over it
            return kept if length[0] is None else (kept, *[None] * (length[0] - 1))
        output = run(*args, **kwargs)
        first = output[0] if isinstance(output, tuple) else output
        if not length:
            length.append(len(output) if isinstance(output, tuple) else None)
        if call.trunk is None and not call.plan.updates and first is not None:
            call.prelude_made[part] = first
        return output

    return forward


def _narrowed(host: Host, run: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A linear layer's forward that hands on next to nothing where nobody will read it.

    Two numbers a token, which what follows can still halve, multiply or squash.
    """

    def forward(x: Tensor) -> Tensor:
        call = CALL.get()
        if call is None or call.host is not host or call.prelude is None:
            return run(x)
        return x[..., :2]

    return forward


def _prelude_of(call: Call) -> Prelude | None:
    made = call.prelude_made
    return Prelude(**made) if len(made) == 2 else None


def _as_output(state: Tensor, beside: int) -> Output:
    """What a block would return that leaves this state."""
    return (state, *[None] * beside) if beside else state
