"""Training one adapter: the same every time, the best of it kept, and begun again where it explodes."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from portfolio.errors import ConfigError, TrainingDiverged
from portfolio.first_head import discriminant_head
from portfolio.hosting.base import fingerprint
from portfolio.hosting.encode import Encoded, encode, pad
from portfolio.hosting.host import Host
from portfolio.hosting.ready import passes_of
from portfolio.hosting.trunk import Prepared, prepare, unprepared
from portfolio.hosting.weights import AdapterWeights, Head, to_bytes
from portfolio.learners import AdapterLearner, fresh_adapter
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.config import AdapterConfig
from portfolio.methods.lora import LoraConfig
from portfolio.running import Labelled, predict_logits
from portfolio.training import (
    PART_TOKENS,
    RESTARTS,
    TrainingConfig,
    parts_of_like_length,
    score_of,
    shuffled_batches,
    train_adapter,
    train_learner,
)

PLANTS = ("rose", "tulip", "fern", "moss", "daisy", "ivy")
TOOLS = ("spade", "rake", "hoe", "shears", "trowel", "barrow")
ADAPTER = BottleneckConfig(rank=4, dropout=0.2)
SHORT = TrainingConfig(epochs=3, batch_size=8)


@dataclass(frozen=True)
class Step:
    done: int
    total: int
    loss: float
    score: float | None


class Watch:
    """Progress that remembers."""

    def __init__(self):
        self.steps, self.said, self.rows = [], [], 0

    def prepared(self, rows):
        self.rows += rows

    def step(self, *, done, total, loss, score):
        self.steps.append(Step(done, total, loss, score))

    def say(self, message):
        self.said.append(message)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def host(tiny_base):
    host = Host(tiny_base, trunk=2)
    yield host
    host.detach()


@pytest.fixture
def data(host):
    """(rows, first number of the pairs of words, keep_bytes) -> labelled rows, plants and tools in turn."""

    def make(rows=20, first=0, keep_bytes=1 << 20, labels=None):
        pairs = list(itertools.islice(itertools.permutations(range(6), 2), first, first + rows))
        texts = [" ".join((TOOLS if number % 2 else PLANTS)[i] for i in pair) for number, pair in enumerate(pairs)]
        prepared = prepare(host, encode(host.base.tokenizer, texts, None, 64), keep_bytes=keep_bytes)
        return Labelled(
            prepared=prepared, labels=torch.tensor([n % 2 for n in range(rows)] if labels is None else labels)
        )

    return make


def trained(host, data, training=SHORT, config=ADAPTER, **settings):
    return train_adapter(host, config, data(), data(10, 20), 2, replace(training, **settings))


def test_the_same_seed_gives_the_same_bytes_whatever_the_global_seed(host, data):
    torch.manual_seed(1)
    once = to_bytes(trained(host, data).learner.adapter)
    torch.manual_seed(2)
    assert to_bytes(trained(host, data).learner.adapter) == once


def test_another_seed_gives_other_bytes(host, data):
    assert to_bytes(trained(host, data, seed=1).learner.adapter) != to_bytes(
        trained(host, data, seed=2).learner.adapter
    )


def test_global_randomness_and_the_base_are_left_as_they_were(host, data):
    before = torch.random.get_rng_state()
    trained(host, data)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert fingerprint(host.base.model, host.base.tokenizer) == host.base.fingerprint
    assert all(parameter.grad is None for parameter in host.base.model.parameters())


@pytest.mark.parametrize(
    ("config", "rate"),
    [(BottleneckConfig(rank=24, placement="houlsby"), 2e-2), (LoraConfig(rank=4), 1e-2)],
    ids=["bottleneck", "lora"],
)
def test_the_adapter_learns_what_a_head_alone_cannot(tiny_base, config, rate):
    """Labels by chance, for more texts than there are features; at a rate of almost 0 there is the head alone."""
    host = Host(tiny_base, trunk=2, feature_blocks=(2, 4))
    texts = [" ".join(words) for words in itertools.permutations(PLANTS, 3)]
    prepared = prepare(host, encode(host.base.tokenizer, texts, None, 64), keep_bytes=1 << 20)
    labels = torch.randint(0, 2, (len(texts),), generator=torch.Generator().manual_seed(0))
    rows = Labelled(prepared=prepared, labels=labels)
    losses = []
    for chosen in (1e-12, rate):
        training = TrainingConfig(epochs=8, patience=8, batch_size=20, learning_rate=chosen)
        losses.append(-score_of(host, train_adapter(host, config, rows, rows, 2, training).learner, rows)[1])
    host.detach()
    assert losses[1] < 0.95 * losses[0]


def test_the_weights_of_the_best_epoch_are_kept_and_its_score_told(host, data):
    validation, watch = data(10, 20), Watch()
    made = train_adapter(host, ADAPTER, data(), validation, 2, replace(SHORT, epochs=6), watch)
    assert score_of(host, made.learner, validation)[0] == made.validation_score
    assert made.validation_score >= max(step.score for step in watch.steps)
    assert not any(
        weight.requires_grad for weights in made.learner.adapter.sites.values() for weight in weights.values()
    )


def test_training_that_only_makes_validation_worse_is_stopped_and_undone(host, data):
    """It begins with a head that is sure of the opposite labels, and is judged by those: the start stays the best."""
    against = data(labels=[1, 0] * 10)

    def begin(judging):
        fresh = fresh_adapter(host, ADAPTER, against, judging, 2, 0).adapter
        head = Head(fresh.head.weight * 0.3, fresh.head.bias * 0.3)
        return AdapterLearner(adapter=AdapterWeights(config=fresh.config, sites=fresh.sites, head=head))

    made = train_learner(host, begin, data(), against, TrainingConfig(epochs=40, patience=4, batch_size=8))
    assert made.epochs == 4
    assert all(weights["up"].abs().max() == 0 for weights in made.learner.adapter.sites.values())
    assert made.validation_score == score_of(host, made.learner, against)[0] == 1.0


def test_validation_rows_of_a_label_that_train_lacks_are_never_right(host, data):
    some = data(10, 20, labels=[0, 1, 0, 1, 0, 1, -1, -1, -1, -1])
    none = data(10, 20, labels=[-1] * 10)
    assert train_adapter(host, ADAPTER, data(), some, 2, SHORT).validation_score <= 0.6
    assert train_adapter(host, ADAPTER, data(), none, 2, SHORT).validation_score == 0


def test_without_validation_rows_training_rows_judge_and_that_is_said(host, data):
    watch = Watch()
    made = train_adapter(host, ADAPTER, data(), data(0), 2, SHORT, watch)
    assert math.isfinite(made.validation_score)
    assert "there are no validation rows" in made.notes[0]
    assert watch.said == list(made.notes)


def test_the_trunks_states_kept_or_made_again_give_the_same_scores(host, data):
    """Equal but for rounding, which training enlarges."""
    logits = []
    for keep_bytes in (1 << 20, 0):
        train, validation = data(keep_bytes=keep_bytes), data(10, 20, keep_bytes=keep_bytes)
        assert (train.prepared.states is None) == (keep_bytes == 0)
        made = train_adapter(host, ADAPTER, train, validation, 2, SHORT)
        logits.append(predict_logits(host, passes_of(made.learner.adapter), validation.prepared))
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-3, atol=1e-3)


def test_progress_is_told_of_every_step(host, data):
    watch = Watch()
    made = train_adapter(host, ADAPTER, data(), data(10, 20), 2, TrainingConfig(epochs=2, batch_size=8), watch)
    assert made.epochs == 2
    assert [(step.done, step.total) for step in watch.steps] == [(n, 6) for n in range(1, 7)]
    assert all(math.isfinite(step.loss) and 0 <= step.score <= 1 for step in watch.steps)
    assert watch.said == []
    assert made.seconds > 0


class Flaky(AdapterConfig):
    """A method whose weights are broken at the first attempts."""

    method = "flaky"
    rank, dropout, blocks = 4, 0.0, (3,)

    def __init__(self, broken):
        self.broken, self.attempts, self.inner = broken, 0, BottleneckConfig(rank=4)
        self.began = []

    def site_kinds(self):
        return self.inner.site_kinds()

    def fresh(self, shape, generator):
        self.attempts += 1
        weights = self.inner.fresh(shape, generator)
        if self.attempts <= self.broken:
            weights["up"][:] = torch.nan
        self.began.append(weights["down"].clone())
        return weights

    def update(self, weights):
        return self.inner.update(weights)


def test_a_loss_that_explodes_begins_again_at_half_the_rate_and_says_so(host, data):
    config, watch = Flaky(broken=2), Watch()
    training = TrainingConfig(epochs=2, batch_size=8, learning_rate=4e-3)
    made = train_adapter(host, config, data(), data(10, 20), 2, training, watch)
    assert config.attempts == 3
    assert [note.rpartition(" ")[2] for note in made.notes] == ["0.002", "0.001"]
    assert "the loss was nan at step 1" in made.notes[0]
    assert watch.said == list(made.notes)
    assert torch.equal(config.began[0], config.began[2])  # from the same identity
    assert made.epochs == 2


def test_the_rate_is_what_is_halved(host, data):
    """After one restart the weights are those of a training at half the rates, seed and all."""
    training = TrainingConfig(epochs=2, batch_size=8)
    again = train_adapter(host, Flaky(broken=1), data(), data(10, 20), 2, training)
    halved = replace(
        training, learning_rate=training.learning_rate / 2, head_learning_rate=training.head_learning_rate / 2
    )
    plain = train_adapter(host, Flaky(broken=0), data(), data(10, 20), 2, halved)
    for weights, others in zip(again.learner.adapter.sites.values(), plain.learner.adapter.sites.values(), strict=True):
        assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert torch.equal(again.learner.adapter.head.weight, plain.learner.adapter.head.weight)


def test_training_that_explodes_every_time_is_given_up_with_advice(host, data):
    config, watch = Flaky(broken=99), Watch()
    with pytest.raises(TrainingDiverged, match=rf"diverged {RESTARTS + 1} times.*--learning-rate"):
        train_adapter(host, config, data(), data(10, 20), 2, SHORT, watch)
    assert config.attempts == RESTARTS + 1
    assert len(watch.said) == RESTARTS + 1


def test_a_rate_far_too_high_is_noticed(host, data):
    with pytest.raises(TrainingDiverged):
        train_adapter(host, ADAPTER, data(), data(10, 20), 2, TrainingConfig(batch_size=8, learning_rate=1e9))


def test_an_adapter_that_answers_no_number_is_never_the_best(host, data):
    """One step, so that only validation can see what it did. Every validation row has label 0, the argmax of NaN."""
    validation = data(10, 20, labels=[0] * 10)
    training = TrainingConfig(epochs=1, batch_size=64, learning_rate=1e30)
    made = train_adapter(host, ADAPTER, data(), validation, 2, training)
    assert torch.isfinite(predict_logits(host, passes_of(made.learner.adapter), validation.prepared)).all()


def test_predicted_logits_are_those_of_each_row_alone(host, data):
    adapter, rows = trained(host, data).learner.adapter, data(11, 9)
    logits = predict_logits(host, passes_of(adapter), rows.prepared)
    unkept = predict_logits(host, passes_of(adapter), unprepared(rows.prepared.encoded))
    torch.testing.assert_close(unkept, logits, rtol=0, atol=1e-4)
    for number, row in enumerate(rows.prepared.encoded):
        alone = predict_logits(host, passes_of(adapter), unprepared([row]))
        torch.testing.assert_close(alone[0], logits[number], rtol=0, atol=1e-4)
    assert not logits.requires_grad


def test_dropout_acts_in_training_only(host, data):
    made, rows = trained(host, data, config=BottleneckConfig(rank=4, dropout=0.9)).learner.adapter, data(6)
    one, other = (predict_logits(host, passes_of(made), rows.prepared) for _ in range(2))
    assert torch.equal(one, other)


# The head that training begins with


def gaussian_rows(rows, seed):
    """Three overlapping classes in a plane, stretched, and the plain linear discriminants of them by numpy."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, rows)
    centres = np.array([(0.0, 0.0), (3.0, 1.0), (-1.0, 4.0)])
    return centres[labels] + random.normal(size=(rows, 2)) @ np.array([(1.5, 0.8), (0.0, 0.6)]), labels


