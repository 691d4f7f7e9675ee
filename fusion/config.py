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
        faults = []
        if not 0 <= self.dropout < 1:
            faults.append(f"dropout must be in [0, 1), got {self.dropout}")
        if not 0 <= self.regulariser < float("inf"):
            faults.append(f"regulariser must be 0 or more and finite, got {self.regulariser}")
        if not 0 <= self.initial_deviation < float("inf"):
            faults.append(f"initial_deviation must be 0 or more and finite, got {self.initial_deviation}")
        if faults:
            raise ValueError("; ".join(faults))
