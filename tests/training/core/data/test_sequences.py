from __future__ import annotations

import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.core.data import sequences
from training.core.data.sequences import length_buckets, pack_sequences

CPU = torch.device("cpu")


def test_sequences_end_in_the_last_column_and_positions_count_real_tokens() -> None:
    batch = pack_sequences([[5, 6], [7]], [[8], [9, 10, 11]], pad_id=0, device=CPU)
    assert batch.input_ids.tolist() == [[0, 5, 6, 8], [7, 9, 10, 11]]
    assert batch.attention_mask.tolist() == [[0, 1, 1, 1], [1, 1, 1, 1]]
    assert batch.position_ids.tolist() == [[0, 0, 1, 2], [0, 1, 2, 3]]
    assert batch.responses.tolist() == [[5, 6, 8], [9, 10, 11]]
    assert batch.mask.tolist() == [[False, False, True], [True, True, True]]


def test_short_and_long_rows_go_to_different_buckets() -> None:
    lengths = [15, 310, 15, 310, 16] * 4
    buckets = length_buckets(lengths, size=20)
    assert [sorted({lengths[row] for row in bucket}) for bucket in buckets] == [[15, 16], [310]]


def bucket_cost(lengths: list[int], bucket: list[int]) -> int:
    return len(bucket) * max(lengths[i] for i in bucket) + sequences.CALL_OVERHEAD_TOKENS


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=8), st.integers(1, 5))
def test_buckets_hold_every_row_once_and_no_cut_of_the_sorted_rows_is_cheaper(
    lengths: list[int], size: int
) -> None:
    buckets = length_buckets(lengths, size=size)
    order = [row for bucket in buckets for row in bucket]
    assert sorted(order) == list(range(len(lengths)))
    assert max(map(len, buckets)) <= size
    spent = sum(bucket_cost(lengths, bucket) for bucket in buckets)
    for cuts in itertools.product([False, True], repeat=len(order) - 1):
        ends = [i + 1 for i, cut in enumerate(cuts) if cut] + [len(order)]
        groups = [order[a:b] for a, b in zip([0, *ends], ends, strict=False)]
        if max(map(len, groups)) <= size:
            assert spent <= sum(bucket_cost(lengths, group) for group in groups)
