"""One pass of the bare base over many texts: features always, the trunk's states as long as they fit."""

from __future__ import annotations

import pytest
import torch

from portfolio.hosting.encode import pad
from portfolio.hosting.trunk import prepare, unprepared
from portfolio.methods.bottleneck import BottleneckConfig

LENGTHS = (5, 9, 1, 7, 5, 2)
STATE_BYTES = 4 * 16 * sum(LENGTHS)


@pytest.fixture
def host(base_of, host_on):
    return host_on(base_of("bert"))


@pytest.fixture
def rows(rows_of):
    return rows_of(LENGTHS)


def test_every_row_gets_the_features_it_has_alone(host, rows):
    prepared = prepare(host, rows)
    assert len(prepared) == len(rows)
    with torch.no_grad():
        for number, row in enumerate(rows):
            alone = host.run(pad([row], 0)).features[0].cpu()
            torch.testing.assert_close(prepared.features[number], alone, rtol=0, atol=1e-5)


def test_states_are_kept_within_the_budget_and_not_one_byte_beyond(host, rows):
    kept, left = prepare(host, rows, keep_bytes=STATE_BYTES), prepare(host, rows, keep_bytes=STATE_BYTES - 1)
    assert kept.kept_bytes == STATE_BYTES
    assert [tuple(state.shape) for state in kept.states] == [(length, 16) for length in LENGTHS]
    assert left.states is None
    assert left.kept_bytes == 0
    assert torch.equal(kept.features, left.features)


def test_a_batch_of_kept_rows_passes_as_one_of_rows_run_again(host, rows, adapter_of, plan_of):
    plan = plan_of(adapter_of(host, BottleneckConfig(rank=3)))
    chosen = [3, 0, 2]
    passes = []
    for keep_bytes in (STATE_BYTES, 0):
        batch, trunk = prepare(host, rows, keep_bytes=keep_bytes).batch(host, chosen)
        assert (trunk is None) == (keep_bytes == 0)
        assert batch.attention_mask.sum(1).tolist() == [LENGTHS[row] for row in chosen]
        with torch.no_grad():
            passes.append(host.run(batch, plan, trunk=trunk).features)
    torch.testing.assert_close(passes[0], passes[1], rtol=0, atol=1e-5)


def test_kept_states_can_be_trained_upon(host, rows, adapter_of, plan_of):
    adapter = adapter_of(host, BottleneckConfig(rank=3))
    weight = adapter.sites["3.ffn_output"]["up"].requires_grad_()
    batch, trunk = prepare(host, rows, keep_bytes=STATE_BYTES).batch(host, [0, 1])
    host.run(batch, plan_of(adapter), trunk=trunk).features.sum().backward()
    assert weight.grad is not None
    assert weight.grad.abs().max() > 0


def test_progress_counts_every_row_once(host, rows):
    done: list[int] = []
    prepare(host, rows, advance=done.append)
    assert sum(done) == len(rows)


def test_no_text_gives_features_of_no_row(host):
    prepared = prepare(host, [], keep_bytes=100)
    assert prepared.features.shape == (0, host.feature_width)
    assert len(prepared) == 0


def test_unprepared_rows_can_be_run_under_an_adapter_only(host, rows):
    waiting = unprepared(rows)
    assert len(waiting) == len(rows)
    assert waiting.features.shape == (len(rows), 0)
    assert waiting.batch(host, [1, 2])[1] is None