def test_the_first_head_decides_as_linear_discriminant_analysis():
    states, labels = gaussian_rows(4000, seed=0)
    means = np.stack([states[labels == label].mean(0) for label in range(3)])
    inverse = np.linalg.inv(np.cov((states - means[labels]).T))
    new, _ = gaussian_rows(1000, seed=1)
    expected = new @ inverse @ means.T - 0.5 * np.einsum("cd,de,ce->c", means, inverse, means)
    head = discriminant_head(torch.from_numpy(states).float(), torch.from_numpy(labels), 3)
    logits = functional.linear(torch.from_numpy(new).float(), head.weight, head.bias).numpy()
    assert (logits.argmax(1) == expected.argmax(1)).mean() > 0.99
    gaps, wanted = logits - logits[:, :1], expected - expected[:, :1]
    np.testing.assert_allclose(gaps[:, 1:], wanted[:, 1:], rtol=0.1, atol=0.5)  # but for the shrinkage


def test_the_first_head_does_not_depend_on_where_the_origin_lies():
    states, labels = gaussian_rows(300, seed=0)
    x, y = torch.from_numpy(states), torch.from_numpy(labels)
    shift = torch.tensor([5.0, -3.0])
    here, there = discriminant_head(x, y, 3), discriminant_head(x + shift, y, 3)
    logits = [functional.linear(z.float(), head.weight, head.bias) for z, head in ((x, here), (x + shift, there))]
    torch.testing.assert_close(torch.softmax(logits[0], 1), torch.softmax(logits[1], 1), rtol=0, atol=1e-3)


