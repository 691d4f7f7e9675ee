"""Where adapters can act in a Hugging Face model: all knowledge of its module names is in this file.

A site is known by its key, `BLOCK.KIND`, such as `3.ffn_output` or `4.linear:attention.self.query`. It names the module
whose input or output the adapter reads, and the module whose output it adds to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from portfolio.errors import BaseUnavailable, ConfigError
from portfolio.methods.config import SiteShape
from portfolio.methods.lora import EVERY_LINEAR


@dataclass(frozen=True, slots=True)
class Layout:
    """Module names of one family: the list of blocks, then names inside a block."""

    blocks: str
    attention_output: str  # the linear layer that ends the attention
    ffn_input: str  # the module whose input is what the feed-forward layer reads
    ffn_output: str  # the linear layer that ends the feed-forward layer
    common: tuple[str, ...] = ()  # modules that run, also or only, once for all rows of a batch


_ENDS = ("attention_output", "ffn_output")  # kinds of sites at the end of a sub-layer, which read what it writes
_BERT = Layout("encoder.layer", "attention.output.dense", "intermediate", "output.dense")
_DEBERTA = replace(
    _BERT,
    common=tuple(
        f"attention.self.{name}"
        for name in ("pos_proj", "pos_q_proj", "pos_key_proj", "pos_query_proj", "key_proj", "query_proj")
    ),
)
_LLAMA = Layout("layers", "self_attn.o_proj", "mlp", "mlp.down_proj")

LAYOUTS: dict[str, Layout] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "deberta": _DEBERTA,
    "deberta-v2": _DEBERTA,
    "distilbert": Layout("transformer.layer", "attention.out_lin", "ffn", "ffn.lin2"),
    "modernbert": Layout("layers", "attn.Wo", "mlp", "mlp.Wo"),
    "gpt2": Layout("h", "attn.c_proj", "mlp", "mlp.c_proj"),
    "llama": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "mistral": _LLAMA,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place in the base where a method acts."""

    block: int
    kind: str
    reads: str  # name of a module in the block
    reads_input: bool  # it reads that module's input; otherwise its output
    writes: str  # name of the module in the block whose output it adds to
    shape: SiteShape
    is_common: bool = False  # what acts here must be the same for all rows of a batch

    @property
    def key(self) -> str:
        return f"{self.block}.{self.kind}"


def place_of(key: str) -> tuple[int, str]:
    """`3.ffn_output` -> (3, `ffn_output`)"""
    block, _, kind = key.partition(".")
    return int(block), kind


def reads_own_output(key: str) -> bool:
    """Whether an adapter at this site reads what the module writes, rather than what that reads."""
    return place_of(key)[1] in _ENDS


def blocks_of(model: PreTrainedModel) -> nn.ModuleList:
    """The model's blocks, lowest first.

    Raises:
        BaseUnavailable: no list of `num_hidden_layers` modules is found.
    """
    blocks = model.get_submodule(_layout(model).blocks)
    assert isinstance(blocks, nn.ModuleList)
    return blocks


def find_sites(model: PreTrainedModel) -> dict[str, Site]:
    """Every site of the model, by key."""
    layout = _layout(model)
    sites: dict[str, Site] = {}
    for number, block in enumerate(blocks_of(model)):
        for site in _sites_of_block(number, block, layout):
            sites[site.key] = site
    return sites


def choose_sites(sites: Iterable[Site], kinds: tuple[str, ...], blocks: tuple[int, ...]) -> list[Site]:
    """The sites of these kinds in these blocks. `linear:query` means every linear layer whose name ends in `query`.

    Raises:
        ConfigError: a kind fits no site of those blocks; the message lists what there is.
    """
    there = [site for site in sites if site.block in blocks]
    chosen: list[Site] = []
    for kind in kinds:
        fitting = [site for site in there if _fits(site, kind)]
        if not fitting:
            names = sorted({site.kind for site in there})
            raise ConfigError(f"this base has no site {kind!r} in blocks {blocks}; it has {', '.join(names)}")
        chosen += [site for site in fitting if site not in chosen]
    return chosen


def _fits(site: Site, kind: str) -> bool:
    if not kind.startswith("linear:") or not site.kind.startswith("linear:"):
        return site.kind == kind
    wanted, name = kind.removeprefix("linear:"), site.kind.removeprefix("linear:")
    return wanted == EVERY_LINEAR or name == wanted or name.endswith("." + wanted)


