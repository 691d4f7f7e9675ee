"""A base made to run with other numbers: near to what it was, in its place, and refused where it cannot be."""

from __future__ import annotations

import functools
import importlib.util
import shutil

import pytest
import torch
from torch.nn import functional

from portfolio.errors import ConfigError
from portfolio.execution import PLAIN, Execution
from portfolio.hosting.bank import Bank
from portfolio.hosting.base import fingerprint, twin_of
from portfolio.hosting.encode import pad
from portfolio.hosting.host import Host
from portfolio.hosting.numbers import device_of, ready_base
from portfolio.hosting.ready import passes_of
from portfolio.hosting.sites import find_sites
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.lora import LoraConfig

INT8, BFLOAT16 = Execution(int8=True), Execution(dtype="bfloat16")
WITHOUT_BFLOAT16 = {"avx2": True, "avx512_bf16": False, "architecture": "x86_64"}
WITH_BFLOAT16 = {"avx2": True, "avx512_bf16": True, "architecture": "x86_64"}


@pytest.fixture(autouse=True)
def _with_bfloat16(monkeypatch):
    """Whatever processor the tests run on."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: WITH_BFLOAT16)


@pytest.fixture
def rows(rows_of):
    return pad(rows_of(), 0)


def features_of(base, batch, plan=None):
    host = Host(base, trunk=2)
    with torch.inference_mode():
        features = host.run(batch, *([] if plan is None else [plan])).features
    host.detach()
    return features


def nearness(ours, expected):
    """The cosine of the row that is farthest off."""
    return functional.cosine_similarity(ours, expected).min().item()


def test_plain_execution_gives_the_base_itself(base_of):
    base = base_of("bert")
    assert ready_base(base, PLAIN, trunk=2) is base
    assert ready_base(base, Execution(bank_bytes=5), trunk=2) is base


def test_a_twin_computes_the_same_bits_with_the_same_weights_and_none_of_a_hosts_slots(base_of, family, rows, host_on):
    base = base_of(family)
    expected = features_of(base, rows)
    host = host_on(base)
    before = torch.random.get_rng_state()
    twin = twin_of(base)
    assert torch.equal(torch.random.get_rng_state(), before)
    host.detach()
    assert torch.equal(features_of(twin, rows), expected)
    assert fingerprint(twin.model, twin.tokenizer) == twin.fingerprint == base.fingerprint
    ours, theirs = list(twin.model.parameters()), list(base.model.parameters())
    assert [one.data_ptr() for one in ours] == [one.data_ptr() for one in theirs]
    assert not any(one.requires_grad for one in ours)


@pytest.mark.parametrize("execution", [BFLOAT16, INT8, Execution(int8=True, dtype="bfloat16")], ids=str)
def test_other_numbers_are_near_and_the_base_that_was_handed_in_is_as_it_was(base_of, family, rows, execution):
    base = base_of(family)
    expected = features_of(base, rows)
    ready = ready_base(base, execution, trunk=2)
    ours = features_of(ready, rows)
    assert ours.dtype == torch.float32
    assert nearness(ours, expected) > 0.99
    assert not torch.equal(ours, expected)
    assert ready.fingerprint == base.fingerprint == fingerprint(base.model, base.tokenizer)
    assert torch.equal(features_of(base, rows), expected)


def test_features_of_a_bfloat16_base_are_pooled_in_float32(base_of, rows, host_on):
    """The last states, averaged over a row's tokens by hand."""
    host = host_on(ready_base(base_of("bert"), BFLOAT16, trunk=2))
    assert (host.dtype, host.feature_dtype) == (torch.bfloat16, torch.float32)
    with torch.inference_mode():
        passed = host.run(rows)
    assert passed.last.dtype == torch.bfloat16
    for row, mask in enumerate(rows.attention_mask):
        mean = passed.last[row, : mask.sum()].float().mean(0)
        torch.testing.assert_close(passed.features[row, -16:], mean / mean.norm(), rtol=0, atol=1e-6)


