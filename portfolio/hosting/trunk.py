"""One pass of the bare base over many texts: features for the router, and the trunk's states for training.

Neither changes while adapters learn, so each is computed once per text. The states are kept as one flat tensor, without
padding, as long as they fit a budget of bytes; beyond it they are computed again whenever they are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from portfolio.hosting.encode import Batch, Encoded, batches_of_like_length, pad
from portfolio.hosting.host import Host
from portfolio.hosting.plan import Trunk

BATCH_ROWS = 64
BATCH_TOKENS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Texts after one pass of the bare base."""

    encoded: Sequence[Encoded]
    features: Tensor  # (rows, feature width) float32, of the bare base
    states: tuple[Tensor, ...] | None  # per row (time, hidden), the trunk's; None where they did not fit the budget

    def __len__(self) -> int:
        return len(self.encoded)

    @property
    def kept_bytes(self) -> int:
        """What the trunk's states take in memory."""
        return sum(4 * state.numel() for state in self.states or ())

    def batch(self, host: Host, rows: Sequence[int]) -> tuple[Batch, Trunk | None]:
        """The rows padded, with what the trunk made of them where that is kept."""
        batch = pad([self.encoded[row] for row in rows], host.base.pad_id)
        if self.states is None:
            return batch, None
        states = pad_sequence([self.states[row] for row in rows], batch_first=True)  # (batch, time, hidden)
        return batch, Trunk(states, self.features[rows, : host.trunk_feature_width])


def prepare(
    host: Host,
    encoded: Sequence[Encoded],
    *,
    keep_bytes: int = 0,
    advance: Callable[[int], None] = lambda rows: None,
) -> Prepared:
    """Run the bare base once over every text.

    Args:
        keep_bytes: how much the trunk's states may take; if they would take more, none are kept.
        advance: told how many rows were done, for a progress bar.
    """
    hidden = host.base.model.config.hidden_size
    needed = 4 * hidden * sum(len(row.ids) for row in encoded)
    states: list[Tensor] | None = [torch.empty(0)] * len(encoded) if 0 < needed <= keep_bytes else None
    features = torch.zeros(len(encoded), host.feature_width)
    with torch.inference_mode():
        for rows in batches_of_like_length([len(row.ids) for row in encoded], BATCH_ROWS, BATCH_TOKENS):
            batch = pad([encoded[row] for row in rows], host.base.pad_id)
            passed = host.run(batch)
            features[rows] = passed.features
            if states is not None:
                for index, row in enumerate(rows):
                    states[row] = passed.trunk.state[index, : len(encoded[row].ids)].clone()
            advance(len(rows))
    kept = None if states is None else tuple(states)
    return Prepared(encoded=encoded, features=features, states=kept)


def unprepared(encoded: Sequence[Encoded]) -> Prepared:
    """Texts that the bare base has not seen, where only an adapter's answer is wanted."""
    return Prepared(encoded=encoded, features=torch.zeros(len(encoded), 0), states=None)
