"""What is chosen before a fusion is trained; the same at every site."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionConfig:
    """How the attention over members is computed and trained. The defaults are the paper's."""

    dropout: float = 0.0  # probability, of a score before the softmax, while training
    regulariser: float = 0.01  # times ‖I − W_v‖², added to the loss once a site
    initial_deviation: float = 0.02  # of the normal distribution that W_q and W_k start from
    with_residual: bool = False  # keys and values see a member's output together with the site's own, without adapters

    def __post_init__(self) -> None:
        _refuse(_faults(self.dropout, self.regulariser, self.initial_deviation))


@dataclass(frozen=True, slots=True, kw_only=True)
class LightConfig:
    """How the light gate over members is computed and trained."""

    width: int = 16  # numbers in a query and in a key
    dropout: float = 0.0  # probability, of a score before the softmax, while training
    regulariser: float = 0.01  # times Σ (g_k − 1)², added to the loss once a site
    initial_deviation: float = 0.02  # of the normal distribution that A and B start from

    def __post_init__(self) -> None:
        width = [] if self.width >= 1 else [f"width must be 1 or more, got {self.width}"]
        _refuse(width + _faults(self.dropout, self.regulariser, self.initial_deviation))


def _faults(dropout: float, regulariser: float, initial_deviation: float) -> list[str]:
    faults = []
    if not 0 <= dropout < 1:
        faults.append(f"dropout must be in [0, 1), got {dropout}")
    if not 0 <= regulariser < float("inf"):
        faults.append(f"regulariser must be 0 or more and finite, got {regulariser}")
    if not 0 <= initial_deviation < float("inf"):
        faults.append(f"initial_deviation must be 0 or more and finite, got {initial_deviation}")
    return faults


def _refuse(faults: list[str]) -> None:
    if faults:
        raise ValueError("; ".join(faults))