def test_frequencies_of_positions_keep_their_precision(base_of):
    before, after = (
        dict(one.model.named_buffers()) for one in (base_of("llama"), twin_of(base_of("llama"), dtype=torch.bfloat16))
    )
    assert before.keys() == after.keys() and "rotary_emb.inv_freq" in before
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_eight_bit_layers_keep_their_places_and_shapes_and_take_a_quarter_of_the_memory(base_of, family):
    base = base_of(family)
    ready = ready_base(base, INT8, trunk=2)
    assert find_sites(ready.model) == find_sites(base.model)
    site = find_sites(base.model)["3.ffn_output"]
    layers = [find_layer(one, site) for one in (ready, base)]
    assert type(layers[0].weight).__name__ == "Int8Tensor"
    stored = sum(part.numel() * part.itemsize for part in (layers[0].weight.qdata, layers[0].weight.scale))
    assert stored == layers[1].weight.numel() + 4 * site.shape.features_out


def find_layer(base, site):
    host = Host(base, trunk=2)
    host.detach()
    return host.blocks[site.block].get_submodule(site.writes)


@pytest.mark.parametrize("execution", [INT8, BFLOAT16], ids=str)
@pytest.mark.parametrize(
    "config",
    [LoraConfig(rank=2, alpha=0.5), BottleneckConfig(rank=3, placement="houlsby", scale=0.3)],
    ids=["lora", "houlsby"],
)
@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_adapters_on_a_base_with_other_numbers_do_nearly_what_they_do_on_it(
    base_of, family, rows, host_on, adapter_of, execution, config
):
    """LoRA on every linear layer, in a mixed batch with a row of the bare base."""
    features = []
    for base in (base_of(family), ready_base(base_of(family), execution, trunk=2)):
        host = host_on(base)
        bank = Bank(dtype=host.dtype)
        for seed in (1, 2):
            adapter = adapter_of(host_on(base_of(family)), config, seed=seed)
            bank.add(f"a@{seed}", passes_of(adapter)[0])
        plan = bank.plan([(("a@1", 1.0),), (("a@2", 1.0),), (), (("a@1", 0.5), ("a@2", 0.5))])
        with torch.inference_mode():
            features.append((host.run(rows).features, host.run(rows, plan).features))
    (bare, expected), (bare_ours, ours) = features
    assert nearness(ours, expected) > 0.998
    assert torch.equal(ours[2], bare_ours[2])
    others = [0, 1, 3]
    moved = (expected - bare)[others].norm(dim=1)
    assert ((ours - expected)[others].norm(dim=1) < 0.25 * moved).all()


def test_a_trunk_that_is_kept_goes_on_under_other_numbers(base_of, rows, host_on):
    host = host_on(ready_base(base_of("bert"), BFLOAT16, trunk=2))
    with torch.inference_mode():
        whole = host.run(rows).features
        assert torch.equal(host.run(rows, trunk=host.run_trunk(rows)).features, whole)


# Compiled


class Compiler:
    """Leaves everything as it is, and counts."""

    def __init__(self):
        self.asked, self.runs = [], 0

    def __call__(self, function, **settings):
        self.asked.append(settings)

        def run(*args, **kwargs):
            self.runs += 1
            return function(*args, **kwargs)

        return run


@pytest.fixture
def compiled(monkeypatch):
    """Stands in for torch's compiler, which takes long and needs one for C++."""
    compiler = Compiler()
    monkeypatch.setattr(torch, "compile", compiler)
    return compiler


def test_the_blocks_of_the_trunk_are_compiled_for_any_length(base_of, rows, compiled):
    base = base_of("bert")
    ready = ready_base(base, Execution(compile=True), trunk=2)
    assert torch.equal(features_of(ready, rows), features_of(base, rows))
    assert compiled.asked == [{"dynamic": True}] * 2
    assert compiled.runs == 2


