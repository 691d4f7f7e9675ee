"""Training speed of the `peft` library's LoRA; started by `add_task.py` in the library's own environment, see `serve`."""

from __future__ import annotations

import argparse

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from training_rig import FULL, LORA_RANK, LORAS, Learner, full_fine_tuning, load_model, quiet_standard_output, serve


def main() -> None:
    arguments = _arguments()
    answers = quiet_standard_output()
    torch.set_num_threads(arguments.threads)
    versions = {"peft": peft.__version__, "torch": torch.__version__, "transformers": transformers.__version__}
    contestants = {FULL: full_fine_tuning(arguments.base)}
    for name, targets in LORAS.items():
        contestants[f"lora r={LORA_RANK}, {name}, all blocks"] = _lora(arguments.base, targets)
    serve(contestants, arguments.rows, arguments.batch_size, versions, answers)


def _lora(base: str, targets: list[str]) -> Learner:
    model = load_model(base)
    blocks, width, wide = model.config.num_hidden_layers, model.config.hidden_size, model.config.intermediate_size
    config = LoraConfig(r=LORA_RANK, lora_alpha=2 * LORA_RANK, target_modules=targets if targets else "all-linear")
    learner = Learner(get_peft_model(model, config))
    in_a_block = len(targets) * 2 * width if targets else 4 * 2 * width + 2 * (width + wide)  # widths in and out
    _check(learner, LORA_RANK * blocks * in_a_block)
    return learner


def _check(learner: Learner, expected: int) -> None:
    """Exactly the wanted weights learn: A and B at each layer."""
    learning = sum(weight.numel() for weight in learner.model.parameters() if weight.requires_grad)
    if learning != expected:
        raise SystemExit(f"expected {expected} LoRA weights to learn, got {learning}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, help="directory of the base")
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
