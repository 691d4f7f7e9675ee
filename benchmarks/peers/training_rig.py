"""What all processes of `add_task.py` share: made-up rows, a plain training loop, full fine-tuning, the head alone.

Knows torch and plain transformers only, so that it also runs in the other libraries' environments.
"""

from __future__ import annotations

import json
import random
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertModel
from transformers.utils import logging

LABELS = 15
FIRST_WORD, LAST_WORD, BEGIN, END = 1000, 29999, 101, 102  # token ids of BERT's vocabulary
LEARNING_RATE = 1e-4
CLIP = 1.0
FULL = "full fine-tuning"
HEAD = "head only"
LORA_RANK = 8
LORAS = {"query and value": ["query", "value"], "every linear layer": []}  # where it acts; none named: everywhere
DATA = {"fixed": "every row 32 tokens", "mixed": "rows of 8 to 30 tokens, most about 13, in batches of like length"}


@dataclass(frozen=True)
class Rows:
    """Token ids and labels, drawn by chance: speed does not ask what they mean."""

    ids: tuple[tuple[int, ...], ...]
    labels: tuple[int, ...]


def make_rows(kind: str, count: int) -> Rows:
    """`count` rows of one kind of `DATA`; the same in every process."""
    dice = random.Random(f"{kind} {count}")
    lengths = [32 if kind == "fixed" else round(min(30, max(8, dice.lognormvariate(2.6, 0.4)))) for _ in range(count)]
    words = [[dice.randint(FIRST_WORD, LAST_WORD) for _ in range(length - 2)] for length in lengths]
    return Rows(tuple((BEGIN, *row, END) for row in words), tuple(dice.randrange(LABELS) for _ in range(count)))


@dataclass(frozen=True)
class Batch:
    """Rows padded on the right."""

    ids: Tensor  # (batch, time)
    mask: Tensor  # (batch, time), 1 for a token
    labels: Tensor  # (batch,)


def batches_of(rows: Rows, batch_size: int) -> list[Batch]:
    """All rows in batches of like length: the batches, but for their order, that `portfolio.training` makes of them."""
    order = sorted(range(len(rows.ids)), key=lambda row: len(rows.ids[row]))
    groups = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return [_padded(rows, group) for group in groups]


def _padded(rows: Rows, group: Sequence[int]) -> Batch:
    width = max(len(rows.ids[row]) for row in group)
    ids = torch.tensor([[*rows.ids[row], *[0] * (width - len(rows.ids[row]))] for row in group])
    return Batch(ids, (ids != 0).long(), torch.tensor([rows.labels[row] for row in group]))


class Learner:
    """A model, a linear head on the mean of its last states, and AdamW over all that is not frozen."""

    def __init__(self, model: BertModel, *, dropout: bool = True) -> None:
        """Args: dropout: train with the base's own dropout, as a plain training loop does after `model.train()`."""
        self.model = model.train(dropout)
        torch.manual_seed(0)
        self.head = nn.Linear(model.config.hidden_size, LABELS)
        self.weights = [weight for part in (model, self.head) for weight in part.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(self.weights, lr=LEARNING_RATE, fused=True)

    def epoch(self, batches: Sequence[Batch]) -> float:
        """Seconds to learn from every batch once."""
        now = clock()
        began = now()
        for batch in batches:
            states = self.model(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
            kept = batch.mask[:, :, None].to(states.dtype)
            loss = functional.cross_entropy(self.head((states * kept).sum(1) / kept.sum(1)), batch.labels)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.weights, CLIP)
            self.optimizer.step()
            loss.item()
        return now() - began


def clock() -> Callable[[], float]:
    """Processor time with one thread, which other programs hardly touch; with more, the time that passes."""
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter


def load_model(directory: str) -> BertModel:
    """The base, float32, everything trainable."""
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # else it reports the pooler, which is left out
    model: BertModel = BertModel.from_pretrained(directory, add_pooling_layer=False, dtype=torch.float32)
    return model


def full_fine_tuning(directory: str) -> Learner:
    """Every weight learns: the unit in which each process states its speeds."""
    return Learner(load_model(directory))


def head_only(directory: str) -> Learner:
    """Nothing but the head learns; every step runs the whole frozen base."""
    model = load_model(directory)
    model.requires_grad_(False)
    return Learner(model)


def serve(
    contestants: Mapping[str, Learner], rows: int, batch_size: int, versions: Mapping[str, str], answers: TextIO
) -> None:
    """Say who is there; then for every `{"data": …, "name": …}` on standard input answer the seconds of one epoch."""
    batches = {data: batches_of(make_rows(data, rows), batch_size) for data in DATA}
    attention = contestants[FULL].model.config._attn_implementation
    print(
        json.dumps({"versions": {**versions, "attention": attention}, "contestants": list(contestants)}),
        file=answers,
        flush=True,
    )
    for line in sys.stdin:
        asked = json.loads(line)
        seconds = contestants[asked["name"]].epoch(batches[asked["data"]])
        print(json.dumps({"seconds": seconds}), file=answers, flush=True)


def quiet_standard_output() -> TextIO:
    """Where answers go; whatever a library prints goes to the error output, and must not mix with them."""
    answers, sys.stdout = sys.stdout, sys.stderr
    warnings.filterwarnings("ignore")
    return answers
