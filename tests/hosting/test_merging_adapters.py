"""Several adapters become one plain adapter; what it does is compared with its members, weighted, in one plan."""

from __future__ import annotations

import pytest
import torch

from fusion.merging import Dare, Linear, Svd, TaskArithmetic, Ties
from portfolio.errors import ConfigError
from portfolio.hosting.encode import pad
from portfolio.hosting.merging import merge_adapters, merger_named
from portfolio.hosting.weights import AdapterWeights, Head, from_bytes, to_bytes
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.lora import LoraConfig

LORAS = {
    "equal": [LoraConfig(rank=2), LoraConfig(rank=2)],
    "other ranks and alphas": [LoraConfig(rank=1, alpha=3.0), LoraConfig(rank=4, alpha=1.0)],
    "other targets": [LoraConfig(rank=2, targets=("query",)), LoraConfig(rank=3, targets=("output.dense", "query"))],
    "all beside some": [LoraConfig(rank=2, blocks=(3,)), LoraConfig(rank=1, targets=("value",), blocks=(2,))],
    "other blocks": [
        LoraConfig(rank=2, targets=("query",), blocks=(2,)),
        LoraConfig(rank=1, targets=("key",), blocks=(3,)),
    ],
    "one alone": [LoraConfig(rank=3, blocks=(3,))],
    "three": [LoraConfig(rank=1), LoraConfig(rank=2, targets=("dense",)), LoraConfig(rank=1, blocks=(2,))],
}
BOTTLENECKS = {
    "pfeiffer": [BottleneckConfig(rank=3), BottleneckConfig(rank=2, scale=0.5)],
    "pfeiffer and houlsby": [
        BottleneckConfig(rank=3, activation="gelu", blocks=(2,)),
        BottleneckConfig(rank=1, placement="houlsby", activation="gelu", blocks=(3,), scale=2.0),
    ],
    "parallel": [BottleneckConfig(rank=1, placement="parallel"), BottleneckConfig(rank=2, placement="parallel")],
    "of no activation": [
        BottleneckConfig(rank=2, activation="identity"),
        BottleneckConfig(rank=2, activation="identity"),
    ],
}
MIXES = {**LORAS, **BOTTLENECKS}


@pytest.fixture
def host(base_of, host_on):
    return host_on(base_of("bert", torch.float64))


@pytest.fixture
def made(host, adapter_of):
    return lambda configs: [adapter_of(host, config, seed=seed) for seed, config in enumerate(configs)]


def merged_of(adapters, weights, merger, seed: int = 0):
    return merge_adapters(adapters, weights, merger, torch.Generator().manual_seed(seed))


def under_a_head(merged) -> AdapterWeights:
    head = Head(torch.zeros(2, 4, dtype=torch.float64), torch.zeros(2, dtype=torch.float64))
    return AdapterWeights(config=merged.config, sites=merged.sites, head=head)


def as_matrix(adapter, key):
    update = adapter.updates().get(key)
    return torch.zeros(()) if update is None else update.up @ update.down


@pytest.mark.parametrize("configs", MIXES.values(), ids=MIXES)
@pytest.mark.parametrize("kind", [Linear, TaskArithmetic])
def test_it_does_what_its_members_do_together(host, made, plan_of, rows_of, configs, kind):
    adapters = made(configs)
    weights = [0.7, -0.4, 0.9][: len(adapters)]
    merged = merged_of(adapters, weights, kind())
    share = sum(weights) if kind is Linear else 1.0
    batch = pad(rows_of(), 0)
    with torch.no_grad():
        mixed = host.run(batch, plan_of(*[(a, w / share) for a, w in zip(adapters, weights, strict=True)]))
        alone = host.run(batch, plan_of(under_a_head(merged)))
    torch.testing.assert_close(alone.last, mixed.last, rtol=0, atol=1e-10)
    assert merged.error == 0


@pytest.mark.parametrize("configs", MIXES.values(), ids=MIXES)
def test_its_config_says_exactly_where_it_acts_and_at_what_rank(host, made, configs):
    merged = merged_of(made(configs), [1.0] * len(configs), Linear())
    assert {site.key for site in host.sites_for(merged.config)} == set(merged.sites)
    for site in host.sites_for(merged.config):
        fresh = merged.config.fresh(site.shape, torch.Generator())
        assert {name: t.shape for name, t in merged.sites[site.key].items()} == {n: t.shape for n, t in fresh.items()}


@pytest.mark.parametrize(
    ("configs", "nobodys_sites"),
    [
        (MIXES["other blocks"], {"2.linear:attention.self.key", "3.linear:attention.self.query"}),
        (MIXES["pfeiffer and houlsby"], {"2.attention_output"}),
    ],
)
def test_where_no_member_acts_it_adds_0(made, configs, nobodys_sites):
    adapters = made(configs)
    merged = merged_of(adapters, [1.0, 1.0], Linear())
    nobodys = set(merged.sites) - {key for adapter in adapters for key in adapter.sites}
    assert nobodys == nobodys_sites
    assert not any(tensor.any() for key in nobodys for tensor in merged.sites[key].values())


@pytest.mark.parametrize("configs", [MIXES["three"], MIXES["parallel"]])
def test_it_is_stored_as_any_adapter(made, configs):
    adapter = under_a_head(merged_of(made(configs), [1.0] * len(configs), TaskArithmetic()))
    assert to_bytes(from_bytes(to_bytes(adapter))) == to_bytes(adapter)


def test_ties_takes_over_what_all_agree_on(made):
    """Three times the same adapter with nothing trimmed is that adapter."""
    [adapter] = made([LoraConfig(rank=2)])
    merged = under_a_head(merged_of([adapter] * 3, [1, 1, 1], Ties(density=1.0)))
    for key in adapter.sites:
        torch.testing.assert_close(as_matrix(merged, key), as_matrix(adapter, key))


