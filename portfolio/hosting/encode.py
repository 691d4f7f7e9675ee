"""Texts to token ids, and token ids to padded batches of like length."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

_TURNS = threading.Lock()  # a fast tokenizer keeps its truncation from call to call, so threads must take turns


@dataclass(frozen=True, slots=True)
class Encoded:
    """One input as token ids."""

    ids: tuple[int, ...]
    types: tuple[int, ...] | None  # 0 for the text, 1 for its pair, where the base tells them apart


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded rows."""

    input_ids: Tensor  # (batch, time) int64
    attention_mask: Tensor  # (batch, time) int64, 1 for a token
    token_type_ids: Tensor | None  # (batch, time) int64

    def inputs(self) -> dict[str, Tensor]:
        """As the model's forward takes them."""
        named = {"input_ids": self.input_ids, "attention_mask": self.attention_mask}
        return named if self.token_type_ids is None else {**named, "token_type_ids": self.token_type_ids}

    def to(self, device: torch.device) -> Batch:
        """The same on that device; itself where it is there."""
        if self.input_ids.device == device:
            return self
        types = None if self.token_type_ids is None else self.token_type_ids.to(device)
        return Batch(self.input_ids.to(device), self.attention_mask.to(device), types)

    def select(self, rows: Tensor) -> Batch:
        """These rows, in this order, as often as they are named."""
        types = None if self.token_type_ids is None else self.token_type_ids[rows]
        return Batch(self.input_ids[rows], self.attention_mask[rows], types)


def encode(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], pairs: Sequence[str] | None, max_tokens: int
) -> list[Encoded]:
    """Token ids of each text (and its pair), cut to `max_tokens`; one at least, also where a text has none of its own."""
    if not texts:
        return []
    with _TURNS:
        made = tokenizer(
            list(texts), None if pairs is None else list(pairs), truncation=True, max_length=max_tokens, padding=False
        )
    types = made.get("token_type_ids") if "token_type_ids" in tokenizer.model_input_names else None
    named = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    filler = next((one for one in named if isinstance(one, int)), 0)
    return [
        Encoded(tuple(ids) or (filler,), (tuple(types[row]) or (0,)) if types is not None else None)
        for row, ids in enumerate(made["input_ids"])
    ]


def pad(rows: Sequence[Encoded], pad_id: int) -> Batch:
    """The rows as one batch on the CPU, padded on the right to the longest."""
    lengths = np.array([len(row.ids) for row in rows])
    is_token = np.arange(lengths.max()) < lengths[:, None]  # (batch, time)
    ids = _filled(is_token, (row.ids for row in rows), pad_id)
    types = None if rows[0].types is None else _filled(is_token, (row.types or () for row in rows), 0)
    return Batch(ids, torch.from_numpy(is_token.astype(np.int64)), types)


def _filled(is_token: npt.NDArray[np.bool_], rows: Iterable[Sequence[int]], filler: int) -> Tensor:
    """(batch, time) int64: each row's numbers at its tokens, the filler elsewhere."""
    numbers = np.full(is_token.shape, filler, dtype=np.int64)
    numbers[is_token] = np.fromiter(chain.from_iterable(rows), dtype=np.int64)
    return torch.from_numpy(numbers)


def batches_of_like_length(lengths: Sequence[int], max_rows: int, max_tokens: int) -> list[list[int]]:
    """Row numbers in batches: sorted by length, each batch at most `max_rows` rows and `max_tokens` padded tokens.

    A row longer than `max_tokens` makes a batch of its own.
    """
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda r: (lengths[r], r)):
        full = batches and (len(batches[-1]) >= max_rows or (len(batches[-1]) + 1) * lengths[row] > max_tokens)
        if not batches or full:
            batches.append([])
        batches[-1].append(row)
    return batches


def cut_by_padding(rows: Sequence[int], lengths: Mapping[int, int] | Sequence[int], worth: int) -> list[list[int]]:
    """A batch as several, in order: cut where that saves most padded tokens, again and again while it saves more than `worth`.

    Args:
        rows: of the batch, the shortest first; one or more.
    """
    saved = [place * (lengths[rows[-1]] - lengths[rows[place - 1]]) for place in range(1, len(rows))]
    if max(saved, default=0) <= worth:
        return [list(rows)]
    place = saved.index(max(saved)) + 1
    return [*cut_by_padding(rows[:place], lengths, worth), *cut_by_padding(rows[place:], lengths, worth)]
