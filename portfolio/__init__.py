"""A continual-learning adapter portfolio on one frozen transformer.

    from portfolio import Portfolio
    p = Portfolio.init("support", base="minilm")
    p.add_task("banking", train="train.jsonl", test="test.jsonl")
    p.predict(["my card was stolen"])

Map of the package: `portfolio.py` is the one class most users need; `growth.py`, `answering.py`, `engine.py`, `making.py`,
`training.py` and `evaluation.py` do its work; `releases.py` lets versions come and go, by what `gates/` ask and `evidence/`
measures; `hosting/` runs the base, `methods/` are the adapters, `tasks/` reads examples, `store/` keeps everything on disk,
`exchange/` hands it on, `reports/` tells how it went; `records.py`, `refs.py` and `errors.py` are plain data.

The public names below are loaded when first used, so that `import portfolio` is instant and needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from portfolio.errors import Blocked, PortfolioError
    from portfolio.gates.verdict import Verdict
    from portfolio.made_of import EnsembleOf, Fuse, Merge, StackOn
    from portfolio.methods.bottleneck import BottleneckConfig
    from portfolio.methods.lora import LoraConfig
    from portfolio.portfolio import Portfolio
    from portfolio.records import Answer, Route
    from portfolio.tasks.columns import Columns
    from portfolio.training import TrainingConfig

_HOMES = {
    "Answer": "portfolio.records",
    "Blocked": "portfolio.errors",
    "BottleneckConfig": "portfolio.methods.bottleneck",
    "Columns": "portfolio.tasks.columns",
    "EnsembleOf": "portfolio.made_of",
    "Fuse": "portfolio.made_of",
    "LoraConfig": "portfolio.methods.lora",
    "Merge": "portfolio.made_of",
    "Portfolio": "portfolio.portfolio",
    "PortfolioError": "portfolio.errors",
    "Route": "portfolio.records",
    "StackOn": "portfolio.made_of",
    "TrainingConfig": "portfolio.training",
    "Verdict": "portfolio.gates.verdict",
}

__all__ = [
    "Answer",
    "Blocked",
    "BottleneckConfig",
    "Columns",
    "EnsembleOf",
    "Fuse",
    "LoraConfig",
    "Merge",
    "Portfolio",
    "PortfolioError",
    "Route",
    "StackOn",
    "TrainingConfig",
    "Verdict",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'portfolio' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
