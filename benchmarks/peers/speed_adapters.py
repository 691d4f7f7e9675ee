"""Many adapters in one batch with the `adapters` library; started by `speed.py` in the library's own environment.

BatchSplit takes rows in the order of their adapters. MultiTask takes them as they come, with a number for each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import adapters
import torch
from adapters import SeqBnConfig
from adapters.composition import AdapterCompositionBlock, BatchSplit, MultiTask
from speed_answers import Jobs, load_model, plain_forward, serve
from speed_rig import (
    ALL,
    BOTTLENECK,
    COUNT,
    EIGHT,
    LONG,
    ONE,
    RANKS,
    SHORT,
    THIRTY_TWO,
    UPPER,
    Case,
    Job,
    Mix,
    in_order,
    made_up_rows,
    mixes_of,
    noise,
)
from torch import Tensor
from transformers import BertModel

SINGLE, SPLIT, MULTI = "adapters", "adapters BatchSplit, sorted", "adapters MultiTask"
KINDS = ((RANKS[0], ALL), (RANKS[1], ALL), (RANKS[0], UPPER))


def make_jobs(base: str) -> Jobs:
    plain = load_model(base)
    models = {kind: _with_adapters(base, *kind) for kind in KINDS}
    jobs: Jobs = {}
    for shape in (LONG, SHORT):
        ids = made_up_rows(*shape)
        for (rank, blocks), model in models.items():
            if shape == SHORT and rank != RANKS[0]:
                continue
            for use in (ONE, EIGHT, THIRTY_TWO):
                for by in _ways(use, shape == LONG and (rank, blocks) == KINDS[0]):
                    mixes = mixes_of(use, len(ids))
                    case = Case(
                        by=by,
                        use=use,
                        method=BOTTLENECK,
                        rank=rank,
                        blocks=blocks,
                        rows=shape[0],
                        tokens=shape[1],
                    )
                    jobs[case] = _job(by, model, plain, ids, in_order(mixes) if by == SPLIT else mixes)
    return jobs


def _ways(use: str, is_first: bool) -> tuple[str, ...]:
    """MultiTask gives wrong numbers, so it is shown once only."""
    if use == ONE:
        return (SINGLE,)
    return (SPLIT, MULTI) if is_first else (SPLIT,)


def _with_adapters(base: str, rank: int, blocks: str) -> BertModel:
    model = load_model(base)
    adapters.init(model)
    width, count = model.config.hidden_size, model.config.num_hidden_layers
    without = list(range(count // 2)) if blocks == UPPER else []
    for number in range(COUNT):
        model.add_adapter(_name(number), config=SeqBnConfig(reduction_factor=width / rank, leave_out=without))
    dice = torch.Generator().manual_seed(0)
    ranks = []
    for name, weight in model.named_parameters():
        if "adapter_up" in name or "adapter_down.0.bias" in name:
            weight.data = noise(weight.shape, dice)
        if name.endswith("adapter_down.0.weight"):
            ranks.append(len(weight))
    if ranks != [rank] * (COUNT * (count - len(without))):
        raise SystemExit(
            f"expected {COUNT} adapters of rank {rank} in {count - len(without)} blocks, got ranks {ranks}"
        )
    model.train(False)  # what was added is in training mode
    return model


def _job(by: str, model: BertModel, plain: BertModel, ids: Tensor, mixes: Sequence[Mix]) -> Job:
    numbers = [mix[0][0] for mix in mixes]
    return Job(
        run=partial(_forward, by, model, ids, numbers),
        base=partial(plain_forward, plain, ids),
        alone=lambda row: _forward(SINGLE, model, ids[row : row + 1], numbers[row : row + 1])[0],
        mixes=tuple(mixes),
    )


def _forward(by: str, model: BertModel, ids: Tensor, numbers: Sequence[int]) -> Tensor:
    model.set_active_adapters(_setup(by, numbers))
    if by != MULTI:
        return plain_forward(model, ids)
    with torch.inference_mode():
        states: Tensor = model(
            input_ids=ids, attention_mask=torch.ones_like(ids), task_ids=torch.tensor(numbers)
        ).last_hidden_state
    return states


def _setup(by: str, numbers: Sequence[int]) -> AdapterCompositionBlock | str:
    """What the library is told for a batch whose row i has adapter numbers[i]."""
    used = sorted(set(numbers))
    if by == SINGLE:
        return _name(used[0])
    if by == SPLIT:
        return BatchSplit(*map(_name, used), batch_sizes=[numbers.count(number) for number in used])
    return MultiTask(*map(_name, used))


def _name(number: int) -> str:
    return f"adapter{number}"


if __name__ == "__main__":
    serve(__doc__, {"adapters": adapters.__version__}, make_jobs)
