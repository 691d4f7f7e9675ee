"""From what a user asks for to the way of making it."""

from __future__ import annotations

from portfolio.composing import ensemble, plain, stacked
from portfolio.drafts import Make
from portfolio.fusing import fused
from portfolio.made_of import EnsembleOf, Fuse, MadeOf, Merge, StackOn
from portfolio.merging import merged
from portfolio.methods.config import AdapterConfig


def way_of(method: AdapterConfig | MadeOf) -> Make:
    """How an adapter of this method, or made of these others, comes to be."""
    if isinstance(method, Fuse):
        return fused(method)
    if isinstance(method, Merge):
        return merged(method)
    if isinstance(method, StackOn):
        return stacked(method)
    if isinstance(method, EnsembleOf):
        return ensemble(method)
    return plain(method)
