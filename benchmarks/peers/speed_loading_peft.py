"""Loading LoRAs with `peft`; started by `speed_loading.py` in the library's own environment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from speed_answers import load_model
from speed_loading_rig import DEVIATION, LORA_RANK, serve


def save(base: str, directory: Path, count: int) -> list[Path]:
    """Adapters of random weights, as `save_pretrained` writes them."""
    config = LoraConfig(r=LORA_RANK, lora_alpha=2 * LORA_RANK, target_modules=["query", "key", "value", "dense"])
    model = get_peft_model(load_model(base), config)
    directories = []
    for number in range(count):
        dice = torch.Generator().manual_seed(number)
        for name, weight in model.named_parameters():
            if ".lora_" in name:
                weight.data = torch.randn(weight.shape, generator=dice) * DEVIATION
        directories.append(directory / f"task{number}")
        model.save_pretrained(str(directories[-1]))
    return directories


def fresh(base: str, directories: Sequence[Path]) -> Callable[[int], object]:
    """The first one makes the base a `PeftModel`."""
    models: list[PeftModel] = []
    model = load_model(base)

    def load(number: int) -> None:
        if not models:
            models.append(PeftModel.from_pretrained(model, str(directories[number]), adapter_name=f"task{number}"))
        else:
            models[0].load_adapter(str(directories[number]), adapter_name=f"task{number}")

    return load


if __name__ == "__main__":
    serve(__doc__, {"peft": peft.__version__, "transformers": transformers.__version__}, save, fresh)
