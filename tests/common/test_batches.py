"""What each step of training draws."""

import numpy as np
import pytest

from lens_common.learning.augmentation import augment
from lens_common.learning.batches import count_steps, draw_batches, dropout_mask, make_batch


def drawn(*arguments, **options):
    """Return a list of (step, rows, the next number of the step's generator)."""
    return [
        (step, rows.tolist(), random_state.random_sample())
        for step, rows, random_state in draw_batches(*arguments, **options)
    ]


def all_rows(batches):
    return [row for _, rows, _ in batches for row in rows]


def test_every_stamp_comes_once_an_epoch():
    assert sorted(all_rows(drawn(10, 4, 1, 0, False))) == list(range(10))


def test_the_last_batch_holds_what_is_left():
    assert [len(rows) for _, rows, _ in drawn(10, 4, 1, 0, False)] == [4, 4, 2]


def test_without_the_tail_there_are_floor_n_over_batch_steps():
    batches = drawn(10, 4, 1, 0, True)
    assert [len(rows) for _, rows, _ in batches] == [4, 4]
    assert len(set(all_rows(batches))) == 8


@pytest.mark.parametrize(
    ("n_stamps", "batch_size", "drop_tail", "expected"),
    # The study's ResNet took 15 batches of 128 from 2,000 stamps and one from 200.
    [(2000, 128, True, 15), (200, 128, True, 1), (2000, 128, False, 16), (256, 128, True, 2), (256, 128, False, 2)],
)
def test_steps_are_counted_as_by_hand(n_stamps, batch_size, drop_tail, expected):
    assert count_steps(n_stamps, batch_size, drop_tail) == expected


def test_the_same_seed_and_epoch_draw_the_same():
    assert drawn(50, 8, 3, 2, False) == drawn(50, 8, 3, 2, False)


def test_the_order_is_shuffled():
    assert all_rows(drawn(50, 8, 3, 2, False)) != list(range(50))


@pytest.mark.parametrize(("seed", "epoch"), [(4, 2), (3, 1), (2, 3)])
def test_another_seed_or_epoch_draws_another_order_and_other_numbers(seed, epoch):
    first, other = drawn(50, 8, 3, 2, False), drawn(50, 8, seed, epoch, False)
    assert all_rows(first) != all_rows(other)
    assert not {number for _, _, number in first} & {number for _, _, number in other}


def test_an_epoch_that_goes_on_from_a_step_draws_what_was_left():
    assert drawn(50, 8, 3, 2, False, first_step=3) == drawn(50, 8, 3, 2, False)[3:]


def test_an_epoch_that_goes_on_behind_its_last_step_has_nothing_left():
    assert drawn(50, 8, 3, 2, False, first_step=7) == []


def test_each_step_has_a_generator_of_its_own():
    numbers = [number for _, _, number in drawn(50, 8, 3, 2, False)]
    assert len(set(numbers)) == 7


def test_what_one_step_draws_does_not_change_the_next():
    batches = draw_batches(50, 8, 3, 2, False)
    next(batches)[2].random_sample(1000)
    step, rows, random_state = next(batches)
    assert (step, rows.tolist(), random_state.random_sample()) == drawn(50, 8, 3, 2, False)[1]


def test_the_global_generator_is_left_alone():
    np.random.seed(0)
    drawn(50, 8, 3, 2, False)
    number = np.random.random_sample()
    assert number == np.random.RandomState(0).random_sample()


def test_a_batch_without_augmentation_is_a_float32_copy():
    stamps = np.arange(8.0).reshape(2, 1, 2, 2)[:, :, ::-1]
    batch = make_batch(stamps, np.random.RandomState(0), augmented=False)
    assert batch.dtype == np.float32
    assert batch.flags.c_contiguous
    assert np.array_equal(batch, stamps)
    assert not np.shares_memory(batch, stamps)


def test_a_batch_of_float32_is_copied_too():
    stamps = np.zeros((2, 1, 2, 2), np.float32)
    assert not np.shares_memory(make_batch(stamps, np.random.RandomState(0), augmented=False), stamps)


def test_a_batch_with_augmentation_is_augmented_from_the_steps_generator():
    stamps = np.random.RandomState(1).normal(size=(2, 1, 6, 6)).astype(np.float32)
    batch = make_batch(stamps, np.random.RandomState(0), augmented=True)
    assert np.array_equal(batch, augment(stamps, np.random.RandomState(0)))
    assert not np.array_equal(batch, stamps)


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5])
def test_a_dropout_mask_drops_its_rate(rate):
    mask = dropout_mask(np.random.RandomState(0), (100, 1000), rate)
    # Five deviations of a binomial share of 100,000.
    assert np.mean(mask == 0) == pytest.approx(rate, abs=5 * np.sqrt(rate * (1 - rate) / 100_000))


def test_a_dropout_mask_holds_zero_and_the_inverse_of_what_is_kept():
    mask = dropout_mask(np.random.RandomState(0), (20, 20), 0.2)
    assert mask.dtype == np.float32
    assert sorted(set(mask.ravel().tolist())) == [0, 1.25]


def test_a_rate_of_zero_drops_nothing():
    assert dropout_mask(np.random.RandomState(0), (3, 4), 0.0).tolist() == np.ones((3, 4)).tolist()
