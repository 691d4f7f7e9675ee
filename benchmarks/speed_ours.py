"""Our side of `speed.py`: a bank on a host, as a portfolio answers with it.

A forward pass here is what every batch of a portfolio takes: making the plan, `Host.run` with the pooled features of four
blocks, and the heads. The other libraries' passes end at the last states.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from transformers import PreTrainedModel

from benchmarks.peers.speed_rig import (
    ALL,
    BOTTLENECK,
    COUNT,
    EIGHT,
    HEADS,
    KINDS,
    LONG,
    LORA,
    LORA_ALPHA,
    LORA_RANK,
    NO_ADAPTER,
    ONE,
    PAIRS,
    RANKS,
    SHORT,
    SOME,
    THIRTY_TWO,
    UPPER,
    Case,
    Job,
    Mix,
    Run,
    made_up_rows,
    mixes_of,
    noise,
)
from benchmarks.speed_plain_bank import PlainBank, with_plain_bank
from portfolio.hosting.bank import Bank
from portfolio.hosting.base import MINILM, Base, load_base
from portfolio.hosting.encode import Batch
from portfolio.hosting.host import Host
from portfolio.hosting.ready import passes_of
from portfolio.hosting.sites import blocks_of
from portfolio.hosting.weights import AdapterWeights, Head
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.config import AdapterConfig
from portfolio.methods.lora import LoraConfig

OURS, PLAIN_BANK = "ours", "plain gather + bmm bank"
LABELS = 15  # of every head, unless the case is about heads
UNEQUAL = (2, 150, 3, 77, 6, 15, 4, 20)  # labels, again and again


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Adapters of one shape."""

    method: str
    rank: int
    blocks: str

    def config(self, number: int) -> AdapterConfig:
        """Of adapter `number`; those of all kinds differ in method, place, rank and blocks."""
        if self.method == KINDS:
            return _DIFFERENT[number % len(_DIFFERENT)]
        if self.method == LORA:
            return LoraConfig(rank=self.rank, alpha=LORA_ALPHA)
        return BottleneckConfig(rank=self.rank)


_DIFFERENT: tuple[AdapterConfig, ...] = (
    BottleneckConfig(rank=48),
    LoraConfig(rank=8),
    BottleneckConfig(rank=16, placement="houlsby", activation="silu"),
    LoraConfig(rank=4, targets=("query", "value")),
    BottleneckConfig(rank=32, placement="parallel"),
    BottleneckConfig(rank=24, blocks=(3, 4, 5)),
)
_WIDE = Kind(method=BOTTLENECK, rank=RANKS[0], blocks=ALL)
_NARROW = Kind(method=BOTTLENECK, rank=RANKS[1], blocks=ALL)
_UPPER = Kind(method=BOTTLENECK, rank=RANKS[0], blocks=UPPER)
_LORA = Kind(method=LORA, rank=LORA_RANK, blocks=ALL)
_KINDS = Kind(method=KINDS, rank=0, blocks=ALL)
USES: Mapping[Kind, tuple[str, ...]] = {
    _WIDE: (NO_ADAPTER, ONE, EIGHT, THIRTY_TWO, PAIRS, SOME, HEADS),
    _NARROW: (ONE, EIGHT, THIRTY_TWO, PAIRS, SOME),
    _UPPER: (ONE, EIGHT, THIRTY_TWO, PAIRS, SOME),
    _LORA: (ONE, EIGHT, THIRTY_TWO, PAIRS, SOME),
    _KINDS: (THIRTY_TWO,),
}
IN_SHORT = (ONE, EIGHT, THIRTY_TWO, PAIRS)  # the uses that short batches are tried with


def our_cases() -> dict[Case, Job]:
    """Every case of this process."""
    plain = load_base(MINILM)  # without slots
    half = len(blocks_of(plain.model)) // 2
    hosts = {ALL: Host(load_base(MINILM), trunk=0), UPPER: Host(load_base(MINILM), trunk=half)}
    served = {kind: Served(hosts[kind.blocks], kind) for kind in USES}
    unequal = Served(hosts[_WIDE.blocks], _WIDE, labels=UNEQUAL)
    gathered = PlainBank([adapter.updates() for adapter in served[_LORA].adapters])
    loras = with_plain_bank(load_base(MINILM).model, gathered)
    jobs: dict[Case, Job] = {}
    for rows, tokens in (LONG, SHORT):
        batch = _batch(rows, tokens)
        base = partial(_plain_forward, plain, batch)
        for kind, uses in USES.items():
            for use in uses if (rows, tokens) == LONG else [one for one in uses if one in IN_SHORT]:
                bank = unequal if use == HEADS else served[kind]
                jobs[_case(OURS, use, kind, batch)] = bank.job(base, batch, mixes_of(use, rows))
        for use in (ONE, EIGHT, THIRTY_TWO):
            jobs[_case(PLAIN_BANK, use, _LORA, batch)] = _job_of_plain_bank(loras, gathered, base, batch, use)
    return jobs


