"""There is no way from a file to code: nothing that unpickles is imported or called anywhere in the package."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import portfolio

ROOT = Path(portfolio.__file__).resolve().parents[1]
FILES = [
    ROOT / "cli.py",
    *(path for part in ("portfolio", "fusion", "routing") for path in (ROOT / part).rglob("*.py")),
]
UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"}
RUN_TEXT = {"eval", "exec"}


def faults(text: str) -> list[str]:
    """What in a module could run what a file holds."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in UNPICKLERS]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module or ""] * ((node.module or "").partition(".")[0] in UNPICKLERS)
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found += sorted(names & {"torch.load", "pandas.read_pickle"})
        elif isinstance(node, ast.Call):
            called = _dotted(node.func)
            found += [called] * (called in RUN_TEXT or called in {"torch.load", "torch.jit.load", "pandas.read_pickle"})
            for keyword in node.keywords:
                may_run = keyword.arg in ("allow_pickle", "trust_remote_code")
                found += [ast.unparse(keyword)] * (may_run and ast.unparse(keyword.value) != "False")
            is_numpy_load = called in ("np.load", "numpy.load") and not any(
                k.arg == "allow_pickle" for k in node.keywords
            )
            found += ["np.load that does not say allow_pickle=False"] * is_numpy_load
    return found


def _dotted(node: ast.expr) -> str:
    """`torch.jit.load` of the expression that says so; of any other, what its end is called."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def test_no_module_can_unpickle() -> None:
    assert len(FILES) > 150
    found = {path.relative_to(ROOT).as_posix(): faults(path.read_text(encoding="utf-8")) for path in FILES}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "import joblib.numpy_pickle as x",
        "from dill import loads",
        "import torch\ntorch.load('x')",
        "from torch import load",
        "import numpy as np\nnp.load('x')",
        "np.load('x', allow_pickle=True)",
        "model(name, trust_remote_code=True)",
        "model(name, trust_remote_code=flag)",
        "eval(text)",
    ],
)
def test_what_could_run_a_file_is_found(text: str) -> None:
    assert faults(text)


def test_what_is_safe_is_not_found() -> None:
    assert faults("np.load('x', allow_pickle=False)\nmodel.eval()\nload(data)\nf(trust_remote_code=False)") == []
