"""AdapterFusion as the `adapters` library computes it; started by `fusion_speed.py` in the library's own environment.

Speaks JSON lines: first says who it is and what it can run, then answers each of

    {"do": "time", "case": …}                                      the case after a plain pass of the base
    {"do": "memory", "case": …}                                    the peak of what the case allocates
    {"do": "memory of base"}
    {"do": "blend", "numbers": NPZ, "to": NPY}                     its fusion layer with the given matrices and outputs
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import adapters
import numpy as np
import torch
import transformers
from adapters import DynamicAdapterFusionConfig, SeqBnConfig
from adapters.composition import Fuse
from adapters.methods.modeling import BertFusion
from fusion_rig import ALL, FORWARD, RANK, ROWS, STEP, UPPER, Case, Run, Training, case_to_json, peak_bytes, timed
from torch import Tensor, nn
from torch.nn import functional
from training_rig import LABELS, Batch, batches_of, load_model, make_rows
from transformers import BertModel

FUSE, FUSE_NO_DROPOUT = "Fuse", "Fuse, no dropout"


def main() -> None:
    arguments = _arguments()
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints must not mix with the answers
    warnings.filterwarnings("ignore")
    torch.set_num_threads(arguments.threads)
    [batch] = batches_of(make_rows("fixed", ROWS), ROWS)
    plain = load_model(arguments.base).eval()
    base = partial(_forward, plain, batch)
    cases = _cases(arguments.base, arguments.members, arguments.trained, batch)
    versions = {
        "adapters": adapters.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "attention": plain.config._attn_implementation,
    }
    print(json.dumps({"versions": versions, "cases": [case_to_json(case) for case in cases]}), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        answer: dict[str, object]
        if asked["do"] == "time":
            answer = asdict(timed(cases[Case(**asked["case"])], base))
        elif asked["do"] == "memory":
            answer = {"bytes": peak_bytes(cases[Case(**asked["case"])])}
        elif asked["do"] == "memory of base":
            answer = {"bytes": peak_bytes(base)}
        else:
            np.save(asked["to"], _blend(asked["numbers"]))
            answer = {}
        print(json.dumps(answer), file=answers, flush=True)


def _cases(base: str, counts: Sequence[int], trained: int, batch: Batch) -> dict[Case, Run]:
    made: dict[Case, Run] = {}
    for blocks in (ALL, UPPER):
        model = _with_fusions(base, counts, upper=blocks == UPPER).eval()
        for count in counts:
            made[Case(FORWARD, FUSE, count, blocks)] = partial(_fused_forward, model, _fuse(count), batch)
    for blocks, dropout in ((ALL, True), (ALL, False), (UPPER, False)):
        case = Case(STEP, FUSE if dropout else FUSE_NO_DROPOUT, trained, blocks)
        made[case] = _training(_with_fusions(base, [trained], upper=blocks == UPPER), trained, batch, dropout).step
    return made


def _with_fusions(base: str, counts: Sequence[int], *, upper: bool) -> BertModel:
    """Adapters of random weights after every feed-forward layer, or those of the upper half, and fusions of them."""
    model = load_model(base)
    adapters.init(model)
    width, blocks = model.config.hidden_size, model.config.num_hidden_layers
    without = list(range(blocks // 2)) if upper else []
    for name in _names(max(counts)):
        model.add_adapter(name, config=SeqBnConfig(reduction_factor=width / RANK, leave_out=without))
    for count in counts:
        model.add_adapter_fusion(_fuse(count), DynamicAdapterFusionConfig())
        for number in without:  # it puts a layer there too, which never runs but would be trained
            model.encoder.layer[number].output.delete_fusion_layer(_fuse(count).name)
    _check(model, counts, blocks - len(without))
    return model


def _check(model: nn.Module, counts: Sequence[int], blocks: int) -> None:
    """Every wanted adapter and fusion is there, of the wanted width, and no other."""
    found = [module for module in model.modules() if isinstance(module, BertFusion)]
    ranks = [one[0].out_features for name, one in model.named_modules() if name.endswith("adapter_down")]
    if len(found) != len(counts) * blocks or ranks != [RANK] * (max(counts) * blocks):
        raise SystemExit(
            f"expected {len(counts) * blocks} fusion layers and {max(counts) * blocks} adapters of rank {RANK}, "
            f"got {len(found)} and ranks {sorted(set(ranks))} of {len(ranks)}"
        )


def _names(count: int) -> list[str]:
    return [f"member{number}" for number in range(count)]


def _fuse(count: int) -> Fuse:
    return Fuse(*_names(count))


def _forward(model: BertModel, batch: Batch) -> Tensor:
    with torch.inference_mode():
        states: Tensor = model(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
    return states


def _fused_forward(model: BertModel, fuse: Fuse, batch: Batch) -> Tensor:
    model.set_active_adapters(fuse)  # far below a thousandth of the pass
    return _forward(model, batch)


def _training(model: BertModel, count: int, batch: Batch, dropout: bool) -> Training:
    """As the library's trainer does: its regulariser added to the loss, base and adapters frozen."""
    model.train_adapter_fusion(_fuse(count))
    model.train(dropout)
    torch.manual_seed(0)
    head = nn.Linear(model.config.hidden_size, LABELS)
    fusions = [weight for weight in model.parameters() if weight.requires_grad]
    layers = sum(isinstance(module, BertFusion) for module in model.modules())
    width = model.config.hidden_size
    if sum(weight.numel() for weight in fusions) != layers * (3 * width**2 + 2 * width):
        raise SystemExit(f"expected the query, key and value of {layers} fusion layers to learn, got something else")

    def loss() -> Tensor:
        states = model(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        kept = batch.mask[:, :, None].to(states.dtype)
        logits = head((states * kept).sum(1) / kept.sum(1))
        penalty: Tensor = model.get_fusion_regularization_loss()
        return functional.cross_entropy(logits, batch.labels) + penalty

    return Training([*fusions, *head.parameters()], loss)


def _blend(file: str) -> np.ndarray:
    """(sites, batch, time, d): what its fusion layer makes of x and the members' outputs, with the given matrices."""
    numbers = {name: torch.from_numpy(array) for name, array in np.load(file).items()}
    blends = []
    for site in range(len(numbers["x"])):
        x, outputs = numbers["x"][site], numbers["outputs"][site]  # (batch, time, d), (batch, time, members, d)
        layer = BertFusion(DynamicAdapterFusionConfig(), x.shape[-1], 0.0).eval()
        names = ("query.weight", "query.bias", "key.weight", "key.bias", "value.weight")
        layer.load_state_dict({name: numbers[name][site] for name in names})
        with torch.inference_mode():
            blends.append(layer(x, outputs, outputs, torch.zeros_like(x)))
    stacked: np.ndarray = torch.stack(blends).numpy()
    return stacked


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, help="directory of the base")
    parser.add_argument("--members", type=int, nargs="+", required=True)
    parser.add_argument("--trained", type=int, required=True, help="members while training")
    parser.add_argument("--threads", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
