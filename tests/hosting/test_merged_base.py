"""One LoRA folded into a copy of the base, in memory and as a directory that transformers loads alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
import torch
import transformers
from safetensors import SafetensorError
from torch.nn import functional

from portfolio.errors import ConfigError, Conflict, Unwritable
from portfolio.hosting import merged_export
from portfolio.hosting.base import fingerprint, freeze
from portfolio.hosting.encode import encode, pad
from portfolio.hosting.merged_base import merged_model
from portfolio.hosting.merged_export import export_merged
from portfolio.hosting.weights import AdapterWeights, Head
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.lora import LoraConfig

TEXTS = ["rose spade fern", "the old kettle, please", "storm", "a new violin under the barge now"]
LABELS = ["first", 'a "second"', "third: #3"]


def test_it_computes_what_the_base_computes_with_the_adapter(family, base_of, host_on, adapter_of, plan_of, rows_of):
    """While a host is on the base, whose slots must not reach the copy."""
    base = base_of(family, torch.float64)
    host = host_on(base)
    adapter = adapter_of(host, LoraConfig(rank=2))
    batch = pad(rows_of(), base.pad_id)
    with torch.no_grad():
        expected = host.run(batch, plan_of(adapter)).last
        model = merged_model(base, adapter)
        torch.testing.assert_close(model(**batch.inputs()).last_hidden_state, expected, rtol=0, atol=1e-10)
        assert not torch.allclose(host.run(batch).last, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_the_base_stays_as_it_is_bit_for_bit(family, own_base, host_on, adapter_of, rows_of):
    base = own_base(family)
    host = host_on(base)
    adapter = adapter_of(host, LoraConfig(rank=2))
    batch = pad(rows_of(), base.pad_id)
    with torch.no_grad():
        before = host.run(batch).last
        model = merged_model(base, adapter)
        for parameter in model.parameters():
            parameter.fill_(0.1)
        assert torch.equal(host.run(batch).last, before)
    assert fingerprint(base.model, base.tokenizer) == base.fingerprint


def test_only_weights_beside_which_the_adapter_stands_differ(base_of, host_on, adapter_of):
    base = base_of("bert")
    adapter = adapter_of(host_on(base), LoraConfig(rank=2, targets=("query", "value"), blocks=(3,)))
    model, old = merged_model(base, adapter), base.model.state_dict()
    changed = {key for key, weight in model.state_dict().items() if not torch.equal(weight, old[key])}
    assert changed == {f"encoder.layer.3.attention.self.{name}.weight" for name in ("query", "value")}


def test_a_merged_model_is_frozen_and_leaves_the_random_numbers_alone(base_of, host_on, adapter_of):
    base = base_of("bert")
    adapter = adapter_of(host_on(base), LoraConfig(rank=2))
    state = torch.random.get_rng_state()
    model = merged_model(base, adapter)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_bottleneck_cannot_be_folded_and_the_error_says_what_can_be_done(base_of, host_on, adapter_of):
    base = base_of("bert")
    adapter = adapter_of(host_on(base), BottleneckConfig(rank=2))
    with pytest.raises(
        ConfigError, match="only LoRA can be folded .* got .* 'bottleneck'.*train the task with method lora"
    ):
        merged_model(base, adapter)


@pytest.mark.parametrize(
    ("key", "width", "said"),
    [
        ("9.linear:attention.self.query", 16, "base 'bert' has no site '9.linear:attention.self.query'"),
        ("3.linear:attention.self.query", 8, "from 16 to 16 features .* the adapter from 8 to 8"),
    ],
)
def test_an_adapter_of_another_base_is_refused(base_of, key, width, said):
    sites = {key: {"down": torch.ones(1, width), "up": torch.ones(width, 1)}}
    adapter = AdapterWeights(config=LoraConfig(rank=1), sites=sites, head=Head(torch.ones(1, 1), torch.ones(1)))
    with pytest.raises(ConfigError, match=said):
        merged_model(base_of("bert"), adapter)


@pytest.fixture
def words_base(tiny_base, base_of):
    """The base of a family that pools as it does by default, under the tokenizer of `tiny_base`, which reads texts."""

    def base(family: str):
        if family == "tiny":
            return tiny_base
        config = transformers.GPT2Config(
            vocab_size=len(tiny_base.tokenizer), n_embd=16, n_layer=4, n_head=2, n_positions=34, initializer_range=0.2
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = transformers.GPT2Model(config)
        return freeze("somebody/small", None, model, tiny_base.tokenizer)

    return base


@pytest.fixture
def exported(words_base, host_on, adapter_of, plan_of, tmp_path):
    """Exports a base with an adapter; gives the directory, the portfolio's own logits, and both."""

    def export(family: str = "tiny", *, max_tokens: int = 16, directory=None, **settings):
        base = words_base(family)
        host = host_on(base, pooling=base.default_pooling)
        adapter = adapter_of(host, LoraConfig(rank=2), labels=len(LABELS), width=host.feature_width)
        to = tmp_path / "out" / "model" if directory is None else directory
        facts = {"name": "demo", "labels": LABELS, "feature_blocks": host.feature_blocks, "pooling": host.pooling}
        export_merged(base, adapter, to, max_tokens=max_tokens, **{**facts, **settings})
        batch = pad(encode(base.tokenizer, TEXTS, None, base.longest(max_tokens)), base.pad_id)
        with torch.no_grad():
            features = host.run(batch, plan_of(adapter)).features
        return to, functional.linear(features, adapter.head.weight, adapter.head.bias)

    return export


