"""Many LoRAs in one batch with `peft`; started by `speed.py` in the library's own environment.

A mixed batch names the adapter of each row (`adapter_names`), `__base__` for none. One for all rows is also shown merged
into the base's weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import peft
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from speed_answers import Jobs, load_model, plain_forward, serve
from speed_rig import (
    ALL,
    COUNT,
    EIGHT,
    LONG,
    LORA,
    LORA_ALPHA,
    LORA_RANK,
    ONE,
    SHORT,
    SOME,
    THIRTY_TWO,
    Case,
    Job,
    Mix,
    made_up_rows,
    mixes_of,
    noise,
)
from torch import Tensor

SINGLE, MERGED, MIXED = "peft", "peft, merged", "peft adapter_names"
LAYERS = 36  # linear layers of the base


def make_jobs(base: str) -> Jobs:
    plain, single, many = load_model(base), _with_adapters(base, 1), _with_adapters(base, COUNT)
    merged = _with_adapters(base, 1).merge_and_unload()
    jobs: Jobs = {}
    for shape in (LONG, SHORT):
        ids = made_up_rows(*shape)
        unit = partial(plain_forward, plain, ids)
        for by, use in ((SINGLE, ONE), (MERGED, ONE), (MIXED, EIGHT), (MIXED, THIRTY_TWO), (MIXED, SOME)):
            case = Case(by=by, use=use, method=LORA, rank=LORA_RANK, blocks=ALL, rows=shape[0], tokens=shape[1])
            mixes = mixes_of(use, len(ids))
            if by == MIXED:
                run = partial(_mixed_forward, many, ids, mixes)
            else:
                run = partial(plain_forward, single if by == SINGLE else merged, ids)
            jobs[case] = Job(run=run, base=unit, alone=partial(_alone, many, ids, mixes), mixes=mixes)
    return jobs


def _with_adapters(base: str, count: int) -> PeftModel:
    """LoRAs with random weights; the first is the same whatever the count."""
    config = LoraConfig(r=LORA_RANK, lora_alpha=LORA_ALPHA, target_modules=["query", "key", "value", "dense"])
    model = get_peft_model(load_model(base), config, adapter_name=_name(0))
    for number in range(1, count):
        model.add_adapter(_name(number), config)
    for number in range(count):
        dice, found = torch.Generator().manual_seed(number), 0
        for name, weight in model.named_parameters():
            if name.endswith(f".{_name(number)}.weight"):
                weight.data = noise(weight.shape, dice)
                found += ".lora_B." in name
        if found != LAYERS:
            raise SystemExit(f"expected LoRA beside {LAYERS} linear layers, got {found}")
    model.train(False)  # what was added is in training mode
    return model


def _mixed_forward(model: PeftModel, ids: Tensor, mixes: Sequence[Mix]) -> Tensor:
    names = [_name(mix[0][0]) if mix else "__base__" for mix in mixes]
    with torch.inference_mode():
        states: Tensor = model(
            input_ids=ids, attention_mask=torch.ones_like(ids), adapter_names=names
        ).last_hidden_state
    return states


def _alone(model: PeftModel, ids: Tensor, mixes: Sequence[Mix], row: int) -> Tensor:
    """By making the row's adapter the active one."""
    one = ids[row : row + 1]
    if not mixes[row]:
        with model.disable_adapter():
            return plain_forward(model, one)[0]
    model.set_adapter(_name(mixes[row][0][0]))
    return plain_forward(model, one)[0]


def _name(number: int) -> str:
    return f"adapter{number}"


if __name__ == "__main__":
    serve(__doc__, {"peft": peft.__version__}, make_jobs)
