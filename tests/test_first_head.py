"""The head in closed form, and what it takes from heads of other adapters."""

from __future__ import annotations

import pytest
import torch

from portfolio.first_head import discriminant_head, first_head
from portfolio.hosting.weights import Head

WIDTH = 24


def rows_of(count, seed, signal=1.0):
    """Two classes that differ along the first axis only, in much noise."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    features = torch.randn(count, WIDTH, generator=draw)
    features[:, 0] += signal * (2 * labels - 1)
    return features, labels


def accuracy(head, features, labels):
    return ((features @ head.weight.T + head.bias).argmax(1) == labels).double().mean().item()


def axis(number):
    """A head for two other labels that reads this axis."""
    weight = torch.zeros(2, WIDTH)
    weight[0, number], weight[1, number] = -3.0, 3.0
    return Head(weight, torch.zeros(2))


def test_a_head_that_reads_the_right_direction_helps_where_rows_are_few():
    few, judging, test = rows_of(8, 0), rows_of(40, 1), rows_of(2000, 2)
    alone = first_head(*few, *judging, 2, for_training=False)
    told = first_head(*few, *judging, 2, for_training=False, known=[axis(0)])
    assert accuracy(told, *test) > accuracy(alone, *test) + 0.05


def test_a_head_that_reads_another_direction_does_no_harm():
    few, judging, test = rows_of(8, 0), rows_of(40, 1), rows_of(2000, 2)
    alone = first_head(*few, *judging, 2, for_training=False)
    misled = first_head(*few, *judging, 2, for_training=False, known=[axis(5)])
    assert accuracy(misled, *test) >= accuracy(alone, *test) - 0.02


@pytest.mark.parametrize("count", [10, 30], ids=["fewer rows than features", "more rows than features"])
def test_trust_shrinks_towards_the_inverse_of_one_and_trust_times_the_directions(count):
    """Against the equation with every matrix written out."""
    features, labels = rows_of(count, 3)
    directions = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(4))
    head = discriminant_head(features, labels, 2, directions, 10.0)
    x, v = features.double(), directions.double()
    means = torch.stack([x[labels == label].mean(0) for label in (0, 1)])
    residual = x - means[labels]
    scatter = residual.T @ residual / (count - 2)
    share = 0.02 + 0.78 * WIDTH / (WIDTH + count)
    prior = torch.linalg.inv(torch.eye(WIDTH).double() + 10.0 * v.T @ v)
    shrunk = (1 - share) * scatter + share * scatter.diagonal().mean() * prior
    expected = torch.linalg.inv(shrunk) @ (means[1] - means[0])
    torch.testing.assert_close((head.weight[1] - head.weight[0]).double(), expected, rtol=1e-4, atol=1e-4)


def test_nothing_known_is_no_trust():
    features, labels = rows_of(30, 3)
    directions = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(4))
    plain = discriminant_head(features, labels, 2)
    assert torch.equal(discriminant_head(features, labels, 2, directions, 0.0).weight, plain.weight)
    assert torch.equal(
        first_head(features, labels, features, labels, 2, for_training=False).weight.sign(), plain.weight.sign()
    )


@pytest.mark.parametrize("count", [8, 400])
def test_a_head_to_begin_with_is_no_surer_of_its_own_rows_than_it_is_right_on_others(count):
    """With few rows it tells them apart without a doubt, and would leave no gradient."""
    own, judging = rows_of(count, 0), rows_of(200, 1)

    def loss(head, features, labels):
        return torch.nn.functional.cross_entropy(features @ head.weight.T + head.bias, labels).item()

    finished = first_head(*own, *judging, 2, for_training=False)
    start = first_head(*own, *judging, 2, for_training=True)
    assert loss(start, *own) >= loss(finished, *judging)
    assert start.weight.norm() <= 0.5 * finished.weight.norm() * (1 + 1e-6)
    assert torch.equal((own[0] @ start.weight.T).argmax(1), (own[0] @ finished.weight.T).argmax(1))
    if count == 8:
        assert loss(finished, *own) < 0.5 * loss(finished, *judging)