class Served:
    """Adapters of one kind in a bank of their own."""

    def __init__(self, host: Host, kind: Kind, labels: Sequence[int] = (LABELS,)) -> None:
        """Args: labels: of the heads in turn."""
        self.host = host
        self.adapters = [
            random_adapter(host, kind.config(number), number, labels[number % len(labels)]) for number in range(COUNT)
        ]
        self.bank = self._bank_of(range(COUNT))

    def job(self, base: Run, batch: Batch, mixes: Sequence[Mix]) -> Job:
        return Job(
            run=partial(self._forward, self.bank, batch, mixes),
            base=base,
            alone=partial(self._alone, batch, mixes),
            mixes=tuple(mixes),
        )

    def _bank_of(self, numbers: Iterable[int]) -> Bank:
        bank = Bank()
        for number in numbers:
            bank.add(_ref(number), *passes_of(self.adapters[number]))
        return bank

    def _forward(self, bank: Bank, batch: Batch, mixes: Sequence[Mix]) -> Tensor:
        """Plan, pass and heads; a row is classified under the first adapter of its mix."""
        with torch.inference_mode():
            plan = bank.plan([tuple((_ref(number), weight) for number, weight in mix) for mix in mixes])
            passed = self.host.run(batch, plan)
            answered = [row for row, mix in enumerate(mixes) if mix]
            if answered:
                features = passed.features if len(answered) == len(mixes) else passed.features[answered]
                bank.heads([_ref(mixes[row][0][0]) for row in answered]).logits(features)
        return passed.last

    def _alone(self, batch: Batch, mixes: Sequence[Mix], row: int) -> Tensor:
        """The row as a batch of its own, over a bank that knows no other adapter."""
        bank = self._bank_of({number for number, _ in mixes[row]})
        return self._forward(bank, batch.select(torch.tensor([row])), [mixes[row]])[0]


def random_adapter(host: Host, config: AdapterConfig, number: int, labels: int) -> AdapterWeights:
    """All weights drawn by chance, none of them 0."""
    dice = torch.Generator().manual_seed(number)
    sites = {}
    for site in host.sites_for(config):
        fresh = config.fresh(site.shape, dice)
        sites[site.key] = {
            name: weight if weight.any() else noise(weight.shape, dice) for name, weight in fresh.items()
        }
    head = Head(noise(torch.Size((labels, host.feature_width)), dice), noise(torch.Size((labels,)), dice))
    return AdapterWeights(config=config, sites=sites, head=head)


def _ref(number: int) -> str:
    return f"adapter-{number}@1"


def _case(by: str, use: str, kind: Kind, batch: Batch) -> Case:
    rows, tokens = batch.input_ids.shape
    return Case(by=by, use=use, method=kind.method, rank=kind.rank, blocks=kind.blocks, rows=rows, tokens=tokens)


def _batch(rows: int, tokens: int) -> Batch:
    ids = made_up_rows(rows, tokens)
    return Batch(ids, torch.ones_like(ids), None)


def _plain_forward(base: Base, batch: Batch) -> Tensor:
    with torch.inference_mode():
        states: Tensor = base.model(**batch.inputs()).last_hidden_state
    return states


def _job_of_plain_bank(loras: PreTrainedModel, bank: PlainBank, base: Run, batch: Batch, use: str) -> Job:
    mixes = mixes_of(use, len(batch.input_ids))

    def run(rows: Sequence[int]) -> Tensor:
        bank.members = torch.tensor([mixes[row][0][0] for row in rows])
        with torch.inference_mode():
            states: Tensor = loras(**batch.select(torch.tensor(rows)).inputs()).last_hidden_state
        return states

    every = range(len(mixes))
    return Job(run=partial(run, every), base=base, alone=lambda row: run([row])[0], mixes=mixes)
