"""A head in closed form: linear discriminant analysis of the features below it.

    W = Σ⁻¹ μ_c,  b = −½ μ_cᵀ Σ⁻¹ μ_c          Fisher, 1936; equal priors
    Σ = (1 − s) S + s v (I + α Vᵀ V)⁻¹

S is the within-class covariance, v its mean variance; with few examples the share s of the second term is large. V holds
the directions that heads of other adapters read: what few examples leave open is sought there first, α times as readily.
α = 0, as there is nothing known, shrinks towards every direction alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from portfolio.hosting.weights import Head
from portfolio.records import UNKNOWN_LABEL
from portfolio.running import logits_of

SOFTNESS = 0.5  # of the head that a training begins with, at most
TRUSTS = (0.0, 10.0, 100.0)  # in what other heads read: values of α, of which the judging rows choose
WEAKEST = 1e-3  # a direction that moves other heads less than this, relative to the strongest, is none


def first_head(
    features: Tensor,
    labels: Tensor,
    judging: Tensor,
    judging_labels: Tensor,
    label_count: int,
    *,
    for_training: bool,
    known: Sequence[Head] = (),
) -> Head:
    """What the features say, scaled to the least cross-entropy on the judging rows. It is made on the CPU, and is there.

    Args:
        features: (rows, feature width); `labels` (rows,).
        judging: (others, feature width), rows that the head was not made of; their labels may be `UNKNOWN_LABEL`.
        for_training: make it softer, so that its own rows leave something to learn. A head of few rows tells those apart
            without a doubt, which is no evidence and no gradient: it starts no surer of them than it is right on others.
        known: heads of other adapters on the same features, for other labels.
    """
    features, judging = features.cpu(), judging.cpu()  # sums in float64, which not every device has
    directions = None if not known else torch.cat([_directions(head) for head in known])
    tried = []
    for trust in TRUSTS if directions is not None else TRUSTS[:1]:
        head = discriminant_head(features, labels, label_count, directions, trust)
        scale, loss = _calibrating_scale(logits_of(head, judging), judging_labels)
        tried.append((loss, scale, head))
    loss, scale, head = min(tried, key=lambda one: one[0])
    if for_training:
        scale = _starting_scale(logits_of(head, features), labels, scale, loss)
    return Head(head.weight * scale, head.bias * scale)


def discriminant_head(
    states: Tensor, labels: Tensor, label_count: int, directions: Tensor | None = None, trust: float = 0.0
) -> Head:
    """The head of the equations above.

    Args:
        states: (rows, feature width)
        labels: (rows,), numbers below `label_count`
        directions: (any, feature width), V
        trust: α, 0 or more
    """
    x = states.double()
    counts = torch.bincount(labels, minlength=label_count).clamp(min=1)
    means = torch.zeros(label_count, x.shape[1], dtype=x.dtype).index_add_(0, labels, x) / counts[:, None]
    residual = (x - means[labels]) / max(1, len(x) - label_count) ** 0.5  # S is its square
    variance = residual.square().sum(0).mean().clamp(min=1e-12)
    share = 0.02 + 0.78 * x.shape[1] / (x.shape[1] + len(x))  # much with few rows, little with many
    centred = means - means.mean(0)  # the same for every class: moves no decision, keeps logits small
    v = torch.zeros(0, x.shape[1], dtype=x.dtype) if directions is None or trust == 0 else directions.double()
    solve = _solved_by_rows if len(x) < x.shape[1] else _solved_by_features
    weight = solve(residual * (1 - share) ** 0.5, share * variance, v * trust**0.5, centred.T).T
    bias = -0.5 * ((means + means.mean(0)) * weight).sum(1)
    return Head(weight.float(), bias.float())


def _solved_by_features(residual: Tensor, ridge: Tensor, v: Tensor, wanted: Tensor) -> Tensor:
    """(RᵀR + ridge (I + VᵀV)⁻¹)⁻¹ wanted, as it stands: work grows with the cube of the width."""
    prior = torch.eye(residual.shape[1], dtype=v.dtype)
    if len(v):
        prior = prior - v.T @ torch.linalg.solve(torch.eye(len(v), dtype=v.dtype) + v @ v.T, v)
    solved: Tensor = torch.linalg.solve(residual.T @ residual + ridge * prior, wanted)
    return solved


def _solved_by_rows(residual: Tensor, ridge: Tensor, v: Tensor, wanted: Tensor) -> Tensor:
    """The same by Woodbury's identity, with K = I + VᵀV: work grows with the cube of the rows.

    (RᵀR + ridge K⁻¹)⁻¹ = (K − K Rᵀ (ridge I + R K Rᵀ)⁻¹ R K) / ridge
    """
    rows = residual + (residual @ v.T) @ v  # R K
    turned = wanted + v.T @ (v @ wanted)  # K wanted
    inner = ridge * torch.eye(len(rows), dtype=v.dtype) + rows @ residual.T
    solved: Tensor = (turned - rows.T @ torch.linalg.solve(inner, residual @ turned)) / ridge
    return solved


def _directions(head: Head) -> Tensor:
    """(fewer than labels, feature width): what tells the labels apart, of length 1 for the strongest, less for the others."""
    weight = head.weight.detach().cpu().double()
    _, lengths, directions = torch.linalg.svd(weight - weight.mean(0), full_matrices=False)
    kept = lengths > WEAKEST * lengths[0]
    scaled: Tensor = directions[kept] * (lengths[kept] / lengths[0])[:, None]
    return scaled


def _calibrating_scale(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """The factor in [0.01, 1] with the least cross-entropy, and that; discriminants of few examples are too sure."""
    known = labels != UNKNOWN_LABEL
    if not known.any():
        return 1.0, 0.0
    factors = torch.logspace(-2, 0, 25)
    losses = [functional.cross_entropy(logits[known] * factor, labels[known]).item() for factor in factors]
    best = int(np.argmin(losses))
    return float(factors[best]), losses[best]


def _starting_scale(logits: Tensor, labels: Tensor, scale: float, loss: float) -> float:
    """The largest factor up to SOFTNESS times the scale at which the head's own rows cost it at least this loss."""
    factors = SOFTNESS * scale * torch.logspace(0, -4, 41)
    losses = (functional.cross_entropy(logits * factor, labels).item() for factor in factors)
    return next((float(factor) for factor, own in zip(factors, losses, strict=True) if own >= loss), float(factors[-1]))
