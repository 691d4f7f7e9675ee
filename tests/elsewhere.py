"""A device that is not the CPU, on a machine that has none: a tensor left on the CPU is found out, and values stay real.

Its tensors say that they are on `meta` and hold their values in a tensor of the CPU. As on an accelerator, an operation on
tensors of both places is refused, but for copies between them, single numbers, and positions to look up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.optim import optimizer
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

ELSEWHERE = torch.device("meta")
_aten = torch.ops.aten
_BETWEEN = ("_to_copy", "to", "copy_")
_BY_POSITIONS = (_aten.index.Tensor, _aten.index_put_.default, _aten.index_put.default, _aten._index_put_impl_.default)


class Elsewhere(Tensor):
    """A tensor that is not on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Elsewhere:
        made: Elsewhere = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=ELSEWHERE,
        )
        made.held = held
        return made

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Elsewhere({self.held})"

    def tolist(self) -> Any:
        return self.held.tolist()

    def item(self) -> Any:
        return self.held.item()

    def __bool__(self) -> bool:
        return bool(self.held)

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError("a tensor elsewhere has no array; copy it to the CPU first")

    def __getitem__(self, at: Any) -> Any:
        return super().__getitem__(_as_positions(at))

    def __setitem__(self, at: Any, value: Any) -> None:
        super().__setitem__(_as_positions(at), value)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    """Sees operations that make tensors elsewhere from nothing, or from the CPU's."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Making(TorchFunctionMode):
    """`torch.tensor(…, device=…)` copies the values itself."""

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.tensor and _is_elsewhere(kwargs.get("device")):
            return torch.tensor(*args, **{**kwargs, "device": "cpu"}).to(ELSEWHERE)
        return func(*args, **kwargs)


def _as_positions(at: Any) -> Any:
    """A list of positions as a tensor: torch would put it on the device itself, unseen, where it has no values."""
    if isinstance(at, tuple):
        return tuple(map(_as_positions, at))
    return torch.tensor(at) if isinstance(at, list) else at


@contextmanager
def elsewhere() -> Iterator[torch.device]:
    """While it lasts there is another device, which optimizers think able to step in one go."""
    able = [ELSEWHERE.type, "cpu"]
    with _Mode(), _Making(), patch.object(optimizer, "_get_fused_kernels_supported_devices", lambda: able):
        yield ELSEWHERE


def _is_elsewhere(device: Any) -> bool:
    return device is not None and torch.device(device) == ELSEWHERE


def _run(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """The operation on what the tensors hold; what comes is elsewhere if they are, or if that is asked for."""
    if func is _aten._has_compatible_shallow_copy_type.default:
        return isinstance(args[0], Elsewhere) == isinstance(args[1], Elsewhere)  # so that a module makes new parameters
    flat = tree_flatten((args, kwargs))[0]
    tensors = [one for one in flat if isinstance(one, Tensor)]
    there = [one for one in tensors if isinstance(one, Elsewhere)]
    asked = next((one for one in flat if isinstance(one, torch.device)), None)
    if there and func.overloadpacket.__name__ not in _BETWEEN:
        checked = there if func in _BY_POSITIONS else tensors
        left = [one for one in checked if not isinstance(one, Elsewhere) and one.dim()]
        if func in _BY_POSITIONS and not isinstance(args[0], Elsewhere):
            left = [args[0]]
        if left:
            raise RuntimeError(
                f"{func} got tensors of the CPU among others: shapes {[tuple(one.shape) for one in left]}"
            )
    held = {id(one.held): one for one in there}
    with torch.inference_mode(False), torch.no_grad():  # a tensor of inference mode could not be wrapped for autograd
        out = func(*tree_map(_held, list(args)), **tree_map(_held, kwargs))
    wraps = bool(there)
    if asked is not None:
        wraps = _is_elsewhere(asked)
    elif func is _aten.copy_.default:
        wraps = isinstance(args[0], Elsewhere)
    elif func is _aten.to.other:
        wraps = isinstance(args[1], Elsewhere)
    if not wraps:
        return out

    def put(one: Any) -> Any:
        return (held[id(one)] if id(one) in held else Elsewhere(one)) if isinstance(one, Tensor) else one

    with torch.inference_mode(False):
        return tree_map(put, out)


def _held(one: Any) -> Any:
    if isinstance(one, torch.device):
        return torch.device("cpu")
    return one.held if isinstance(one, Elsewhere) else one