def snippet(directory) -> str:
    [code] = re.findall(r"```python\n(.*?)```", (directory / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return code


def run_card(directory, expression: str):
    """What an expression gives after the card's code, in a fresh process that does not know this package."""
    code = f"{snippet(directory)}\nimport json, sys\nassert 'portfolio' not in sys.modules\nprint(json.dumps({expression}))"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    process = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code],
        cwd=directory,
        env={**environment, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1]), process


def test_the_card_computes_the_portfolios_probabilities_with_transformers_alone(exported):
    directory, logits = exported(max_tokens=5)  # so few that two texts are cut
    came, process = run_card(directory, f"[probabilities({TEXTS!r}).tolist(), model.config.id2label]")
    torch.testing.assert_close(torch.tensor(came[0]), torch.softmax(logits, dim=1), rtol=0, atol=1e-5)
    assert list(came[1].values()) == LABELS
    assert "MISSING" not in process.stderr  # no weight is made up
    assert re.match(r"(first|a \"second\"|third: #3) 0\.\d+\n", process.stdout)


def test_the_card_of_a_decoder_reads_the_last_token(exported, monkeypatch):
    directory, logits = exported("gpt2")
    monkeypatch.chdir(directory)
    names: dict = {}
    exec(snippet(directory), names)
    came = names["probabilities"](TEXTS)
    torch.testing.assert_close(came, torch.softmax(logits, dim=1), rtol=0, atol=1e-5)


def test_the_directory_holds_what_the_hub_expects(exported):
    directory, _ = exported()
    assert sorted(path.name for path in directory.iterdir()) == [
        "README.md",
        "config.json",
        "head.safetensors",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    config = json.loads((directory / "config.json").read_text())
    assert config["id2label"] == {str(number): label for number, label in enumerate(LABELS)}
    assert config["label2id"] == {label: number for number, label in enumerate(LABELS)}
    assert sorted(path.name for path in directory.parent.iterdir()) == ["model"]  # nothing temporary is left


def test_the_card_names_a_base_on_the_hub_and_no_path_of_this_disk(exported, tiny_base_dir, tmp_path):
    from_directory, _ = exported(directory=tmp_path / "a")
    from_hub, _ = exported("gpt2", directory=tmp_path / "b")
    front = "---\nlibrary_name: transformers\ntags:\n- lora\n- merged\n- adapter-portfolio\n---\n\n# demo\n"
    assert (from_directory / "README.md").read_text().startswith(front)
    assert (from_hub / "README.md").read_text().startswith('---\nbase_model: "somebody/small"\nlibrary_name: ')
    texts = [path.read_text() for path in from_directory.iterdir() if path.suffix in (".json", ".md")]
    assert not any(str(tiny_base_dir) in text for text in texts)


def test_an_empty_directory_is_taken_and_a_full_one_refused(exported, tmp_path):
    (tmp_path / "here").mkdir()
    directory, _ = exported(directory=tmp_path / "here")
    assert (directory / "README.md").exists()
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    with pytest.raises(Conflict, match=r"is not empty \(it holds 'README.md'\); choose a new or empty directory"):
        exported(directory=directory)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_a_file_is_no_place_to_export_to(exported, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(Conflict, match="is a file; expected a new or empty directory"):
        exported(directory=tmp_path / "file")
    with pytest.raises(Unwritable, match="cannot be written"):
        exported(directory=tmp_path / "file" / "below")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("I/O error")])
def test_a_disk_that_fills_up_leaves_nothing_behind(exported, tmp_path, monkeypatch, error):
    def fails(*_):
        raise error

    monkeypatch.setattr(merged_export, "save_file", fails)  # when the model is written already
    with pytest.raises(Unwritable, match="cannot be written: .*; free some space"):
        exported(directory=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"labels": ["one"]}, r"expected a head of 1 labels on 128 features, got \(3, 128\)"),
        ({"feature_blocks": (4,)}, r"expected a head of 3 labels on 32 features, got \(3, 128\)"),
        ({"pooling": "max"}, "pooling must be one of mean, last; got 'max'"),
    ],
)
def test_a_head_that_fits_neither_labels_nor_features_is_refused(exported, tmp_path, settings, said):
    with pytest.raises(ConfigError, match=said):
        exported(**settings)
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_that_cannot_be_folded_leaves_no_directory(words_base, host_on, adapter_of, tmp_path):
    host = host_on(words_base("tiny"))
    adapter = adapter_of(host, BottleneckConfig(rank=2), labels=1, width=32)
    with pytest.raises(ConfigError, match="only LoRA"):
        export_merged(
            host.base,
            adapter,
            tmp_path / "x",
            name="x",
            labels=["a"],
            feature_blocks=(4,),
            pooling="mean",
            max_tokens=9,
        )
    assert list(tmp_path.iterdir()) == []
