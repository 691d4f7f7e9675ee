"""A bank whose adapters come and go, and come again with other weights, against each adapter by itself."""

from __future__ import annotations

import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from portfolio.hosting.bank import Bank
from portfolio.hosting.encode import pad
from portfolio.hosting.ready import passes_of
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.lora import LoraConfig

CHANGES = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 4)), min_size=1, max_size=10)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES)
@example(changes=[("a", 3), ("a", 1), ("b", 1), ("a", 3)])
def test_every_adapter_here_answers_as_alone_after_any_coming_and_going(
    base_of, host_on, adapter_of, plan_of, rows_of, changes
):
    """Who is named again leaves; ranks differ, so rows that were given back come in pieces."""
    host = host_on(base_of("bert", torch.float64))
    bank, here = Bank(), {}
    for seed, (name, rank) in enumerate(changes):
        if name in here:
            bank.remove(name)
            del here[name]
            continue
        config = LoraConfig(rank=rank, targets=("query",)) if name == "d" else BottleneckConfig(rank=rank)
        here[name] = adapter_of(host, config, seed=seed)
        bank.add(name, *passes_of(here[name]))
    rows = rows_of((5,) * len(here))
    if not here:
        return
    with torch.no_grad():
        mixed = host.run(pad(rows, 0), bank.plan([((name, 1.0),) for name in here])).features
        for row, one, adapter in zip(rows, mixed, here.values(), strict=True):
            alone = host.run(pad([row], 0), plan_of(adapter)).features[0]
            torch.testing.assert_close(one, alone, rtol=0, atol=1e-10)
