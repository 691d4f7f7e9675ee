"""Tiny transformers of every family, made from a config and a seed, and adapters whose weights are all random."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import Tensor

from portfolio.hosting.base import Base, freeze, twin_of
from portfolio.hosting.encode import Encoded
from portfolio.hosting.host import Host
from portfolio.hosting.plan import Plan, Shared
from portfolio.hosting.weights import AdapterWeights, Head
from portfolio.methods.config import AdapterConfig

WORDS = 40
SIZES = {
    "vocab_size": WORDS,
    "hidden_size": 16,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 34,
    "pad_token_id": 0,
}
ENDS: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 1}
RELATIVE: dict[str, Any] = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}

FAMILIES: dict[str, Callable[[], transformers.PretrainedConfig]] = {
    "bert": lambda: transformers.BertConfig(**SIZES),
    "roberta": lambda: transformers.RobertaConfig(**SIZES),
    "xlm-roberta": lambda: transformers.XLMRobertaConfig(**SIZES),
    "deberta": lambda: transformers.DebertaConfig(**SIZES, **RELATIVE),
    "deberta-v2": lambda: transformers.DebertaV2Config(**SIZES, **RELATIVE, position_buckets=8, share_att_key=True),
    "distilbert": lambda: transformers.DistilBertConfig(
        vocab_size=WORDS, dim=16, n_layers=4, n_heads=2, hidden_dim=24, max_position_embeddings=34
    ),
    "modernbert": lambda: transformers.ModernBertConfig(
        **SIZES, **ENDS, cls_token_id=1, sep_token_id=1, global_attn_every_n_layers=2, local_attention=4
    ),
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=WORDS, n_embd=16, n_layer=4, n_head=2, n_inner=24, n_positions=34, **ENDS
    ),
    "llama": lambda: transformers.LlamaConfig(**SIZES, **ENDS, num_key_value_heads=1),
    "qwen2": lambda: transformers.Qwen2Config(**SIZES, **ENDS, num_key_value_heads=1),
    "qwen3": lambda: transformers.Qwen3Config(**SIZES, **ENDS, num_key_value_heads=1, head_dim=8),
    "mistral": lambda: transformers.MistralConfig(**SIZES, **ENDS, num_key_value_heads=1, sliding_window=4),
    # not in the table of layouts: their sites are found by structure
    "electra": lambda: transformers.ElectraConfig(**SIZES, embedding_size=8),
    "mpnet": lambda: transformers.MPNetConfig(**SIZES),
}


def _tokenizer() -> transformers.PreTrainedTokenizerFast:
    vocabulary = {"[PAD]": 0, "[UNK]": 1, **{f"w{number}": number for number in range(2, WORDS)}}
    words = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]")


def _make_base(family: str, dtype: torch.dtype, device: torch.device) -> Base:
    config = FAMILIES[family]()
    config.initializer_range = 0.2  # so wide that every adapter visibly changes the output
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.AutoModel.from_config(config)
    base = freeze(family, None, model.to(dtype), _tokenizer())
    return base if device.type == "cpu" else twin_of(base, device=device)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tiny products wait longer for a second thread than they take."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base_of(test_device: torch.device) -> Callable[..., Base]:
    """The base of a family; made once, so hosts on it must be detached again."""
    made: dict[tuple[str, torch.dtype], Base] = {}

    def base(family: str, dtype: torch.dtype = torch.float32) -> Base:
        if (family, dtype) not in made:
            made[family, dtype] = _make_base(family, dtype, test_device)
        return made[family, dtype]

    return base


@pytest.fixture
def own_base(test_device: torch.device) -> Callable[..., Base]:
    """The same base again, for a test that changes it."""

    def base(family: str, dtype: torch.dtype = torch.float32) -> Base:
        return _make_base(family, dtype, test_device)

    return base


@pytest.fixture(params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def host_on() -> Iterator[Callable[..., Host]]:
    """Hosts that are detached after the test, the last made first."""
    hosts: list[Host] = []

    def host(base: Base, *, trunk: int = 2, pooling: str = "mean") -> Host:
        hosts.append(Host(base, trunk=trunk, pooling=pooling))
        return hosts[-1]

    yield host
    for made in reversed(hosts):
        made.detach()


@pytest.fixture
def rows_of() -> Callable[..., list[Encoded]]:
    """Rows of random words, one for each length."""

    def rows(lengths: Sequence[int] = (5, 9, 1, 7), seed: int = 0) -> list[Encoded]:
        generator = torch.Generator().manual_seed(seed)
        return [
            Encoded(tuple(torch.randint(2, WORDS, (length,), generator=generator).tolist()), None) for length in lengths
        ]

    return rows


@pytest.fixture
def adapter_of() -> Callable[..., AdapterWeights]:
    """An adapter with random weights, the biases and the head too; `fresh` leaves its sites as they begin."""

    def adapter(
        host: Host, config: AdapterConfig, *, seed: int = 0, labels: int = 3, width: int = 4, fresh: bool = False
    ) -> AdapterWeights:
        generator = torch.Generator().manual_seed(seed)
        dtype = host.base.model.dtype
        sites = {site.key: config.fresh(site.shape, generator) for site in host.sites_for(config)}
        for weights in sites.values():
            for name, weight in weights.items():
                made = weight if fresh else torch.empty_like(weight).normal_(std=0.5, generator=generator)
                weights[name] = made.to(host.device, dtype)
        head = [
            torch.randn(shape, generator=generator).to(host.device, dtype) for shape in ((labels, width), (labels,))
        ]
        return AdapterWeights(config=config, sites=sites, head=Head(*head))

    return adapter


@pytest.fixture
def plan_of() -> Callable[..., Plan]:
    """The plan where every row uses this one adapter, made without a bank; `weight` is its share in a mix."""

    def plan(*adapters: tuple[AdapterWeights, float] | AdapterWeights) -> Plan:
        updates: dict[str, tuple[Shared, ...]] = {}
        for one in adapters:
            adapter, weight = one if isinstance(one, tuple) else (one, 1.0)
            for key, weights in adapter.sites.items():
                lighter = {name: _scaled(name, value, weight) for name, value in weights.items()}
                updates[key] = (*updates.get(key, ()), Shared(adapter.config.update(lighter)))
        return Plan(updates)

    return plan


def _scaled(name: str, weight: Tensor, share: float) -> Tensor:
    return weight * share if name.startswith("up") else weight


@pytest.fixture
def family_names() -> Sequence[str]:
    return tuple(FAMILIES)
