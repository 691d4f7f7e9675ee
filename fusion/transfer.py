"""LogME: how well a linear model on given features can explain the labels, without training one.

    y ~ N(0, I/β + F Fᵀ/α),   log evidence = log p(y | F, α, β) at the α and β that make it largest
    F = U S Vᵀ,  σ = s²,  t = α/β,  v = Uᵀ y,  ρ = ‖y − U v‖²
    γ = Σ_i σ_i/(t + σ_i),   ‖m‖² = Σ_i σ_i v_i²/(t + σ_i)²,   ‖F m − y‖² = Σ_i t² v_i²/(t + σ_i)² + ρ
    α = γ/‖m‖²,   β = (n − γ)/‖F m − y‖²,   again until t rests

Source: You et al., 2021, arXiv:2102.11005, section 4. One class against the rest in turn; the mean over classes, a row. Higher
is better. Features times a number or turned have the same evidence. All is computed in the basis of one SVD, in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_GRID = 65  # four values of t to a power of ten
_ROUNDS = 500
_AT_REST = 1e-9  # relative change of t
_SMALLEST, _LARGEST = 1e-8, 1e8  # of t / σ_1: labels that features fit without any noise have no largest evidence


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """The largest evidence of each column of targets, and where it is found."""

    alpha: Tensor  # (targets,), precision of the weights
    beta: Tensor  # (targets,), precision of the noise
    log_evidence: Tensor  # (targets,), of all rows together


def log_evidence(features: Tensor, labels: Tensor, label_count: int) -> float:
    """The mean log evidence of one class against the rest, a row; classes without a row are left out.

    Args:
        features: (rows, width); rows may be fewer than the width.
        labels: (rows,), whole numbers from 0 to label_count − 1.

    Raises:
        ValueError: shapes or labels do not fit, a feature is not finite, or fewer than two classes have rows.
    """
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(
            f"expected features (rows, width) and labels (rows,), got {tuple(features.shape)} and {tuple(labels.shape)}"
        )
    if not features.isfinite().all():
        raise ValueError("expected finite features, got some that are infinite or no number")
    outside = labels[(labels < 0) | (labels >= label_count)]
    if outside.numel() or labels.is_floating_point():
        came = outside.tolist()[:5] if outside.numel() else labels.dtype
        raise ValueError(f"expected labels that are whole numbers from 0 to {label_count - 1}, got {came}")
    targets = functional.one_hot(labels.long(), label_count)
    targets = targets[:, targets.sum(0) > 0]
    if targets.shape[1] < 2:
        raise ValueError(f"expected rows of two classes or more, got {len(labels)} of {targets.shape[1]}")
    evidence = find_evidence(features, targets)
    return float(evidence.log_evidence.mean() / len(labels))


@torch.no_grad()
def find_evidence(features: Tensor, targets: Tensor) -> Evidence:
    """The α and β with the largest evidence for each column of targets.

    Args:
        features: (rows, width)
        targets: (rows, targets), none of them all zeros
    """
    targets = targets.double()
    basis, singular, _ = torch.linalg.svd(features.double(), full_matrices=False)
    along = basis.T @ targets
    spectrum = _Spectrum(
        rows=len(targets),
        strengths=singular.square().unsqueeze(1),
        along=along,
        across=(targets - basis @ along).square().sum(0),
    )
    ratio = _iterate(spectrum, _best_of_grid(spectrum))
    beta = spectrum.noise_precision(ratio)
    return Evidence(alpha=ratio * beta, beta=beta, log_evidence=spectrum.log_evidence(ratio))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Spectrum:
    """Features and targets in the basis of the SVD: all that the evidence depends on."""

    rows: int
    strengths: Tensor  # σ: (directions, 1)
    along: Tensor  # v: (directions, targets)
    across: Tensor  # ρ: (targets,)

    @property
    def scale(self) -> float:
        """σ_1, what t is measured by; 1 where all features are 0 and explain nothing at any t."""
        return float(self.strengths.max()) or 1.0

    def noise_precision(self, ratio: Tensor) -> Tensor:
        """The best β for this t: (targets,). Where t rests it is (n − γ)/‖F m − y‖²."""
        unexplained = (ratio * self.along.square() / (ratio + self.strengths)).sum(0) + self.across
        return self.rows / unexplained

    def log_evidence(self, ratio: Tensor) -> Tensor:
        """log p(y | F, α, β) with the best β for this t: (targets,)"""
        of_noise = self.rows / 2 * (self.noise_precision(ratio).log() - math.log(2 * math.pi) - 1)
        return of_noise - torch.log1p(self.strengths / ratio).sum(0) / 2


def _best_of_grid(spectrum: _Spectrum) -> Tensor:
    """Where the iteration starts: the evidence can have several hills, and it climbs the one it stands on."""
    grid = spectrum.scale * torch.logspace(math.log10(_SMALLEST), math.log10(_LARGEST), _GRID, dtype=torch.float64)
    heights = torch.stack([spectrum.log_evidence(ratio) for ratio in grid])  # (grid, targets)
    return grid[heights.argmax(0)]


def _iterate(spectrum: _Spectrum, ratio: Tensor) -> Tensor:
    """t = α/β of each target where the fixed-point iteration rests, or where it meets the end of what is allowed."""
    strengths, energy, scale = spectrum.strengths, spectrum.along.square(), spectrum.scale
    for _ in range(_ROUNDS):
        explained = (strengths / (ratio + strengths)).sum(0)  # γ
        weights = (strengths * energy / (ratio + strengths).square()).sum(0)  # ‖m‖²
        errors = (ratio.square() * energy / (ratio + strengths).square()).sum(0) + spectrum.across  # ‖F m − y‖²
        following = (explained * errors / ((spectrum.rows - explained) * weights)).nan_to_num(nan=scale)
        following = following.clamp(_SMALLEST * scale, _LARGEST * scale)
        at_rest = bool(((following / ratio - 1).abs() <= _AT_REST).all())
        ratio = following
        if at_rest:
            break
    return ratio
