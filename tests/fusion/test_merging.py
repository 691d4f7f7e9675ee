"""Merging in weight space against dense matrices in float64, and against examples worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.members import Member, identity
from fusion.merging import MERGERS, Dare, Linear, Svd, TaskArithmetic, Ties, merge

IN, OUT = 7, 5
WEIGHTS = st.floats(-2, 2, allow_nan=False).filter(lambda weight: abs(weight) > 1e-3)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def lora(rank: int, seed: int, dtype: torch.dtype = torch.float64) -> Member:
    drawn = [torch.randn(shape, generator=generator(seed), dtype=dtype) for shape in ((rank, IN), (OUT, rank))]
    return Member(down=drawn[0], up=drawn[1])


def bottleneck(rank: int, seed: int, activation=torch.relu) -> Member:
    shapes = ((rank, IN), (rank,), (OUT, rank), (OUT,))
    drawn = [
        torch.randn(shape, generator=generator(seed + number), dtype=torch.float64)
        for number, shape in enumerate(shapes)
    ]
    return Member(down=drawn[0], down_bias=drawn[1], up=drawn[2], up_bias=drawn[3], activation=activation)


def row(*numbers: float) -> Member:
    """A member whose update is this one row."""
    return Member(down=torch.tensor([numbers], dtype=torch.float64), up=torch.ones(1, 1, dtype=torch.float64))


def dense(member: Member | None) -> torch.Tensor:
    return torch.zeros(OUT, IN, dtype=torch.float64) if member is None else member.up @ member.down


def run(members, weights, merger, seed: int = 0):
    return merge(members, weights, merger, generator(seed))


@st.composite
def lora_members(draw):
    """Members of several ranks, some missing, at least one there, with weights that do not add up to 0."""
    ranks = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4).filter(any))
    weights = draw(
        st.lists(WEIGHTS, min_size=len(ranks), max_size=len(ranks)).filter(lambda drawn: abs(sum(drawn)) > 0.05)
    )
    return [lora(rank, seed) if rank else None for seed, rank in enumerate(ranks)], weights


@settings(max_examples=50, deadline=None)
@given(lora_members())
def test_task_arithmetic_is_the_weighted_sum_of_the_updates(drawn):
    members, weights = drawn
    merged = run(members, weights, TaskArithmetic())
    expected = sum(weight * dense(member) for member, weight in zip(members, weights, strict=True))
    torch.testing.assert_close(dense(merged.member), expected, rtol=0, atol=1e-12)
    assert merged.member.rank == sum(member.rank for member in members if member is not None)
    assert merged.error == 0


@settings(max_examples=50, deadline=None)
@given(lora_members())
def test_linear_is_the_average_over_all_members_also_those_that_do_not_act(drawn):
    members, weights = drawn
    merged = run(members, weights, Linear())
    expected = sum(weight * dense(member) for member, weight in zip(members, weights, strict=True)) / sum(weights)
    torch.testing.assert_close(dense(merged.member), expected, rtol=1e-10, atol=1e-10)
    assert merged.error == 0


@settings(max_examples=50, deadline=None)
@given(lora_members(), st.integers(1, 8), st.sampled_from([Linear, TaskArithmetic, Svd]))
def test_a_cut_to_a_rank_is_the_best_there_is_and_says_its_error(drawn, rank, kind):
    """By the dense matrix's singular values: the error is the root of what was left out, squared and added up."""
    members, weights = drawn
    merged = run(members, weights, kind(rank=rank))
    share = sum(weights) if kind is Linear else 1.0
    whole = sum(weight * dense(member) for member, weight in zip(members, weights, strict=True)) / share
    singular = torch.linalg.svdvals(whole)
    least = float(singular[rank:].norm() / singular.norm())
    came = float((dense(merged.member) - whole).norm() / whole.norm())
    assert came == pytest.approx(least, abs=1e-10)
    assert merged.error == pytest.approx(least, abs=1e-10)
    assert merged.member.rank <= rank


def test_svd_keeps_the_largest_members_rank_unless_asked():
    members = [lora(1, seed=0), lora(3, seed=1), None]
    merged = run(members, [1.0, 1.0, 1.0], Svd())
    assert merged.member.rank == 3
    assert 0 < merged.error < 1