def test_with_eight_bits_one_product_is_compiled_for_all_layers(base_of, rows, compiled):
    plain, ready = (ready_base(base_of("gpt2"), Execution(int8=True, compile=one), trunk=2) for one in (False, True))
    assert compiled.asked == [{"dynamic": True}]
    assert nearness(features_of(ready, rows), features_of(plain, rows)) > 1 - 1e-6


def test_a_single_token_is_not_compiled_for(base_of, rows_of, compiled):
    """It would be compiled anew for each shape of weights."""
    plain, ready = (ready_base(base_of("bert"), Execution(int8=True, compile=one), trunk=2) for one in (False, True))
    one = pad(rows_of((1,)), 0)
    assert torch.equal(features_of(ready, one), features_of(plain, one))
    assert compiled.runs == 0
    features_of(ready, pad(rows_of((1, 1)), 0))
    assert compiled.runs > 0


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")
def test_blocks_that_torch_traces_compute_what_they_did_for_every_length(base_of, rows_of, monkeypatch):
    """With the tracer alone, which needs no C++ compiler: what is checked is that hosts and contexts do not stop it."""
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph.forward

    really = torch.compile
    monkeypatch.setattr(torch, "compile", functools.partial(really, backend=count, fullgraph=True))
    base = base_of("bert")
    ready = ready_base(base, Execution(compile=True), trunk=2)
    for lengths in ((5, 3), (9, 2), (4, 4, 7), (8, 8), (6, 1, 3, 2)):
        batch = pad(rows_of(lengths), 0)
        torch.testing.assert_close(features_of(ready, batch), features_of(base, batch), rtol=0, atol=1e-6)
    assert 1 <= len(graphs) <= 3


# What cannot be


@pytest.mark.parametrize("name", ["cuda:7", "tpu", "cuda:one", ""])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(name):
    with pytest.raises(ConfigError, match=rf"auto or one that is here, .*cpu; got '{name}'"):
        device_of(name)


def test_the_best_device_is_cuda_then_mps_then_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device_of("auto") == device_of("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device_of("auto") == device_of("mps") == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of("auto") == device_of("cuda:0") == torch.device("cuda:0")
    assert device_of("cuda") == torch.device("cuda")
    assert device_of("cuda:1") == torch.device("cuda:1")


def test_bfloat16_is_refused_on_a_processor_without_it(base_of, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: WITHOUT_BFLOAT16)
    with pytest.raises(ConfigError, match="no bfloat16 arithmetic .*--dtype float32"):
        ready_base(base_of("bert"), BFLOAT16, trunk=2)
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    with pytest.raises(ConfigError, match=r"needs torch 2\.11 or newer, got"):
        ready_base(base_of("bert"), BFLOAT16, trunk=2)


def test_int8_without_its_library_names_what_to_install(base_of, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'adapter-portfolio\[int8\]'"):
        ready_base(base_of("bert"), INT8, trunk=2)


def test_int8_is_refused_on_mps(base_of, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(ConfigError, match="int8 weights run on cpu and cuda, not on mps"):
        ready_base(base_of("bert"), Execution(device="mps", int8=True), trunk=2)


def test_compiling_without_a_compiler_is_refused(base_of, monkeypatch, compiled):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match="needs a C\\+\\+ compiler, but 'no-such-compiler' is not found"):
        ready_base(base_of("bert"), Execution(compile=True), trunk=2)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    assert ready_base(base_of("bert"), Execution(compile=True), trunk=2) is not base_of("bert")


def test_nothing_is_learned_or_stored_in_other_numbers():
    for execution in (INT8, BFLOAT16, Execution(compile=True)):
        with pytest.raises(ConfigError, match="stored; open the portfolio again without dtype, int8 and compile"):
            execution.require_exact("stored")
    Execution(device="cuda", bank_bytes=3).require_exact("stored")
