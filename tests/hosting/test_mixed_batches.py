"""A batch whose rows use different adapters equals each row run alone, written out without a bank."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portfolio.hosting.bank import Bank
from portfolio.hosting.encode import pad
from portfolio.hosting.ready import passes_of
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.lora import LoraConfig

CONFIGS = {
    "pfeiffer": BottleneckConfig(rank=3),
    "pfeiffer again": BottleneckConfig(rank=3, blocks=(3,)),
    "wide": BottleneckConfig(rank=7, activation="gelu", scale=0.5),
    "houlsby": BottleneckConfig(rank=2, placement="houlsby", activation="relu"),
    "parallel": BottleneckConfig(rank=4, placement="parallel", activation="tanh"),
    "lora": LoraConfig(rank=2, alpha=2.0),
    "lora of two": LoraConfig(rank=5, alpha=5.0, targets=("query", "value"), blocks=(2,)),
}
SHARES = st.sampled_from([1.0, 0.5, 0.25, -0.75])
MIXES = st.lists(st.tuples(st.sampled_from(sorted(CONFIGS)), SHARES), max_size=3).map(tuple)
ROWS = st.lists(st.tuples(st.integers(1, 9), MIXES), min_size=1, max_size=5)


@pytest.fixture(scope="module", params=[(torch.float64, 1e-10), (torch.float32, 1e-4)], ids=["float64", "float32"])
def precision(request):
    return request.param


@pytest.fixture
def served(precision, base_of, host_on, adapter_of, plan_of, rows_of):
    """Nothing of it changes from one example to the next."""
    host = host_on(base_of("bert", precision[0]))
    adapters = {ref: adapter_of(host, config, seed=seed) for seed, (ref, config) in enumerate(CONFIGS.items())}
    return host, adapters, rows_of, plan_of


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, order=st.permutations(sorted(CONFIGS)), seed=st.integers(0, 100))
def test_a_mixed_batch_equals_each_row_alone(precision, served, rows, order, seed):
    """Whatever the plan, whatever the order in which the adapters came. States are of the order of 1."""
    _, tolerance = precision
    host, adapters, rows_of, plan_of = served
    bank = Bank()
    for ref in order:
        bank.add(ref, *passes_of(adapters[ref]))
    encoded = rows_of([length for length, _ in rows], seed)
    mixes = [mix for _, mix in rows]
    with torch.no_grad():
        mixed = host.run(pad(encoded, 0), bank.plan(mixes))
        for number, (row, mix) in enumerate(zip(encoded, mixes, strict=True)):
            alone = host.run(pad([row], 0), plan_of(*[(adapters[ref], share) for ref, share in mix]))
            torch.testing.assert_close(mixed.last[number, : len(row.ids)], alone.last[0], rtol=0, atol=tolerance)
            torch.testing.assert_close(mixed.features[number], alone.features[0], rtol=0, atol=tolerance)


def test_rows_without_an_adapter_keep_every_bit_of_the_bare_base(served, rows_of):
    host, adapters, *_ = served
    bank = Bank()
    bank.add("wide", *passes_of(adapters["wide"]))
    batch = pad(rows_of((4, 4, 4)), 0)
    with torch.no_grad():
        bare = host.run(batch).last
        mixed = host.run(batch, bank.plan([(), (("wide", 1.0),), ()])).last
        nobody = host.run(batch, bank.plan([(), (), ()])).last
    assert torch.equal(nobody, bare)
    assert torch.equal(mixed[0], bare[0])
    assert torch.equal(mixed[2], bare[2])
    assert not torch.equal(mixed[1], bare[1])


def test_a_mix_of_weight_one_half_twice_is_the_adapter_itself(served, rows_of):
    host, adapters, *_ = served
    bank = Bank()
    bank.add("houlsby", *passes_of(adapters["houlsby"]))
    batch = pad(rows_of(), 0)
    with torch.no_grad():
        whole = host.run(batch, bank.plan([(("houlsby", 1.0),)] * 4)).last
        halves = host.run(batch, bank.plan([(("houlsby", 0.5), ("houlsby", 0.5))] * 4)).last
    torch.testing.assert_close(halves, whole, rtol=0, atol=1e-4)
