"""Whether one version's tensors fit its record, its labels and the contract of its base: on numbers alone, no model.

What only the base itself knows (the widths of its linear layers) is in fitting.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from portfolio.errors import Untrusted
from portfolio.exchange.strict import strict_json
from portfolio.exchange.tensors import Array, Tensors
from portfolio.records import UNKNOWN_LABEL, AdapterRecord, BaseContract

_KEY = re.compile(r"sites\.(?P<block>\d{1,4})\.(?P<kind>.+)\.(?P<name>[^.]+)")
_PLAIN = ("bottleneck", "lora")
_MADE_OF_OTHERS = ("fusion", "blend", "stack", "ensemble")
_LOW_RANK = ("down", "up")
_BIASES = ("down_bias", "up_bias")

Shapes = Mapping[str, tuple[int, ...]]


def check_adapter(tensors: Tensors, adapter: AdapterRecord, labels: Sequence[str], contract: BaseContract) -> None:
    """Nothing, if these may be the weights of that version.

    Raises:
        Untrusted: they cannot; the message says what was expected.
    """
    what = f"adapter {adapter.ref}"
    if dict(tensors.metadata) != {"config": adapter.config}:
        raise Untrusted(f"{what}: the config in its weights is not the one in its record")
    config = strict_json(adapter.config, f"the config of {what}")
    if not isinstance(config, dict) or config.get("method") != adapter.method:
        raise Untrusted(f"{what} is recorded as a {adapter.method}, but its config says otherwise")
    if any(array.dtype != np.float32 for array in tensors.arrays.values()):
        raise Untrusted(f"{what}: expected float32 weights")
    if sum(array.size for array in tensors.arrays.values()) != adapter.parameters:
        raise Untrusted(f"{what}: its weights are not the {adapter.parameters:,} numbers of its record")
    shapes = {name: array.shape for name, array in tensors.arrays.items()}
    _check_heads(what, shapes, adapter, config, labels, contract)
    sites = _by_site(what, shapes, contract)
    if adapter.method in _PLAIN:
        _check_low_rank(what, sites, config, contract)
    elif adapter.method == "stack":
        _check_low_rank(what, sites, strict_json(config.get("top", ""), f"the upper config of {what}"), contract)
    elif adapter.method == "fusion":
        width = config.get("width")
        if type(width) is not int or width > adapter.parameters:  # before gates of that width are made
            raise Untrusted(f"{what}: its gates cannot be {ascii(width)[:40]} wide")
    elif sites:
        raise Untrusted(f"{what}: a {adapter.method} has no weights beside its heads")


def check_statistics(
    centroids: Tensors, scatter: Tensors, evaluation: Tensors, labels: Sequence[str], contract: BaseContract
) -> None:
    """Nothing, if these may be what the router and the results need of a task.

    Raises:
        Untrusted: they cannot.
    """
    each = contract.router_width or contract.hidden_size
    width, count = each * len(contract.feature_blocks), len(labels)
    expected = {"counts": (count,), "means": (count, width)}
    with_corner = {"corner": (each * (each + 1) // 2,)} if "corner" in centroids.arrays else {}
    _require("the centroids", centroids.arrays, {**expected, **with_corner})
    if centroids.arrays["counts"].min() < 1:
        raise Untrusted("the centroids: every label must have an example")
    _require("the scatter", scatter.arrays, {"scatter": (width * (width + 1) // 2,)})
    rows = evaluation.arrays.get("test_labels", np.zeros(0)).size
    validation = evaluation.arrays.get("validation_features", np.zeros(0)).shape[:1]
    expected = {
        "validation_features": (*validation, width),
        "test_features": (rows, width),
        "test_labels": (rows,),
        "test_predictions": (rows,),
        "baseline": (1,),
    }
    _require("the evaluation rows", evaluation.arrays, expected)
    _require_kinds("the centroids", centroids.arrays, {"counts": "i", "means": "f", "corner": "f"})
    _require_kinds("the scatter", scatter.arrays, {"scatter": "f"})
    said, truth = evaluation.arrays["test_predictions"], evaluation.arrays["test_labels"]
    kinds = {"test_labels": np.int64, "test_predictions": np.int64, "baseline": np.float64}
    if any(array.dtype != kinds.get(name, np.float32) for name, array in evaluation.arrays.items()):
        raise Untrusted("the evaluation rows: expected float32 features, and integers for labels")
    if rows and not (said.min() >= 0 and truth.min() >= UNKNOWN_LABEL and max(said.max(), truth.max()) < count):
        raise Untrusted(f"the evaluation rows: expected numbers of {count} labels")
    if not 0 <= evaluation.arrays["baseline"][0] <= 1:
        raise Untrusted("the evaluation rows: expected a baseline in [0, 1]")


def _check_heads(
    what: str,
    shapes: Shapes,
    adapter: AdapterRecord,
    config: Mapping[str, Any],
    labels: Sequence[str],
    contract: BaseContract,
) -> None:
    width = contract.hidden_size * len(contract.feature_blocks)
    if adapter.method in _PLAIN:
        if adapter.members:
            raise Untrusted(f"{what}: a {adapter.method} is made of no other adapters, but its record names some")
        prefixes = ["head."]
    elif adapter.method in _MADE_OF_OTHERS:
        if config.get("members") != [member.digest for member in adapter.members]:
            raise Untrusted(f"{what}: the members in its config are not those of its record")
        prefixes = [f"head.{number}." for number in range(len(adapter.members) if adapter.method == "ensemble" else 1)]
    else:
        raise Untrusted(f"{what} is of the method {ascii(adapter.method)[:40]}, which this version does not know")
    expected: dict[str, tuple[int, ...]] = {f"{prefix}weight": (len(labels), width) for prefix in prefixes}
    expected |= {f"{prefix}bias": (len(labels),) for prefix in prefixes}
    found = {name: shape for name, shape in shapes.items() if name.startswith("head.")}
    if found != expected:
        raise Untrusted(f"{what}: expected heads of {len(labels)} labels on {width} features, got {_listed(found)}")


def _by_site(what: str, shapes: Shapes, contract: BaseContract) -> dict[str, dict[str, tuple[int, ...]]]:
    """Site key -> name -> shape, of all that is no head."""
    sites: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        if name.startswith("head."):
            continue
        key = _KEY.fullmatch(name)
        if (
            key is None
            or not contract.trunk <= int(key["block"]) < contract.blocks
            or key["block"] != str(int(key["block"]))
        ):
            raise Untrusted(
                f"{what}: tensor {ascii(name)[:100]} is at no place of a base with blocks {contract.trunk} to "
                f"{contract.blocks - 1} above its trunk"
            )
        sites.setdefault(f"{key['block']}.{key['kind']}", {})[key["name"]] = shape
    return sites


def _check_low_rank(what: str, sites: Mapping[str, Shapes], config: Any, contract: BaseContract) -> None:
    """Every site has the tensors of a low-rank update: D (rank, in), U (out, rank), and biases of a bottleneck."""
    method, rank = (config.get("method"), config.get("rank")) if isinstance(config, dict) else (None, None)
    if method not in _PLAIN or type(rank) is not int or not sites:
        raise Untrusted(f"{what}: expected a {' or a '.join(_PLAIN)} that acts at one site at least")
    names = (*_LOW_RANK, *_BIASES) if method == "bottleneck" else _LOW_RANK
    for key, found in sites.items():
        down, up = found.get("down", ()), found.get("up", ())
        if set(found) != set(names) or len(down) != 2 or len(up) != 2:
            raise Untrusted(f"{what}: expected {', '.join(names)} at {ascii(key)[:100]}, got {_listed(found)}")
        expected: dict[str, tuple[int, ...]] = {"down": (rank, down[1]), "up": (up[0], rank)}
        if method == "bottleneck":
            width = contract.hidden_size
            expected = {"down": (rank, width), "up": (width, rank), "down_bias": (rank,), "up_bias": (width,)}
        if dict(found) != expected:
            raise Untrusted(
                f"{what}: expected {_listed(expected)} at {ascii(key)[:100]} for rank {rank}, got {_listed(found)}"
            )


def _require(what: str, arrays: Mapping[str, Array], expected: Shapes) -> None:
    found = {name: array.shape for name, array in arrays.items()}
    if found != expected:
        raise Untrusted(f"{what}: expected {_listed(expected)}, got {_listed(found)}")


def _require_kinds(what: str, arrays: Mapping[str, Array], kinds: Mapping[str, str]) -> None:
    for name, array in arrays.items():
        if array.dtype.kind != kinds[name]:
            raise Untrusted(f"{what}: {name} holds numbers of another kind than expected: {array.dtype}")


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    listed = [f"{ascii(name)[1:60]} {'×'.join(map(str, shape))}" for name, shape in sorted(shapes.items())[:6]]
    return ", ".join(listed) + (" and more" if len(shapes) > 6 else "") if listed else "nothing"
