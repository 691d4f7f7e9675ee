"""Whether a stored adapter is one, and does something."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from portfolio.errors import DataError
from portfolio.evidence.model_evidence import ModelEvidence
from portfolio.hosting.encode import pad
from portfolio.hosting.plan import Plan
from portfolio.hosting.ready import shared
from portfolio.hosting.weights import AdapterWeights, Head
from portfolio.loading import load_plain
from portfolio.made_of import EnsembleOf, Fuse, MadeOf, Merge, StackOn
from portfolio.portfolio import Portfolio
from portfolio.training import TrainingConfig

EvidenceOf = Callable[[Portfolio, str], ModelEvidence]
Tampered = Callable[..., str]
Change = Callable[[AdapterWeights], AdapterWeights]


def _each_tensor(change: Callable[[Tensor], Tensor]) -> Change:
    """The same change of every tensor at every site."""
    return lambda one: replace(
        one, sites={key: {name: change(tensor) for name, tensor in site.items()} for key, site in one.sites.items()}
    )


def _without_first_site(one: AdapterWeights) -> AdapterWeights:
    return replace(one, sites=dict(list(one.sites.items())[1:]))


def _at_another_site(one: AdapterWeights) -> AdapterWeights:
    first = next(iter(one.sites.values()))
    return replace(one, sites={**one.sites, "0.ffn_output": {name: tensor.clone() for name, tensor in first.items()}})


def _with_nan(one: AdapterWeights) -> AdapterWeights:
    weight = one.head.weight.clone()
    weight[0, 0] = math.nan
    return replace(one, head=Head(weight, one.head.bias))


def _with_a_label_more(one: AdapterWeights) -> AdapterWeights:
    weight, bias = one.head.weight, one.head.bias
    return replace(one, head=Head(torch.cat([weight, weight[:1]]), torch.cat([bias, bias[:1]])))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (_each_tensor(lambda tensor: tensor * math.inf), "are not finite"),
        (_with_nan, "head 0 weight holds numbers that are not finite"),
        (_each_tensor(lambda tensor: tensor[..., :-1].contiguous()), "expected the shapes"),
        (_without_first_site, r"it has no weights at [23]\.ffn_output"),
        (_at_another_site, "it has weights at 0.ffn_output, where its method does not act"),
        (_with_a_label_more, r"head 0: expected weights \(2, 128\) and biases \(2,\), got \(3, 128\) and \(3,\)"),
    ],
)
def test_weights_that_cannot_be_are_told(
    portfolio: Portfolio, evidence_of: EvidenceOf, tampered: Tampered, change: Change, fault: str
) -> None:
    evidence = evidence_of(portfolio, tampered(portfolio, change))
    found = evidence.integrity()
    assert found.sites == 0
    assert re.search(fault, "; ".join(found.faults))
    with pytest.raises(DataError, match="garden@5 cannot be run"):
        evidence.examples()


def test_bytes_that_changed_on_the_disk_are_told(portfolio: Portfolio, evidence_of: EvidenceOf) -> None:
    digest = next(one.digest for one in portfolio.snapshot().adapters if str(one.ref) == "garden@2")
    [blob] = portfolio.path.rglob(digest[2:])
    blob.chmod(0o644)
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(bytes(data))
    [fault] = evidence_of(portfolio, "garden@2").integrity().faults
    assert digest in fault


def test_an_adapter_that_changes_nothing_is_seen_to(
    portfolio: Portfolio, evidence_of: EvidenceOf, tampered: Tampered
) -> None:
    """A wrong figure would come of comparing two runs of different batches: these agree to the last bit."""
    found = evidence_of(portfolio, tampered(portfolio, _each_tensor(torch.zeros_like))).integrity()
    assert (found.faults, found.sites, found.largest_difference) == ((), 0, 0.0)


def test_what_it_changes_is_counted_and_measured(
    portfolio: Portfolio, evidence_of: EvidenceOf, rows_of: Callable[[str], list[dict[str, str]]]
) -> None:
    found = evidence_of(portfolio, "garden@4").integrity()
    record = next(one for one in portfolio.snapshot().adapters if str(one.ref) == "garden@4")
    engine, updates = portfolio.engine(), load_plain(portfolio.store, record.digest).updates()
    assert found.faults == ()
    assert found.sites == sum(bool(update.up.any()) for update in updates.values()) > 0
    one_by_one = []
    for row in rows_of("garden-2.test"):
        batch = pad(engine.encode([row["text"]], None), engine.host.base.pad_id)
        with torch.inference_mode():
            apart = engine.host.run(batch, Plan(shared(updates))).last - engine.host.run(batch).last
        one_by_one.append(float(apart.abs().max()))
    assert found.largest_difference == pytest.approx(max(one_by_one), abs=1e-4)


@pytest.mark.parametrize(
    "wish",
    [
        Fuse(adapters=("garden", "kitchen"), keep="fusion"),
        Merge(adapters=("kitchen", "harbour"), weights=(0.5, 0.5), how="linear"),
        StackOn(adapter="kitchen"),
        EnsembleOf(adapters=("garden", "kitchen")),
    ],
    ids=["fusion", "merge", "stack", "ensemble"],
)
def test_adapters_made_of_others_are_inspected_with_their_members(
    portfolio: Portfolio, evidence_of: EvidenceOf, _judged: Path, wish: MadeOf
) -> None:
    train, test = (_judged / "files" / f"garden-2.{split}.jsonl" for split in ("train", "test"))
    added = portfolio.add_task(
        "garden", train, test=test, again=True, method=wish, training=TrainingConfig(epochs=1, batch_size=16)
    )
    evidence = evidence_of(portfolio, str(added.ref))
    found = evidence.integrity()
    assert found.faults == ()
    assert found.sites > 0 < found.largest_difference
    assert len(evidence.examples().expected) == 12
    assert evidence.cost().base_ratio > 0
