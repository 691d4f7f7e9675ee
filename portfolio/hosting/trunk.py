"""One pass of the bare base over many texts: features for the router, and the trunk's states for training.

Neither changes while adapters learn, so each is computed once per text. The states are kept without padding as long as they
fit a budget of bytes; beyond it they are computed again whenever they are needed. Where there is room for it, the prelude
is kept as well: of the first block above the trunk, all that most adapters leave as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from portfolio.hosting.encode import Batch, Encoded, batches_of_like_length, pad
from portfolio.hosting.host import Host
from portfolio.hosting.plan import Prelude, Trunk

BATCH_ROWS = 64
BATCH_TOKENS = 2048  # padded ones, of a batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Texts after one pass of the bare base."""

    encoded: Sequence[Encoded]
    features: Tensor  # (rows, feature width) float32 on the CPU, of the bare base
    # per row (time, hidden) on the host's device, the trunk's; None where they did not fit the budget
    states: tuple[Tensor, ...] | None
    preludes: tuple[Prelude, ...] | None = None  # per row (time, hidden) each; kept where they fit as well

    def __len__(self) -> int:
        return len(self.encoded)

    @property
    def kept_bytes(self) -> int:
        """What the trunk's states take in memory."""
        preludes = [part for one in self.preludes or () for part in (one.attention, one.feed_forward)]
        return sum(tensor.numel() * tensor.element_size() for tensor in (*(self.states or ()), *preludes))

    def batch(self, host: Host, rows: Sequence[int]) -> tuple[Batch, Trunk | None]:
        """The rows padded, with what the trunk made of them where that is kept."""
        batch = pad([self.encoded[row] for row in rows], host.base.pad_id)
        if self.states is None:
            return batch, None
        states = pad_sequence([self.states[row] for row in rows], batch_first=True)  # (batch, time, hidden)
        prelude = None if self.preludes is None else _padded([self.preludes[row] for row in rows])
        return batch, Trunk(states, self.features[rows, : host.trunk_feature_width].to(host.device), prelude)


def prepare(
    host: Host,
    encoded: Sequence[Encoded],
    *,
    keep_bytes: int = 0,
    advance: Callable[[int], None] = lambda rows: None,
) -> Prepared:
    """Run the bare base once over every text.

    Args:
        keep_bytes: how much the trunk's states may take; if they would take more, none are kept. They and the preludes
            together likewise.
        advance: told how many rows were done, for a progress bar.
    """
    hidden = host.base.model.config.hidden_size
    needed = host.dtype.itemsize * hidden * sum(len(row.ids) for row in encoded)
    states: list[Tensor] | None = [torch.empty(0)] * len(encoded) if 0 < needed <= keep_bytes else None
    preludes: dict[int, Prelude] = {}
    features = torch.zeros(len(encoded), host.feature_width)
    with torch.inference_mode():
        for rows in batches_of_like_length([len(row.ids) for row in encoded], BATCH_ROWS, BATCH_TOKENS):
            batch = pad([encoded[row] for row in rows], host.base.pad_id)
            passed = host.run(batch)
            features[rows] = passed.features.to("cpu", features.dtype)
            if states is not None:
                for index, row in enumerate(rows):
                    states[row] = passed.trunk.state[index, : len(encoded[row].ids)].clone()
            if passed.prelude is not None and 0 < 3 * needed <= keep_bytes:
                for index, row in enumerate(rows):
                    preludes[row] = _cut(passed.prelude, index, len(encoded[row].ids))
            advance(len(rows))
    return Prepared(
        encoded=encoded,
        features=features,
        states=None if states is None else tuple(states),
        preludes=tuple(preludes[row] for row in range(len(encoded))) if preludes else None,
    )


def _cut(prelude: Prelude, row: int, length: int) -> Prelude:
    """Of one row, without padding."""
    return Prelude(prelude.attention[row, :length].clone(), prelude.feed_forward[row, :length].clone())


def _padded(rows: Sequence[Prelude]) -> Prelude:
    """(batch, time, hidden) each"""
    return Prelude(
        pad_sequence([row.attention for row in rows], batch_first=True),
        pad_sequence([row.feed_forward for row in rows], batch_first=True),
    )


def unprepared(encoded: Sequence[Encoded]) -> Prepared:
    """Texts that the bare base has not seen, where only an adapter's answer is wanted."""
    return Prepared(encoded=encoded, features=torch.zeros(len(encoded), 0), states=None)
