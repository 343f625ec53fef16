"""Pixels of each container, mode, depth, alpha and orientation against numpy's, whatever brings the bytes."""

import numpy as np
import pytest

from container_cases import CASES
from container_pixels import (
    SIDE,
)
from containers import upright
from headstart.data.decoding.image_decoding import Decoder


@pytest.mark.parametrize("name", CASES)
def test_a_file_becomes_the_pixels_that_numpy_computes_from_a_path_and_from_bytes(tmp_path, name):
    case = CASES[name]
    want_colour = np.broadcast_to(np.asarray(case.want, float), (SIDE, SIDE, 3))
    luma = want_colour @ np.array([0.299, 0.587, 0.114])
    for orientation in case.orientations:
        stored = case.made(orientation)
        path = tmp_path / f"{orientation}.bin"
        path.write_bytes(stored)
        for channels, want in ((3, want_colour), (1, luma)):
            decode = Decoder(
                SIDE, SIDE, channels, reduced=True, value_range=case.value_range, background=case.background
            )
            made = decode.of_bytes(stored, "a")
            assert np.array_equal(decode(path), made)
            gap = np.abs(made - upright(want, orientation))
            assert gap.max() <= case.within + (channels == 1), (orientation, channels, gap.max())