def test_its_error_is_that_of_the_site_where_the_cut_costs_most(made):
    adapters = made([LoraConfig(rank=2), LoraConfig(rank=2, targets=("query",))])
    merged = merged_of(adapters, [1.0, 2.0], Svd(rank=2))
    errors = {}
    for key in adapters[0].sites:
        whole = as_matrix(adapters[0], key) + 2 * as_matrix(adapters[1], key)
        errors[key] = float((as_matrix(under_a_head(merged), key) - whole).norm() / whole.norm())
    assert merged.config.rank == 2
    assert merged.error == pytest.approx(max(errors.values()))
    assert sum(error > 1e-6 for error in errors.values()) == 2  # two blocks have a query


def test_dare_drops_other_numbers_at_each_site_and_the_same_from_the_same_seed(made):
    """Two sites of one shape and one update: the same mask would make them equal."""
    [adapter] = made([LoraConfig(rank=2, targets=("query",))])
    one = adapter.sites["2.linear:attention.self.query"]
    adapter = AdapterWeights(config=adapter.config, sites=dict.fromkeys(adapter.sites, one), head=adapter.head)
    again = [merged_of([adapter], [1.0], Dare(density=0.5), seed) for seed in (5, 5)]
    first, second = (tuple(merged.sites.values()) for merged in again)
    assert torch.equal(first[0]["down"], second[0]["down"])
    assert not torch.equal(first[0]["down"], first[1]["down"])


def test_the_order_in_which_sites_came_changes_nothing(made):
    [adapter] = made([LoraConfig(rank=2)])
    turned = AdapterWeights(config=adapter.config, sites=dict(reversed(list(adapter.sites.items()))), head=adapter.head)
    merged = [under_a_head(merged_of([one], [1.0], Dare(density=0.5))) for one in (adapter, turned)]
    assert to_bytes(merged[0]) == to_bytes(merged[1])


def test_members_stay_as_they_are_and_share_no_memory(made):
    adapters = made([LoraConfig(rank=2)])
    before = to_bytes(adapters[0])
    for weights in merged_of(adapters, [1.0], Linear()).sites.values():
        for tensor in weights.values():
            tensor.fill_(7.0)
    assert to_bytes(adapters[0]) == before


REFUSED = {
    "none": ([], "merging needs one adapter or more, got none"),
    "methods": (
        [LoraConfig(rank=1), BottleneckConfig(rank=1)],
        "all LoRA or all bottlenecks, got lora, bottleneck; .*fusion",
    ),
    "activations": (
        [BottleneckConfig(rank=1), BottleneckConfig(rank=1, activation="tanh")],
        "bottlenecks of one activation, got relu, tanh",
    ),
    "placements": (
        [BottleneckConfig(rank=1), BottleneckConfig(rank=1, placement="parallel")],
        r"no placement has the sites of all these bottlenecks \(ffn_output, ffn_parallel\)",
    ),
}


@pytest.mark.parametrize(("configs", "said"), REFUSED.values(), ids=REFUSED)
def test_adapters_that_make_no_one_adapter_are_refused(made, configs, said):
    with pytest.raises(ConfigError, match=said):
        merged_of(made(configs), [1.0] * len(configs), Linear())


@pytest.mark.parametrize(
    ("configs", "weights", "merger", "said"),
    [
        ([LoraConfig(rank=1)], [1.0, 2.0], Linear(), "a finite weight for each of 1 members, got 1, 2"),
        ([LoraConfig(rank=1)] * 2, [1.0, -1.0], Linear(), "must not be 0"),
        ([BottleneckConfig(rank=1)], [1.0], Ties(), "at site 2.ffn_output: ties merges updates that are matrices"),
    ],
)
def test_what_the_merger_refuses_is_a_config_error_that_names_the_site(made, configs, weights, merger, said):
    with pytest.raises(ConfigError, match=r"cannot be merged at site 2\..*" if "site" not in said else said) as refused:
        merged_of(made(configs), weights, merger)
    assert said.partition("at site ")[2] in str(refused.value) or said in str(refused.value)


def test_adapters_of_other_bases_are_refused(made):
    adapters = made([LoraConfig(rank=1)])
    wide = {key: {"down": torch.ones(1, 9), "up": torch.ones(9, 1)} for key in adapters[0].sites}
    adapters.append(AdapterWeights(config=LoraConfig(rank=1), sites=wide, head=adapters[0].head))
    with pytest.raises(ConfigError, match="expected members from 16 to 16 features, got member 1 from 9 to 9"):
        merged_of(adapters, [1.0, 1.0], Linear())


def test_a_way_to_merge_is_found_by_name_with_its_settings():
    assert merger_named("linear", {}) == Linear()
    assert merger_named("svd", {"rank": 3}) == Svd(rank=3)
    assert merger_named("ties", {"rank": 3, "density": 0.5}) == Ties(rank=3, density=0.5)


@pytest.mark.parametrize(
    ("how", "settings", "said"),
    [
        ("average", {}, "one of linear, task-arithmetic, ties, dare, svd; got 'average'"),
        ("linear", {"density": 0.5}, "linear has no setting density; it has rank"),
        ("ties", {"density": 2.0}, "merging by ties: density must be above 0 and at most 1, got 2"),
        ("svd", {"rank": 0}, "merging by svd: rank must be 1 or more, got 0"),
    ],
)
def test_a_way_to_merge_that_cannot_be_is_refused(how, settings, said):
    with pytest.raises(ConfigError, match=said):
        merger_named(how, settings)
