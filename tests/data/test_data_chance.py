"""An image's random numbers depend on seed, epoch and position alone."""

import numpy as np
import torch

from headstart.data.loading.image_seed import ImageRng, _mixed

GOLDEN = 0x9E3779B97F4A7C15


def numbers(positions: list[int], *, seed=0, epoch=0, count=4) -> torch.Tensor:
    return ImageRng(seed=seed, epoch=[epoch] * len(positions), position=positions).uniform(count)


def reference(state: int, count: int) -> list[int]:
    """SplitMix64 by Python's integers."""
    values = []
    for _ in range(count):
        state = (state + GOLDEN) % 2**64
        z = state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        values.append(z ^ (z >> 31))
    return values


def test_the_reference_gives_the_published_stream_of_splitmix64():
    assert reference(1234567, 3) == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_an_image_has_the_splitmix64_stream_of_its_seed_epoch_and_position():
    (key,) = reference(7, 1)
    (key,) = reference((key + 3) % 2**64, 1)
    (key,) = reference((key + 11) % 2**64, 1)
    want = [(value >> 40) / 2**24 for value in reference(key, 5)]
    assert numbers([11], seed=7, epoch=3, count=5)[0].tolist() == want


def test_mixing_maps_no_two_numbers_onto_one():
    assert len(np.unique(_mixed(np.arange(100_000, dtype=np.uint64)))) == 100_000


def test_numbers_are_the_same_in_any_batch_and_any_order():
    together = numbers([5, 2, 9, 0])
    for row, position in enumerate([5, 2, 9, 0]):
        assert torch.equal(numbers([position])[0], together[row])


def test_another_seed_epoch_or_position_gives_other_numbers():
    drawn = [numbers([p], seed=s, epoch=e, count=1).item() for s in range(6) for e in range(6) for p in range(6)]
    assert len(set(drawn)) == len(drawn)


def test_further_numbers_come_when_asked_again():
    rng = ImageRng(seed=1, epoch=[2, 2], position=[3, 4])
    parts = [rng.uniform(1), rng.uniform(3)]
    assert torch.equal(torch.cat(parts, dim=1), numbers([3, 4], seed=1, epoch=2))


def test_numbers_are_uniform_over_images_epochs_and_draws():
    drawn = torch.stack([numbers(list(range(1000)), epoch=epoch, count=3) for epoch in range(30)]).double()
    assert drawn.min() >= 0
    assert drawn.max() < 1
    share = torch.histc(drawn, bins=10, min=0, max=1) / drawn.numel()
    assert (share - 0.1).abs().max() < 0.005  # 5 standard errors
    for other in (drawn.roll(1, 0), drawn.roll(1, 1), drawn.roll(1, 2)):
        assert abs(np.corrcoef(drawn.flatten(), other.flatten())[0, 1]) < 0.02  # 5 standard errors


def test_the_global_random_state_is_neither_read_nor_moved():
    torch.manual_seed(1)
    np.random.seed(1)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = numbers([1, 2])
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])
    torch.manual_seed(2)
    np.random.seed(2)
    assert torch.equal(numbers([1, 2]), first)


def test_the_largest_seed_is_taken():
    assert numbers([0], seed=2**32 - 1).shape == (1, 4)
