from __future__ import annotations

from training.core.data.randomness import PromptOrder, derive_seed


def test_every_pass_holds_each_prompt_once_in_an_order_of_its_own() -> None:
    taken = PromptOrder(10, seed=1).take(0, 30)
    passes = [taken[0:10], taken[10:20], taken[20:30]]
    assert [sorted(one) for one in passes] == [list(range(10))] * 3
    assert len({tuple(one) for one in passes}) == 3


def test_the_order_does_not_depend_on_where_reading_began_or_was_cut() -> None:
    whole = PromptOrder(7, seed=3).take(0, 40)
    order = PromptOrder(7, seed=3)
    assert order.take(12, 9) + order.take(21, 5) == whole[12:26]
    assert PromptOrder(7, seed=4).take(0, 40) != whole


def test_seeds_differ_by_purpose_and_by_counter_and_are_the_same_everywhere() -> None:
    seeds = {derive_seed(1, "sample", 0), derive_seed(1, "sample", 1), derive_seed(1, "update", 0)}
    assert len(seeds) == 3
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(7, "sample", 0) == 0xC96AAEAF08D8477C // 2  # printf 7/sample/0 | sha256sum