def test_a_rank_that_all_have_together_cuts_nothing():
    members = [lora(2, seed=0), lora(2, seed=1)]
    merged = run(members, [0.3, 0.7], TaskArithmetic(rank=4))
    exact = run(members, [0.3, 0.7], TaskArithmetic())
    assert merged.error == 0
    assert torch.equal(merged.member.up, exact.member.up)


def test_ties_by_hand():
    """Of 4 numbers each, density 0.5 keeps two: (3, 0, -2, 0), (-1, 0, -4, 0) and (0, 5, 6, 0).

    The signs of the sums (2, 5, 0, 0) are +, +, none, none. Agreeing with them are 3 alone and 5 alone.
    """
    members = [row(3, 1, -2, 0.5), row(-1, 0.5, -4, 0.2), row(0.1, 5, 6, 1)]
    merged = run(members, [1, 1, 1], Ties(density=0.5))
    torch.testing.assert_close(dense(merged.member), torch.tensor([[3.0, 5, 0, 0]], dtype=torch.float64))


def test_ties_takes_the_mean_of_those_that_agree_by_hand():
    """Signs of the sums are (+, -, -); agreeing are (2, 4), (-6) and (-1, -2, -3)."""
    members = [row(2, 5, -1), row(4, -6, -2), row(-1, 0, -3)]
    merged = run(members, [1, 1, 1], Ties(density=1.0))
    torch.testing.assert_close(dense(merged.member), torch.tensor([[3.0, -6, -2]], dtype=torch.float64))


def test_a_weight_is_a_vote_in_ties_and_a_share_of_the_mean():
    """Votes (3·1 − 1·2, 3·1 + 1·2): of the first number the 1 stays, of the second (3·1 + 1·2) / 4."""
    merged = run([row(1, 1), row(-2, 2)], [3, 1], Ties(density=1.0))
    torch.testing.assert_close(dense(merged.member), torch.tensor([[1.0, 1.25]], dtype=torch.float64))


def test_only_the_proportion_of_the_weights_counts_in_ties():
    members = [lora(3, seed=0), lora(2, seed=1), None]
    once = run(members, [1, 2, 5], Ties(density=0.5))
    twice = run(members, [2, 4, 10], Ties(density=0.5))
    torch.testing.assert_close(dense(once.member), dense(twice.member))


def test_a_member_that_is_missing_has_no_vote_in_ties():
    members = [lora(3, seed=0), None, lora(2, seed=1)]
    without = run([members[0], members[2]], [1, 1], Ties(density=0.5))
    assert torch.equal(dense(run(members, [1, 1, 1], Ties(density=0.5)).member), dense(without.member))


def test_where_only_members_of_weight_0_act_ties_gives_an_update_of_0():
    merged = run([None, lora(2, seed=0)], [1, 0], Ties())
    assert not dense(merged.member).any()
    assert merged.error == 0


def slow_ties(members, weights, density):
    """One number after the other."""
    updates = []
    for member in members:
        matrix = dense(member)
        sizes = sorted((abs(float(number)) for number in matrix.flatten()), reverse=True)
        least = sizes[max(1, round(density * len(sizes))) - 1]
        updates.append([[float(n) if abs(n) >= least else 0.0 for n in line] for line in matrix])
    result = torch.zeros(OUT, IN, dtype=torch.float64)
    for i in range(OUT):
        for j in range(IN):
            here = [(update[i][j], weight) for update, weight in zip(updates, weights, strict=True)]
            elected = math.copysign(1, sum(number * weight for number, weight in here))
            agreeing = [(number, weight) for number, weight in here if number * elected > 0]
            if agreeing:
                result[i, j] = sum(n * w for n, w in agreeing) / sum(w for _, w in agreeing)
    return result


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.floats(0.1, 3)), min_size=1, max_size=4),
    st.floats(0.01, 1),
)
def test_ties_equals_a_slow_loop_over_numbers(drawn, density):
    members = [lora(rank, seed) for seed, (rank, _) in enumerate(drawn)]
    weights = [weight for _, weight in drawn]
    merged = run(members, weights, Ties(density=density, rank=OUT))
    torch.testing.assert_close(dense(merged.member), slow_ties(members, weights, density), rtol=0, atol=1e-10)
    assert merged.error == 0