@pytest.mark.parametrize(("rows", "classes", "width"), [(3, 3, 50), (5, 2, 50), (40, 3, 8)])
def test_the_first_head_copes_with_few_rows_and_a_class_of_one(rows, classes, width):
    random = torch.Generator().manual_seed(0)
    labels = torch.tensor([min(row, classes - 1) for row in range(rows)])  # all classes but the last have one row
    states = torch.randn(rows, width, generator=random) + 3 * functional.one_hot(labels, width)
    head = discriminant_head(states, labels, classes)
    assert torch.isfinite(head.weight).all()
    assert torch.isfinite(head.bias).all()
    assert (functional.linear(states, head.weight, head.bias).argmax(1) == labels).float().mean() > 0.9


def test_the_first_head_of_equal_states_is_finite():
    head = discriminant_head(torch.ones(6, 4), torch.tensor([0, 1] * 3), 2)
    assert torch.isfinite(head.weight).all()
    assert torch.isfinite(head.bias).all()


# Batches


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=80),
    batch_size=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_every_row_comes_once_an_epoch_in_batches_of_the_size(lengths, batch_size, seed):
    encoded = [Encoded((7,) * length, None) for length in lengths]
    prepared = Prepared(encoded=encoded, features=torch.zeros(len(encoded), 0), states=None)
    batches = list(shuffled_batches(prepared, batch_size, np.random.default_rng(seed)))
    assert sorted(row for rows in batches for row in rows) == list(range(len(lengths)))
    assert len(batches) == math.ceil(len(lengths) / batch_size)
    assert all(1 <= len(rows) <= batch_size for rows in batches)


