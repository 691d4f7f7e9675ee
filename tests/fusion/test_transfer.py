"""LogME against the dense Gaussian it stands for, and on features whose worth is seen by eye."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import MultivariateNormal
from torch.nn import functional

from fusion.transfer import find_evidence, log_evidence


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Features of falling strength with more or less of the classes in them, often fewer rows than the width."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    rows, width, classes = draw(st.integers(4, 40)), draw(st.integers(1, 40)), draw(st.integers(2, 4))
    labels = torch.arange(rows) % classes
    features = torch.randn(rows, width, generator=generator, dtype=torch.float64)
    features *= torch.rand(width, generator=generator, dtype=torch.float64) ** 3
    told = min(classes, width)
    features[:, :told] += draw(st.sampled_from([0.0, 0.3, 1.0, 3.0])) * functional.one_hot(labels)[:, :told]
    if draw(st.booleans()):
        features[:, -1] = 1.0
    return features, labels


def dense_log_evidence(features: Tensor, target: Tensor, alpha: float, beta: float) -> float:
    """log N(y; 0, I/β + F Fᵀ/α), with a covariance of rows × rows numbers."""
    rows = len(target)
    covariance = torch.eye(rows, dtype=torch.float64) / beta + features @ features.T / alpha
    return float(MultivariateNormal(torch.zeros(rows, dtype=torch.float64), covariance).log_prob(target))


@settings(max_examples=40, deadline=None)
@given(problems())
def test_the_evidence_is_that_of_the_dense_gaussian(problem):
    features, labels = problem
    targets = functional.one_hot(labels).double()
    evidence = find_evidence(features, targets)
    dense = [
        dense_log_evidence(features, target, float(alpha), float(beta))
        for target, alpha, beta in zip(targets.T, evidence.alpha, evidence.beta, strict=True)
    ]
    assert evidence.log_evidence.tolist() == pytest.approx(dense, rel=1e-5, abs=1e-5)
    mean = sum(dense) / len(dense) / len(labels)
    assert log_evidence(features, labels, len(dense)) == pytest.approx(mean, rel=1e-5, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(problems())
def test_no_alpha_and_beta_of_a_grid_have_more_evidence(problem):
    features, labels = problem
    targets = functional.one_hot(labels).double()[:, :1]
    evidence = find_evidence(features, targets)
    eigenvalues, turned = torch.linalg.eigh(features @ features.T)
    along = (turned.T @ targets[:, 0]).square()
    alphas, betas = (torch.logspace(-6, 8, 57, dtype=torch.float64) for _ in range(2))
    variances = 1 / betas[None, :, None] + eigenvalues.clamp(min=0) / alphas[:, None, None]  # (alphas, betas, rows)
    inside = alphas[:, None] / betas > 1e-8 * eigenvalues.max()  # where the iteration may go
    densities = -0.5 * (along / variances + (2 * math.pi * variances).log()).sum(-1)
    assert evidence.log_evidence.item() >= densities[inside].max().item() - 1e-6


def test_alpha_and_beta_rest_where_the_papers_updates_leave_them():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(60, 5, generator=generator, dtype=torch.float64)
    target = features @ torch.tensor([1.0, -1.0, 0.5, 0.0, 0.0]).double()
    target += 0.5 * torch.randn(60, generator=generator, dtype=torch.float64)
    evidence = find_evidence(features, target.unsqueeze(1))
    alpha, beta = evidence.alpha.item(), evidence.beta.item()
    precision = alpha * torch.eye(5).double() + beta * features.T @ features
    mean = beta * torch.linalg.solve(precision, features.T @ target)
    explained = (beta * torch.linalg.solve(precision, features.T @ features)).trace().item()
    assert explained / mean.square().sum().item() == pytest.approx(alpha, rel=1e-6)
    assert (60 - explained) / (features @ mean - target).square().sum().item() == pytest.approx(beta, rel=1e-6)
    assert beta == pytest.approx(4, rel=0.4)  # noise of deviation 0.5


def test_a_strong_direction_that_tells_nothing_does_not_hide_a_weak_one_that_tells_all():
    """The evidence has two hills; from above, the updates alone would walk to the lower one, where α has no end."""
    strong, weak, noise = torch.tensor([[1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]).repeat(1, 4).double()
    evidence = find_evidence(torch.stack([100 * strong, weak], dim=1), (weak + 0.1 * noise).unsqueeze(1))
    assert evidence.beta.item() == pytest.approx(1 / 0.1**2, rel=0.2)  # weak explains all but the noise
    assert evidence.alpha.item() < 10


def test_features_that_tell_the_classes_have_more_evidence_than_those_that_do_not():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    noise = torch.randn(60, 10, generator=generator)
    told = [noise + strength * functional.one_hot(labels, 10) for strength in (0, 1, 3)]
    evidences = [log_evidence(features, labels, 3) for features in told]
    assert evidences == sorted(evidences)
    assert evidences[2] > evidences[0] + 0.5


@settings(max_examples=25, deadline=None)
@given(problems(), st.sampled_from([1e-3, 7.0]))
def test_features_times_a_number_or_turned_have_the_same_evidence(problem, factor):
    features, labels = problem
    count = int(labels.max()) + 1
    generator = torch.Generator().manual_seed(0)
    turn, _ = torch.linalg.qr(torch.randn(features.shape[1], features.shape[1], generator=generator).double())
    before = log_evidence(features, labels, count)
    assert log_evidence(factor * features @ turn, labels, count) == pytest.approx(before, abs=1e-5)


@pytest.mark.parametrize(
    "features",
    [
        torch.tensor([[0.1, 5.0], [0.9, 5.0], [0.2, 5.0], [0.8, 5.0]]),
        torch.ones(4, 3),
        torch.zeros(4, 3),
        torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]),
        torch.randn(4, 50, generator=torch.Generator().manual_seed(0)),
    ],
    ids=["a constant column", "all constant", "all zero", "fitted without noise", "wide"],
)
def test_four_rows_of_two_classes_have_a_finite_evidence(features):
    assert math.isfinite(log_evidence(features, torch.tensor([0, 1, 0, 1]), 2))


def test_features_of_zeros_have_the_evidence_of_noise_alone():
    """Half of the targets are 1: the best variance is 1/2, and the mean log density is −½ log(2π/2) − ½."""
    came = log_evidence(torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]), 2)
    assert came == pytest.approx(-0.5 * math.log(math.pi) - 0.5)


def test_a_class_without_rows_changes_nothing():
    features, labels = torch.eye(4), torch.tensor([0, 1, 0, 1])
    assert log_evidence(features, 2 * labels, 5) == log_evidence(features, labels, 2)


@pytest.mark.parametrize(
    ("features", "labels", "said"),
    [
        (torch.ones(4), torch.zeros(4).long(), r"features \(rows, width\) and labels \(rows,\), got \(4,\) and \(4,\)"),
        (torch.ones(4, 2), torch.zeros(3).long(), r"got \(4, 2\) and \(3,\)"),
        (torch.tensor([[1.0], [float("nan")]]), torch.tensor([0, 1]), "expected finite features"),
        (torch.ones(2, 2), torch.tensor([0, 3]), r"whole numbers from 0 to 2, got \[3\]"),
        (torch.ones(2, 2), torch.tensor([-1, 1]), r"whole numbers from 0 to 2, got \[-1\]"),
        (torch.ones(2, 2), torch.tensor([0.0, 1.0]), "whole numbers from 0 to 2, got torch.float32"),
        (torch.ones(2, 2), torch.tensor([1, 1]), "rows of two classes or more, got 2 of 1"),
        (torch.ones(0, 2), torch.tensor([]).long(), "rows of two classes or more, got 0 of 0"),
    ],
)
def test_what_has_no_evidence_is_refused(features, labels, said):
    with pytest.raises(ValueError, match=said):
        log_evidence(features, labels, 3)
