"""Make a loaded base run as an `Execution` says: on which device, with which numbers, compiled.

int8, by torchao: the weights of linear layers become 8-bit numbers with a scale for each output; their inputs too, with a
scale for each token, as they come; products are added up in 32 bits:

    y = s_x (X₈ W₈ᵀ) s_w + b,   s = max|·| / 127        Dettmers et al., 2022, LLM.int8(), arXiv:2208.07339, section 2.1

without that paper's outliers apart. What stands around the linear layers, adapters too, keeps the activations' type.
Everything here was chosen by measurement: docs/decisions/0013-numbers.md.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from portfolio.errors import ConfigError, require
from portfolio.execution import AUTO, CPU, FLOAT32, Execution
from portfolio.hosting.base import Base, twin_of
from portfolio.hosting.sites import blocks_of, linear_shape


def ready_base(base: Base, execution: Execution, *, trunk: int) -> Base:
    """The base as it is to be run; set a `Host` on that one. The base handed in is not changed.

    On the CPU in float32 it stays what and where it is: `load_base` gives nothing else.

    Args:
        trunk: the lowest blocks, in which no host sets a slot.

    Raises:
        ConfigError: something that this machine or what is installed here cannot do.
    """
    if replace(execution, bank_bytes=None) == Execution():
        return base
    device = device_of(execution.device)
    _require_possible(device, execution)
    dtype = None if execution.dtype == FLOAT32 else getattr(torch, execution.dtype)
    ready = twin_of(base, device=device, dtype=dtype)
    if execution.int8:
        _quantise(blocks_of(ready.model))
    if execution.compile:
        _compile(blocks_of(ready.model), trunk, execution.int8)
    return ready


def device_of(name: str) -> torch.device:
    """The device of that name; of `auto` the first of CUDA, MPS and CPU.

    Raises:
        ConfigError: it is not here; the message says what is.
    """
    here = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    here += ["mps"] if torch.backends.mps.is_available() else []
    here += [CPU]
    known = {one.partition(":")[0] for one in here} | set(here)
    require(name == AUTO or name in known, f"device must be auto or one that is here, {', '.join(here)}; got {name!r}")
    return torch.device(here[0] if name == AUTO else name)


def _require_possible(device: torch.device, execution: Execution) -> None:
    if execution.dtype != FLOAT32:
        _require_bfloat16(device)
    if execution.int8:
        require(device.type != "mps", "int8 weights run on cpu and cuda, not on mps; leave out --int8 or --device mps")
        require(
            importlib.util.find_spec("torchao") is not None,
            "int8 weights need the package torchao, which is not installed; install it with: "
            "pip install 'adapter-portfolio[int8]'",
        )
    if execution.compile:
        _require_compiler(device)


def _require_bfloat16(device: torch.device) -> None:
    """Without instructions of its own bfloat16 takes two to four times as long as float32: nobody means that."""
    if device.type == "cuda":
        can = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == CPU:
        asked = getattr(torch.cpu, "get_capabilities", None)
        if asked is None:
            raise ConfigError(f"bfloat16 on the CPU needs torch 2.11 or newer, got {torch.__version__}; use float32")
        can = any("bf16" in name and there is True for name, there in asked().items())
    else:
        can = True
    require(
        can, f"this {device.type} has no bfloat16 arithmetic and would be slower than in float32; use --dtype float32"
    )


def _require_compiler(device: torch.device) -> None:
    if device.type == CPU:
        named = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
        require(
            shutil.which(named) is not None,
            f"compiling needs a C++ compiler, but {named!r} is not found; install one, name it in CXX, or leave out --compile",
        )
    elif device.type == "cuda":
        require(
            importlib.util.find_spec("triton") is not None,
            "compiling for cuda needs the package triton, which is not installed; install it, or leave out --compile",
        )


def _quantise(blocks: nn.ModuleList) -> None:
    """Let every linear layer of the blocks hold 8-bit weights; each keeps its place and its name."""
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    for name, module in list(blocks.named_modules()):
        if isinstance(module, Conv1D):
            owner, _, own = name.rpartition(".")
            setattr(blocks.get_submodule(owner), own, _as_linear(module))
    config = Int8DynamicActivationInt8WeightConfig(set_inductor_config=False)
    quantize_(blocks, config, filter_fn=lambda module, _: isinstance(module, nn.Linear))


def _as_linear(layer: Conv1D) -> nn.Linear:
    """GPT-2's linear layer, which stores its weight (in, out), as the usual one."""
    shape = linear_shape(layer)
    with torch.device("meta"):
        made = nn.Linear(shape.features_in, shape.features_out)
    made.weight = nn.Parameter(layer.weight.T.contiguous(), requires_grad=False)
    made.bias = nn.Parameter(layer.bias, requires_grad=False)
    return made


def _compile(blocks: nn.ModuleList, trunk: int, int8: bool) -> None:
    """Compile what no adapter reaches into, when it first runs, for inputs of any length.

    With 8-bit weights that is each linear layer: what goes on around the product of integers is fused with it. Otherwise
    it is each block of the trunk, as a whole.
    """
    if not int8:
        for block in blocks[:trunk]:
            block.forward = torch.compile(block.forward, dynamic=True)
        return
    product = torch.compile(functional.linear, dynamic=True)  # for all layers, once for each shape of their weights
    for module in blocks.modules():
        if isinstance(module, nn.Linear):
            module.forward = functools.partial(_by_tokens, module, product)  # type: ignore[method-assign]


def _by_tokens(layer: nn.Linear, product: Callable[..., Tensor], x: Tensor) -> Tensor:
    """(batch, time, in) -> (batch, time, out), with the number of tokens as the only length that varies."""
    tokens = x.reshape(-1, layer.in_features)
    if len(tokens) == 1:
        return functional.linear(x, layer.weight, layer.bias)  # a length of 1 would be compiled anew
    return product(tokens, layer.weight, layer.bias).view(*x.shape[:-1], layer.out_features)