def test_epochs_differ_and_seeds_decide():
    prepared = Prepared(encoded=[Encoded((7,), None)] * 50, features=torch.zeros(50, 0), states=None)

    def epochs(seed):
        order = np.random.default_rng(seed)
        return [list(shuffled_batches(prepared, 8, order)) for _ in range(2)]

    assert epochs(0) == epochs(0)
    assert epochs(0)[0] != epochs(0)[1]
    assert epochs(0) != epochs(1)


def test_batches_of_like_length_waste_little_padding():
    lengths = np.random.default_rng(0).integers(1, 60, 256)
    encoded = [Encoded((7,) * int(length), None) for length in lengths]
    prepared = Prepared(encoded=encoded, features=torch.zeros(256, 0), states=None)
    batches = shuffled_batches(prepared, 16, np.random.default_rng(0))
    padded = sum(pad([encoded[row] for row in rows], 0).input_ids.numel() for rows in batches)
    assert padded < 1.25 * lengths.sum()


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(1, 90), min_size=1, max_size=40))
def test_a_batch_is_parted_only_where_the_padding_saved_pays_for_the_pass(lengths):
    prepared = Prepared(encoded=[Encoded((7,) * n, None) for n in lengths], features=torch.zeros(0, 0), states=None)
    parts = list(parts_of_like_length(prepared, [list(range(len(lengths)))]))
    assert sorted(row for part in parts for row in part) == list(range(len(lengths)))
    padded = sum(len(part) * max(lengths[row] for row in part) for part in parts)
    assert padded + PART_TOKENS * (len(parts) - 1) <= len(lengths) * max(lengths)
    ends = [(min(lengths[row] for row in part), max(lengths[row] for row in part)) for part in parts]
    assert all(high <= low for (_, high), (low, _) in itertools.pairwise(ends))


def test_a_batch_of_one_length_stays_whole_and_one_long_row_stands_alone():
    def parts(lengths):
        encoded = [Encoded((7,) * length, None) for length in lengths]
        prepared = Prepared(encoded=encoded, features=torch.zeros(0, 0), states=None)
        return list(parts_of_like_length(prepared, [list(range(len(lengths)))]))

    assert parts([9] * 8) == [[*range(8)]]
    assert parts([100, 9, 9, 9]) == [[1, 2, 3], [0]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs must be 1 or more, got 0"),
        ({"patience": 0}, "patience must be 1 or more, got 0"),
        ({"batch_size": 0}, "batch size must be 1 or more, got 0"),
        ({"learning_rate": 0.0}, "learning rate must be above 0, got 0.0"),
        ({"learning_rate": math.nan}, "learning rate must be above 0, got nan"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        TrainingConfig(**settings)


def test_small_batches_that_are_accumulated_learn_what_one_large_batch_does(host, data):
    """One epoch of one step: the same rows, the same gradient, so the same adapter but for rounding."""
    still = replace(ADAPTER, dropout=0.0)
    one = trained(host, data, config=still, epochs=1, batch_size=20, averaging=0.0)
    many = trained(host, data, config=still, epochs=1, batch_size=3, accumulation=7, averaging=0.0)
    assert one.epochs == many.epochs == 1
    for ours, theirs in zip(one.learner.site_tensors(), many.learner.site_tensors(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
    alone = trained(host, data, config=still, epochs=1, batch_size=3, averaging=0.0)
    assert not torch.allclose(alone.learner.site_tensors()[0], one.learner.site_tensors()[0], rtol=1e-3, atol=1e-5)
