"""A cached image comes back unchanged, in other processes too, and none is cached without room."""

import multiprocessing
import pickle

import numpy as np
import pytest

from headstart.data.loading.decoded_image_cache import DecodedImageCache


def images(*values: int) -> np.ndarray:
    return np.stack([np.full((2, 2), value, np.uint8) for value in values])


def test_an_image_that_was_put_in_comes_back():
    cache = DecodedImageCache(5, (2, 2))
    cache.put(np.array([3, 0]), images(30, 10))
    assert cache.has(np.array([0, 1, 2, 3, 4])).tolist() == [True, False, False, True, False]
    assert cache.get(np.array([0, 3])).tolist() == images(10, 30).tolist()


def test_a_black_image_is_there_too():
    cache = DecodedImageCache(2, (2, 2))
    cache.put(np.array([1]), images(0))
    assert cache.has(np.array([0, 1])).tolist() == [False, True]


def test_what_has_no_room_is_not_kept():
    cache = DecodedImageCache(2, (2, 2))
    cache.put(np.array([5, 1]), images(50, 10))
    assert cache.has(np.array([1, 5])).tolist() == [True, False]
    assert cache.get(np.array([1])).tolist() == images(10).tolist()
    nothing = DecodedImageCache(0, (2, 2))
    nothing.put(np.array([0]), images(10))
    assert not nothing.has(np.array([0])).any()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
def test_what_a_forked_worker_puts_in_is_there_for_all():
    cache = DecodedImageCache(3, (2, 2))
    worker = multiprocessing.get_context("fork").Process(target=cache.put, args=(np.array([2]), images(70)))
    worker.start()
    worker.join()
    assert cache.has(np.array([2])).all()
    assert cache.get(np.array([2])).tolist() == images(70).tolist()


def test_who_gets_it_by_pickle_has_no_room():
    cache = DecodedImageCache(3, (2, 2))
    cache.put(np.array([0]), images(1))
    assert not pickle.loads(pickle.dumps(cache)).has(np.array([0])).any()
