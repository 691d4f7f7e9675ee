"""For each row of a batch its own mix of adapters, at one site: one batched product for all of them.

Adapters side by side are one wider adapter (DESIGN, section 3), so a row's mix is just a list of rows of the bank's
matrices. How the products are done is chosen for each batch: see groups.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from portfolio.errors import BaseUnavailable
from portfolio.hosting.groups import is_better_grouped, is_better_merged
from portfolio.hosting.pages import Lease
from portfolio.hosting.picks import Picks
from portfolio.methods.low_rank import ACTIVATIONS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PerRow:
    """What the plain adapters of a batch do at one site, those of one activation."""

    down: Tensor  # (stacked, in)
    down_bias: Tensor | None  # (stacked,); None: nobody here has one
    up: Tensor  # (stacked, out)
    activation: str
    picks: Picks  # which rows of these matrices each row of the batch uses
    weights: Tensor | None  # (pairs,); None: every weight is 1
    lease: Lease  # keeps the rows as they are

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            y = y.clone()
        if not len(self.picks.acting):
            return y
        if len(y) != len(self.picks.pairs.of_row):
            raise BaseUnavailable(
                f"a layer of this base makes {len(y)} rows for a batch of {len(self.picks.pairs.of_row)}, as it computes once "
                "for all of them; name it in `common` of the base's line of LAYOUTS in portfolio/hosting/sites.py"
            )
        if self.picks.alike is not None:
            return self._alike(y, x, self.picks.alike)
        pairs, rows = self.picks.pairs, self.picks.rows
        grouped = is_better_grouped(
            batch=len(y),
            mixed=pairs.of_row.shape[1],
            pairs=len(pairs.row),
            adapters=len(self.picks.acting),
            most=pairs.members.shape[1],
            time=y.shape[1],
            rank=rows.shape[1],
            both=x.shape[2] + y.shape[2],
            out=y.shape[2],
        )
        return self._grouped(y, x) if grouped else self._gathered(y, x)

    def merged_into(self, weight: Tensor, tokens: int) -> Tensor | None:
        """The weight (out, in) of a linear layer with the update in it; None where it is no matrix, or adding it is less work.

        Args:
            tokens: that the layer is to read.
        """
        at = self.picks.alike
        if at is None or self.activation != "identity" or self.down_bias is not None or self.weights is not None:
            return None
        if not is_better_merged(tokens=tokens, rank=len(at), width_in=weight.shape[1], width_out=weight.shape[0]):
            return None
        return torch.addmm(weight, self.up.index_select(0, at).T, self.down.index_select(0, at))

    def _alike(self, y: Tensor, x: Tensor, at: Tensor) -> Tensor:
        """Every row of the batch with the same adapter: one product."""
        hidden = torch.mm(self.down.index_select(0, at), x.flatten(0, 1).T)  # (rank, batch * time): see `_gathered`
        if self.down_bias is not None:
            hidden += self.down_bias[at][:, None]
        hidden = ACTIVATIONS[self.activation](hidden)
        if self.weights is not None:
            hidden = hidden * self.weights[self.picks.grouped.pairs].repeat_interleave(y.shape[1])
        return y.flatten(0, 1).addmm_(hidden.T, self.up.index_select(0, at)).view_as(y)

    def _gathered(self, y: Tensor, x: Tensor) -> Tensor:
        """Each row of the batch with a copy of its own weights, those of its adapters side by side."""
        at = self.picks.gathered
        down = self.down.index_select(0, at).view(len(y), -1, x.shape[2])
        hidden = torch.bmm(down, x.mT)  # (batch, most * rank, time): quicker than its transpose
        del down  # so that `up` may lie in its place
        if self.down_bias is not None:
            hidden += self.down_bias[at].view(len(y), -1, 1)
        hidden = ACTIVATIONS[self.activation](hidden)
        if self.weights is not None:
            weights = self.weights[self.picks.of_row].repeat_interleave(self.picks.rows.shape[1], dim=1)
            hidden = hidden * weights[:, :, None]
        return y.baddbmm_(hidden.mT, self.up.index_select(0, at).view(len(y), -1, y.shape[2]))

    def _grouped(self, y: Tensor, x: Tensor) -> Tensor:
        """The rows of each adapter together, padded to the most; rows without an adapter here are left out."""
        grouped, adapters = self.picks.grouped, len(self.picks.acting)
        down = self.down.index_select(0, grouped.rows).view(adapters, -1, x.shape[2])
        up = self.up.index_select(0, grouped.rows).view(adapters, -1, y.shape[2])
        together = x.index_select(0, grouped.members).view(adapters, -1, x.shape[2])
        hidden = torch.bmm(down, together.mT)  # (adapters, rank, most * time)
        if self.down_bias is not None:
            hidden += self.down_bias[grouped.rows].view(adapters, -1, 1)
        hidden = ACTIVATIONS[self.activation](hidden)
        update = torch.bmm(hidden.mT, up).view(-1, *y.shape[1:])  # (adapters * most, time, out)
        if grouped.taken is not None:
            update = update.index_select(0, grouped.taken)
        if self.weights is not None:
            update = update * self.weights[grouped.pairs][:, None, None]
        return y.index_add_(0, grouped.row, update)
