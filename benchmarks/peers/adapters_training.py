"""Training speed of the `adapters` library; started by `add_task.py` in the library's own environment, see `serve`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import adapters
import torch
import transformers
from adapters import SeqBnConfig
from training_rig import FULL, Learner, full_fine_tuning, load_model, quiet_standard_output, serve


def main() -> None:
    arguments = _arguments()
    answers = quiet_standard_output()
    torch.set_num_threads(arguments.threads)
    versions = {
        "adapters": adapters.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    contestants = _contestants(arguments.base, arguments.ranks)
    serve(contestants, arguments.rows, arguments.batch_size, versions, answers)


def _contestants(base: str, ranks: Sequence[int]) -> dict[str, Learner]:
    """Full fine-tuning, and for each rank: all blocks, the upper half, the upper half without the base's dropout."""
    made = {FULL: full_fine_tuning(base)}
    for rank in ranks:
        made[f"seq_bn r={rank}, all blocks"] = _adapter(base, rank, upper=False, dropout=True)
        made[f"seq_bn r={rank}, upper half"] = _adapter(base, rank, upper=True, dropout=True)
        made[f"seq_bn r={rank}, upper half, no dropout"] = _adapter(base, rank, upper=True, dropout=False)
    return made


def _adapter(base: str, rank: int, *, upper: bool, dropout: bool) -> Learner:
    model = load_model(base)
    adapters.init(model)
    without = list(range(model.config.num_hidden_layers // 2)) if upper else []
    model.add_adapter("task", config=SeqBnConfig(reduction_factor=model.config.hidden_size / rank, leave_out=without))
    model.train_adapter("task")  # freezes the base and makes the adapter active; on the way it warns that none is yet
    learner = Learner(model, dropout=dropout)
    _check(model, rank, blocks=model.config.num_hidden_layers - len(without))
    return learner


def _check(model: torch.nn.Module, rank: int, blocks: int) -> None:
    """The adapters are active, and exactly the wanted ones learn: D, b, U, c in each block."""
    if "task" not in str(model.active_adapters):
        raise SystemExit(f"expected the adapter 'task' to be active, got {model.active_adapters}")
    width = model.config.hidden_size
    expected = blocks * (2 * rank * width + rank + width)
    learning = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    if learning != expected:
        raise SystemExit(f"expected {expected} adapter weights to learn (rank {rank}, {blocks} blocks), got {learning}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, help="directory of the base")
    parser.add_argument("--ranks", type=int, nargs="+", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
