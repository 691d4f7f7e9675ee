"""Loading bottlenecks with the `adapters` library; started by `speed_loading.py` in the library's own environment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import adapters
import torch
import transformers
from adapters import SeqBnConfig
from speed_answers import load_model
from speed_loading_rig import DEVIATION, RANK, serve
from transformers import BertModel


def save(base: str, directory: Path, count: int) -> list[Path]:
    """Adapters of random weights, as `save_adapter` writes them by default."""
    model = _empty(base)
    model.add_adapter("task", config=SeqBnConfig(reduction_factor=model.config.hidden_size / RANK))
    directories = []
    for number in range(count):
        dice = torch.Generator().manual_seed(number)
        for name, weight in model.named_parameters():
            if ".adapters.task." in name:
                weight.data = torch.randn(weight.shape, generator=dice) * DEVIATION
        directories.append(directory / f"task{number}")
        model.save_adapter(str(directories[-1]), "task", with_head=False)
    return directories


def fresh(base: str, directories: Sequence[Path]) -> Callable[[int], object]:
    model = _empty(base)
    return lambda number: model.load_adapter(str(directories[number]), load_as=f"task{number}", with_head=False)


def _empty(base: str) -> BertModel:
    model = load_model(base)
    adapters.init(model)
    return model


if __name__ == "__main__":
    serve(__doc__, {"adapters": adapters.__version__, "transformers": transformers.__version__}, save, fresh)
