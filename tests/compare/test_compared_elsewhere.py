"""Contestants on a base that is on another device: what they answer is what they answer on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from portfolio.compare.budget import Budget
from portfolio.compare.contestant import Settings
from portfolio.compare.prepare import world_of
from portfolio.compare.table import METHODS
from portfolio.hosting.base import twin_of
from portfolio.hosting.host import Host

RUN = ("ewc", "lwf", "o-lora", "replay", "joint-adapter", "sequential-full")  # all that is written only once


@pytest.fixture
def worlds(tiny_base, toy_sequence, elsewhere):
    """The same tasks on the CPU, and on the other device."""
    hosts = [Host(twin_of(tiny_base, device=device), trunk=2) for device in (torch.device("cpu"), elsewhere)]
    yield [world_of(host, 32, toy_sequence, Budget(per_class=4, epochs=1, trials=1), seed=0) for host in hosts]
    for host in hosts:
        host.detach()


@pytest.mark.parametrize("name", RUN)
def test_a_contestant_answers_as_on_the_cpu_also_after_an_interruption(worlds, name, tmp_path):
    answers = []
    for number, world in enumerate(worlds):
        rates = METHODS[name].rates
        settings = Settings(rate=rates[0] if rates else 0.0, epochs=1, batch_size=4, seed=0)
        contestant = METHODS[name].begin(world, settings, tmp_path / f"first{number}")
        contestant.learn(0)
        kept = {key: torch.from_numpy(tensor.cpu().numpy()) for key, tensor in contestant.state().items()}
        again = METHODS[name].begin(world, settings, tmp_path / f"again{number}")
        again.restore(kept, 1)
        again.learn(1)
        answers.append([again.answer(task, "test") for task in (0, 1)])
    for ours, expected in zip(*answers, strict=True):
        assert np.array_equal(ours.free, expected.free)
        assert np.array_equal(ours.given, expected.given)
