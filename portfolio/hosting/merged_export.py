"""A merged model as a plain directory in the form of the Hugging Face hub: transformers loads it without this package.

    config.json, model.safetensors, tokenizer files   the base with one LoRA folded in, labels in its config
    head.safetensors                                  `weight` (labels, feature width) and `bias` (labels,)
    README.md                                         a card with the code that computes probabilities

The directory is written under a temporary name beside its final one and renamed, so it is there whole or not at all.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from portfolio.errors import Conflict, Unwritable, require
from portfolio.hosting.base import MINILM, Base
from portfolio.hosting.host import POOLINGS
from portfolio.hosting.merged_base import merged_model
from portfolio.hosting.merged_card import CardFacts, card
from portfolio.hosting.weights import AdapterWeights

MINILM_ON_HUB = "sentence-transformers/all-MiniLM-L6-v2"


def export_merged(
    base: Base,
    adapter: AdapterWeights,
    directory: Path,
    *,
    name: str,
    labels: Sequence[str],
    feature_blocks: tuple[int, ...],
    pooling: str,
    max_tokens: int,
) -> None:
    """Write the base with this adapter in its weights, its head, and a card.

    Args:
        directory: new or empty; made together with the directories above it.
        name: the heading of the card.
        labels: in the order of the head's rows.
        feature_blocks: after how many blocks the states are read, as of the host that the head was trained on.
        pooling: that host's.
        max_tokens: texts are cut there, by the tokenizer.

    Raises:
        ConfigError: the adapter cannot be folded in, or its head fits neither labels nor features.
        Conflict: `directory` is a file, or has something in it.
        Unwritable: the disk is full or a directory read-only; `directory` is as it was.
    """
    width = len(feature_blocks) * int(base.model.config.hidden_size)
    require(pooling in POOLINGS, f"pooling must be one of {', '.join(POOLINGS)}; got {pooling!r}")
    require(
        tuple(adapter.head.weight.shape) == (len(labels), width),
        f"expected a head of {len(labels)} labels on {width} features, got {tuple(adapter.head.weight.shape)}; give the "
        "labels and feature blocks that the adapter was trained with",
    )
    with _whole(directory) as building:
        model = merged_model(base, adapter)
        model.config.id2label = dict(enumerate(labels))
        model.config.label2id = {label: number for number, label in enumerate(labels)}
        _save_quietly(model, building)
        longest = base.longest(max_tokens)
        _tokenizer(base, longest).save_pretrained(building)
        head = {"weight": adapter.head.weight, "bias": adapter.head.bias}
        save_file({key: tensor.detach().contiguous() for key, tensor in head.items()}, building / "head.safetensors")
        facts = CardFacts(
            name=name,
            base=_on_hub(base),
            labels=len(labels),
            feature_blocks=feature_blocks,
            pooling=pooling,
            max_tokens=longest,
            has_pooler="add_pooling_layer" in inspect.signature(type(model).__init__).parameters,
        )
        (building / "README.md").write_text(card(facts), encoding="utf-8")


def _require_free(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise Conflict(f"{directory} is a file; expected a new or empty directory to export to")
    if directory.exists() and (found := sorted(path.name for path in directory.iterdir())):
        raise Conflict(
            f"{directory} is not empty (it holds {found[0]!r}); choose a new or empty directory to export to"
        )


@contextlib.contextmanager
def _whole(directory: Path) -> Iterator[Path]:
    """An empty directory beside this one that takes its name if the body ends well, and goes otherwise."""
    building = None
    try:
        _require_free(directory)
        final = directory.resolve()
        building = final.parent / f".tmp-{secrets.token_hex(8)}"
        building.mkdir(parents=True)
        yield building
        os.rename(building, final)  # also over an empty directory, but over no other
    except (OSError, SafetensorError) as error:
        raise Unwritable(
            f"{directory} cannot be written: {error}; free some space or choose a directory that can be written, and run "
            "the same command again"
        ) from error
    finally:
        if building is not None:
            shutil.rmtree(building, ignore_errors=True)


def _save_quietly(model: PreTrainedModel, directory: Path) -> None:
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model.save_pretrained(directory)


def _tokenizer(base: Base, max_tokens: int) -> PreTrainedTokenizerBase:
    """The base's, told to pad and cut as the portfolio does."""
    tokenizer = copy.deepcopy(base.tokenizer)
    tokenizer.model_max_length = max_tokens
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:  # many decoders; what is masked may be any token
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(base.pad_id)
    return tokenizer


def _on_hub(base: Base) -> str | None:
    """Its name on the hub, as far as the base says; a path on somebody's disk is nobody else's business."""
    if base.name == MINILM:
        return MINILM_ON_HUB
    return None if Path(base.name).exists() or base.name.count("/") > 1 else base.name
