"""Checksums of replicas, which differ where a single bit does."""

import pytest
import torch

from headstart.callbacks.training.replica_check import checksum


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.complex64]
)
def test_a_change_of_any_single_word_changes_it(dtype):
    tensor = torch.zeros(50, dtype=dtype)
    seen = {checksum(tensor).item()}
    for place in range(50):
        changed = tensor.clone()
        changed[place] = 1
        seen.add(checksum(changed).item())
    assert len(seen) == 51


def test_the_lowest_bit_the_order_and_the_sign_of_zero_count():
    tensor = torch.tensor([1.0, 2.0, 0.0])
    lowest = torch.nextafter(tensor, torch.full((3,), 9.0))
    others = [lowest, tensor.flip(0), torch.tensor([1.0, 2.0, -0.0])]
    assert len({checksum(one).item() for one in [tensor, *others]}) == 4


def test_it_is_of_the_numbers_and_not_of_how_they_lie_in_memory():
    tensor = torch.randn(3, 4, 5, 6)
    assert checksum(tensor) == checksum(tensor.to(memory_format=torch.channels_last))


def test_equal_nans_are_equal():
    assert checksum(torch.full((4,), float("nan"))) == checksum(torch.full((4,), float("nan")))


def test_pieces_of_a_large_tensor_add_up_to_the_whole(monkeypatch):
    tensor = torch.randn(1000)
    whole = checksum(tensor)
    monkeypatch.setattr("headstart.callbacks.training.replica_check.CHUNK", 7)
    assert checksum(tensor) == whole
