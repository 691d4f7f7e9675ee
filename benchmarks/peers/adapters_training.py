"""Training speed of the `adapters` library; started by `add_task.py` in the library's own environment.

Speaks JSON lines: first says who it is and what it can run, then for every `{"data": …, "name": …}` on standard input
runs that contestant over all rows once and answers `{"seconds": …}`.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Sequence

import adapters
import torch
import transformers
from adapters import SeqBnConfig
from training_rig import DATA, FULL, Learner, batches_of, full_fine_tuning, load_model, make_rows


def main() -> None:
    arguments = _arguments()
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints must not mix with the answers
    warnings.filterwarnings("ignore")
    torch.set_num_threads(arguments.threads)
    contestants = _contestants(arguments.base, arguments.ranks)
    batches = {data: batches_of(make_rows(data, arguments.rows), arguments.batch_size) for data in DATA}
    versions = {
        "adapters": adapters.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "attention": contestants[FULL].model.config._attn_implementation,
    }
    print(json.dumps({"versions": versions, "contestants": list(contestants)}), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        seconds = contestants[asked["name"]].epoch(batches[asked["data"]])
        print(json.dumps({"seconds": seconds}), file=answers, flush=True)


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