def _sites_of_block(number: int, block: nn.Module, layout: Layout) -> list[Site]:
    sites = []
    for kind, name in zip(_ENDS, (layout.attention_output, layout.ffn_output), strict=True):
        width = linear_shape(block.get_submodule(name)).features_out
        shape = SiteShape(width, width)
        sites.append(Site(block=number, kind=kind, reads=name, reads_input=False, writes=name, shape=shape))
    width = linear_shape(block.get_submodule(layout.ffn_output)).features_out
    sites.append(
        Site(
            block=number,
            kind="ffn_parallel",
            reads=layout.ffn_input,
            reads_input=True,
            writes=layout.ffn_output,
            shape=SiteShape(width, width),
        )
    )
    for name, module in block.named_modules():
        if isinstance(module, (nn.Linear, Conv1D)):
            sites.append(
                Site(
                    block=number,
                    kind=f"linear:{name}",
                    reads=name,
                    reads_input=True,
                    writes=name,
                    shape=linear_shape(module),
                    is_common=name in layout.common,
                )
            )
    return sites


@dataclass(frozen=True, slots=True, kw_only=True)
class PreludeModules:
    """Names of the modules in a block that need not run where their prelude is kept."""

    attention: str  # the whole of it
    feed_forward: tuple[str, ...]  # the linear layers before the last
    feed_forward_end: str


def prelude_modules(model: PreTrainedModel, block: nn.Module) -> PreludeModules | None:
    """None where attention and feed-forward layer share a module."""
    layout = _layout(model)
    attention = layout.attention_output.partition(".")[0]
    if layout.ffn_output.partition(".")[0] == attention:
        return None
    linears = [name for name, module in block.named_modules() if isinstance(module, (nn.Linear, Conv1D))]
    before = [name for name in linears if name.partition(".")[0] != attention and name != layout.ffn_output]
    return PreludeModules(attention=attention, feed_forward=tuple(before), feed_forward_end=layout.ffn_output)


def comes_after_prelude(key: str, block: int) -> bool:
    """Whether an adapter at this site leaves the prelude of that block as it is."""
    number, kind = place_of(key)
    return number > block or kind in ("ffn_output", "ffn_parallel")


def linear_shape(module: nn.Module) -> SiteShape:
    """Widths of a linear layer, also of GPT-2's, whose weight is stored (in, out)."""
    if isinstance(module, Conv1D):
        return SiteShape(module.weight.shape[0], module.weight.shape[1])
    assert isinstance(module, nn.Linear)
    return SiteShape(module.in_features, module.out_features)


def _layout(model: PreTrainedModel) -> Layout:
    known = LAYOUTS.get(model.config.model_type)
    return known if known is not None else _guess_layout(model)


def _guess_layout(model: PreTrainedModel) -> Layout:
    """By structure: the list of `num_hidden_layers` blocks; in a block, the last linear layers back to the hidden width."""
    count, width = model.config.num_hidden_layers, model.config.hidden_size
    for name, module in model.named_modules():
        if not isinstance(module, nn.ModuleList) or len(module) != count:
            continue
        backs = [n for n, m in module[0].named_modules() if _ends_in(m, width)]
        attention = [n for n in backs if "att" in n.lower()]
        feed_forward = [n for n in backs if "att" not in n.lower()]
        end = feed_forward[-1] if feed_forward else ""
        start = _feed_forward_start(module[0], end, width)
        if attention and start is not None:
            return Layout(name, attention[-1], start, end)
    raise BaseUnavailable(
        f"model type {model.config.model_type!r} is not in the table of layouts ({', '.join(LAYOUTS)}) and its blocks "
        "were not found by structure; add a line to LAYOUTS in portfolio/hosting/sites.py"
    )


def _ends_in(module: nn.Module, width: int) -> bool:
    return isinstance(module, (nn.Linear, Conv1D)) and linear_shape(module).features_out == width


def _feed_forward_start(block: nn.Module, end: str, width: int) -> str | None:
    """The linear layer nearest before `end` that reads the hidden width, outside the attention."""
    names = [name for name, module in block.named_modules() if isinstance(module, (nn.Linear, Conv1D))]
    before = names[: names.index(end)] if end in names else []
    wide = [n for n in before if "att" not in n.lower() and linear_shape(block.get_submodule(n)).features_in == width]
    return wide[-1] if wide else None
