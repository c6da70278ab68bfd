import torch

from training.core.data.batches import batches_from, length_batches, pad, sorted_batches

LENGTHS = [(7 * i) % 50 + 1 for i in range(103)]


def test_every_index_occurs_once_in_an_epoch():
    batches = length_batches(LENGTHS, 4, seed=1, epoch=0)
    assert sorted(i for batch in batches for i in batch) == list(range(103))
    assert max(map(len, batches)) == 4


def test_order_depends_on_seed_and_epoch_alone():
    assert length_batches(LENGTHS, 4, seed=1, epoch=0) == length_batches(
        LENGTHS, 4, seed=1, epoch=0
    )
    assert length_batches(LENGTHS, 4, seed=1, epoch=0) != length_batches(
        LENGTHS, 4, seed=1, epoch=1
    )
    assert length_batches(LENGTHS, 4, seed=1, epoch=0) != length_batches(
        LENGTHS, 4, seed=2, epoch=0
    )


def test_batches_hold_similar_lengths():
    def padding(batches):
        return sum(sum(max(LENGTHS[j] for j in b) - LENGTHS[i] for i in b) for b in batches)

    plain = [list(range(i, min(i + 4, 103))) for i in range(0, 103, 4)]
    assert padding(length_batches(LENGTHS, 4, seed=1, epoch=0)) < padding(plain) / 3


def test_later_start_continues_the_same_sequence():
    whole = list(batches_from(LENGTHS, 4, seed=3, start=0, stop=60))
    assert list(batches_from(LENGTHS, 4, seed=3, start=31, stop=60)) == whole[31:]


def test_padding_on_either_side_and_its_positions():
    left = pad([[5, 6], [7]], 0, side="left")
    assert left.ids.tolist() == [[5, 6], [0, 7]]
    assert left.mask.tolist() == [[True, True], [False, True]]
    assert left.position_ids.tolist() == [[0, 1], [0, 0]]
    right = pad([[5, 6], [7]], 0)
    assert right.ids.tolist() == [[5, 6], [7, 0]]
    assert pad([], 0).ids.shape == torch.Size([0, 0])


def test_longest_come_first_for_scoring():
    assert sorted_batches([1, 5, 3], 2) == [[1, 2], [0]]


def test_sorted_batches_hold_few_tokens_or_a_single_row():
    assert sorted_batches([9, 3, 3, 1, 1, 2], 3, tokens=6) == [[0], [1, 2], [5, 3, 4]]
