"""A base that computes something once for all rows of a batch, as DeBERTa does of relative positions.

An adapter there would act on all rows or none, so its rows are a batch of their own.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from portfolio import engine
from portfolio.champions import champions_of
from portfolio.hosting.encode import pad
from portfolio.hosting.host import Host
from portfolio.hosting.plan import Plan, Shared
from portfolio.hosting.ready import Pass
from portfolio.loading import load_passes
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.lora import LoraConfig
from portfolio.portfolio import Portfolio
from portfolio.records import AdapterRecord
from portfolio.store.store import Store
from portfolio.training import TrainingConfig

METHODS = {
    "garden": LoraConfig(rank=2),
    "kitchen": BottleneckConfig(rank=3),
    "harbour": LoraConfig(rank=3),
}
TEXTS = ("rose fern moss", "soup", "the ferry and the barge", "tulip", "storm fog", "pan ladle kettle please")


@pytest.fixture(scope="module")
def deberta(tiny_base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random DeBERTa with the tiny base's tokenizer."""
    from transformers import DebertaV2Config, DebertaV2Model, PreTrainedTokenizerFast

    directory = tmp_path_factory.mktemp("deberta")
    for file in tiny_base_dir.glob("*"):
        if "model" not in file.name and file.name != "config.json":
            shutil.copy(file, directory)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny_base_dir)
    tokenizer.save_pretrained(directory)
    config = DebertaV2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,
        relative_attention=True,
        position_buckets=8,
        share_att_key=True,
        pos_att_type=["c2p", "p2c"],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = DebertaV2Model(config)
    model.save_pretrained(directory)
    return directory


def strong_passes(store: Store, record: AdapterRecord, *_: object, host: Host) -> tuple[Pass, ...]:
    """The adapter with large random up-projections instead of what it learned, which on such a task may be next to nothing."""
    generator = torch.Generator().manual_seed(len(record.name))
    [one] = load_passes(store, record, host=host)
    updates = {}
    for key, (shared,) in sorted(one.updates.items()):  # the same numbers whatever the order
        assert isinstance(shared, Shared)
        up = torch.empty_like(shared.update.up).normal_(std=0.5, generator=generator)
        updates[key] = (Shared(replace(shared.update, up=up)),)
    return (replace(one, updates=updates),)


@pytest.fixture(scope="module")
def path(deberta: Path, toy_files: Callable[..., object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("grown-deberta")
    portfolio = Portfolio.init(directory / "portfolio", str(deberta))
    for name, method in METHODS.items():
        files = toy_files(directory, name)
        training = TrainingConfig(epochs=1)
        portfolio.add_task(name, files.train, test=files.test, method=method, training=training)  # type: ignore[attr-defined]
    return directory / "portfolio"


@pytest.fixture
def grown(path: Path, monkeypatch: pytest.MonkeyPatch) -> Portfolio:
    monkeypatch.setattr(engine, "load_passes", strong_passes)
    return Portfolio.open(path)


def test_rows_of_several_adapters_are_answered_as_each_alone(grown: Portfolio) -> None:
    running, snapshot = grown.engine(), grown.snapshot()
    labels = {task.name: task.labels for task in snapshot.tasks}
    answers = {name: grown.predict(TEXTS, name) for name in METHODS}
    for answer in grown.predict(TEXTS, abstain=False, top_k=1):
        assert answer.label == answers[answer.task][TEXTS.index(answer.text)].label  # type: ignore[index]
    for name, record in champions_of(snapshot).items():
        [one] = strong_passes(running.store, record, host=running.host)
        for text, answer in zip(TEXTS, answers[name], strict=True):
            with torch.no_grad():
                passed = running.host.run(
                    pad(running.encode([text], None), running.host.base.pad_id), Plan(one.updates)
                )
            said = torch.softmax(passed.features @ one.head.weight.T + one.head.bias, dim=1)[0]
            assert answer.label == labels[name][int(said.argmax())]
            assert answer.probability == pytest.approx(float(said.max()), abs=1e-5)


def test_one_pass_serves_those_that_share_one_and_each_other_has_its_own(grown: Portfolio) -> None:
    champions = champions_of(grown.snapshot())
    asked = [champions[name] for name in ("kitchen", "garden", "harbour", "kitchen", "garden")]
    assert sorted(service.rows for service in grown.engine().services(asked)) == [(0, 3), (1, 4), (2,)]


def test_all_tasks_asked_at_once_add_up_to_what_each_says(grown: Portfolio) -> None:
    for answer in grown.predict(TEXTS, abstain=False, top_k=3, band=1.0):
        shares = dict(zip(answer.route.tasks, answer.route.scores, strict=True))
        assert len(shares) == 3
        said = {name: grown.predict([answer.text], name)[0] for name in shares}
        assert answer.probability == pytest.approx(
            shares[answer.task] * said[answer.task].probability,
            abs=1e-5,  # type: ignore[index,operator]
        )