def test_dare_keeps_and_rescales_or_drops_each_number():
    merged = run([row(*range(1, 41))], [2.0], Dare(density=0.25))
    shares = dense(merged.member)[0] / torch.arange(1, 41, dtype=torch.float64)
    kept = shares.abs() > 1e-9
    torch.testing.assert_close(shares[kept], torch.full_like(shares[kept], 8.0))  # 2 / 0.25
    assert 0 < kept.sum() < 25


def test_dare_drops_for_each_member_apart():
    """What one keeps the other need not: with the same mask, numbers would be 0 or 8 only."""
    merged = run([row(*[1.0] * 40), row(*[1.0] * 40)], [1.0, 1.0], Dare(density=0.25))
    assert sorted({round(float(number)) for number in dense(merged.member)[0]}) == [0, 4, 8]


def test_dare_gives_the_weighted_sum_on_average():
    members, weights = [row(1, -2, 3), row(4, 0, -1)], [0.5, 2.0]
    draws = torch.stack([dense(run(members, weights, Dare(density=0.5), seed).member)[0] for seed in range(2000)])
    expected = torch.tensor([8.5, -1.0, -0.5], dtype=torch.float64)
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - expected).abs() < 4 * error).all()


def test_dare_that_drops_nothing_is_task_arithmetic():
    members, weights = [lora(2, seed=0), None, lora(3, seed=1)], [0.5, 3, -1.0]
    merged = run(members, weights, Dare(density=1.0, rank=OUT))
    torch.testing.assert_close(dense(merged.member), dense(run(members, weights, TaskArithmetic()).member))


def test_dare_draws_the_same_from_the_same_seed():
    members = [lora(2, seed=0), lora(2, seed=1)]
    merged = [dense(run(members, [1, 1], Dare(), seed).member) for seed in (3, 3, 4)]
    assert torch.equal(merged[0], merged[1])
    assert not torch.equal(merged[0], merged[2])


@pytest.mark.parametrize("kind", [Ties, Dare])
def test_dense_ways_keep_the_largest_members_rank_and_say_what_that_cost(kind):
    members = [lora(1, seed=0), lora(2, seed=1)]
    merged = run(members, [1, 1], kind(density=0.5))
    whole = dense(run(members, [1, 1], kind(density=0.5, rank=OUT)).member)
    assert merged.member.rank == 2
    assert merged.error == pytest.approx(float((dense(merged.member) - whole).norm() / whole.norm()), abs=1e-10)
    assert merged.error > 0


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), WEIGHTS), min_size=1, max_size=4).filter(
        lambda drawn: any(rank for rank, _ in drawn) and abs(sum(weight for _, weight in drawn)) > 0.05
    ),
    st.sampled_from([Linear, TaskArithmetic]),
)
def test_bottlenecks_merge_to_one_that_says_the_weighted_sum_of_their_outputs(drawn, kind):
    members = [bottleneck(rank, seed=9 * seed) if rank else None for seed, (rank, _) in enumerate(drawn)]
    weights = [weight for _, weight in drawn]
    x = torch.randn(6, IN, generator=generator(1), dtype=torch.float64)
    share = sum(weights) if kind is Linear else 1.0
    outputs = [weight * m.output(x) for m, weight in zip(members, weights, strict=True) if m is not None]
    merged = run(members, weights, kind())
    torch.testing.assert_close(merged.member.output(x), sum(outputs) / share, rtol=1e-10, atol=1e-10)
    assert merged.error == 0


def test_a_bottleneck_with_biases_stands_beside_one_without():
    bare = Member(down=torch.ones(1, IN).double(), up=torch.ones(OUT, 1).double(), activation=torch.relu)
    x = torch.randn(6, IN, generator=generator(1), dtype=torch.float64)
    for members in ([bottleneck(2, seed=0), bare], [bare, bottleneck(2, seed=0)]):
        merged = run(members, [0.5, 0.25], TaskArithmetic())
        expected = 0.5 * members[0].output(x) + 0.25 * members[1].output(x)
        torch.testing.assert_close(merged.member.output(x), expected)
    assert run([bare, bare], [1, 1], Linear()).member.down_bias is None


@pytest.mark.parametrize("merger", [Ties(), Dare(), Svd(), Linear(rank=3), TaskArithmetic(rank=3)], ids=repr)
def test_what_needs_matrices_refuses_bottlenecks_and_says_what_to_use(merger):
    with pytest.raises(ValueError, match=r"matrices.*merge bottlenecks with linear or task-arithmetic and no rank"):
        run([bottleneck(2, seed=0), None], [1, 1], merger)


def test_a_linear_bottleneck_with_biases_is_no_matrix_either():
    with pytest.raises(ValueError, match="svd merges updates that are matrices"):
        run([bottleneck(2, seed=0, activation=identity)], [1], Svd())


def test_members_of_two_activations_make_no_one_member():
    with pytest.raises(ValueError, match="different activations make no one member"):
        run([bottleneck(2, seed=0), bottleneck(2, seed=1, activation=torch.tanh)], [1, 1], Linear())


@pytest.mark.parametrize("weights", [[1.0, -1.0], [0.0, 0.0], [0.3, -0.1, -0.2]])
def test_an_average_of_weights_that_add_up_to_0_is_refused(weights):
    with pytest.raises(ValueError, match=r"sum, which must not be 0; .*task-arithmetic"):
        run([lora(1, seed) for seed in range(len(weights))], weights, Linear())


@pytest.mark.parametrize("weights", [[1.0, -1.0, 1.0], [0.0, 0.0, 0.0]])
def test_votes_below_0_are_refused(weights):
    with pytest.raises(ValueError, match="ties weighs votes, so its weights must be 0 or more and one of them above 0"):
        run([lora(1, seed) for seed in range(3)], weights, Ties())


@pytest.mark.parametrize("weights", [[1.0], [1.0, 2.0, 3.0], [1.0, math.nan], [math.inf, 1.0]])
def test_weights_that_do_not_fit_the_members_are_refused(weights):
    with pytest.raises(ValueError, match="expected a finite weight for each of 2 members, got 1"):
        run([lora(1, seed=0), lora(1, seed=1)], sorted(weights, key=lambda weight: weight != 1), TaskArithmetic())


@pytest.mark.parametrize("merger", [kind() for kind in MERGERS.values()], ids=MERGERS)
def test_every_way_refuses_a_site_where_nobody_acts(merger):
    with pytest.raises(ValueError, match="expected a member that acts at this site, got none in 2"):
        run([None, None], [1, 1], merger)


def test_a_member_of_another_width_is_refused_by_number():
    with pytest.raises(ValueError, match="got member 2 from 3 to 1"):
        run([lora(1, seed=0), None, row(1, 2, 3)], [1, 1, 1], Linear())


@pytest.mark.parametrize("merger", [kind() for kind in MERGERS.values()], ids=MERGERS)
def test_every_way_keeps_the_dtype_and_shares_no_memory_with_the_members(merger):
    members = [lora(2, seed, torch.float32) for seed in range(2)]
    for member in members:
        member.down.requires_grad_()
    before = [member.down.detach().clone() for member in members]
    merged = run(members, [1.0, 1.0], merger).member
    assert merged.down.dtype == merged.up.dtype == torch.float32
    assert not merged.down.requires_grad
    merged.down.zero_()
    assert all(torch.equal(member.down, old) for member, old in zip(members, before, strict=True))


@pytest.mark.parametrize("merger", [kind() for kind in MERGERS.values()], ids=MERGERS)
def test_one_member_alone_that_keeps_every_number_stays_what_it_is(merger):
    kind = type(merger)
    alone = lora(2, seed=0)
    merged = run([alone], [1.0], kind(density=1.0) if kind in (Ties, Dare) else merger)
    torch.testing.assert_close(dense(merged.member), dense(alone))
    assert merged.error == pytest.approx(0, abs=1e-12)


def test_the_table_names_each_way_as_it_names_itself():
    assert list(MERGERS) == ["linear", "task-arithmetic", "ties", "dare", "svd"]
    assert all(kind.name == name for name, kind in MERGERS.items())


@pytest.mark.parametrize("kind", MERGERS.values(), ids=MERGERS)
def test_a_rank_below_1_is_refused(kind):
    with pytest.raises(ValueError, match="rank must be 1 or more, got 0"):
        kind(rank=0)


@pytest.mark.parametrize("kind", [Ties, Dare])
@pytest.mark.parametrize("density", [0.0, -0.5, 1.5, math.nan])
def test_a_density_that_is_no_share_is_refused(kind, density):
    with pytest.raises(ValueError, match="density must be above 0 and at most 1, got"):
        kind(density=density)
