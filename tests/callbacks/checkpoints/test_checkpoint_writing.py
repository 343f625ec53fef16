"""A checkpoint is written whole, or not at all."""

from pathlib import Path

import pytest
import torch

from headstart.callbacks.checkpoints.checkpoint_writing import UnbufferedCheckpointIO
from headstart.types import UserError


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("is_run", [True, False])
def test_a_full_disk_is_said_with_what_to_do_and_the_checkpoint_before_stays(tmp_path, is_run):
    """A trial or a source model cannot be resumed by itself: its command goes on with it."""
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    if is_run:
        (folder.parent / ".hydra").mkdir()
    advice = f"resume={folder.parent}" if is_run else "give the same command again"
    (folder / "last.ckpt").write_bytes(b"whole")
    (folder / "last.ckpt.partial").symlink_to("/dev/full")
    with pytest.raises(UserError, match=rf"no space .* last.ckpt in {folder}; make room.*{advice}$"):
        UnbufferedCheckpointIO().save_checkpoint({"weight": torch.zeros(10**6)}, folder / "last.ckpt.partial")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"last.ckpt": b"whole"}


def test_another_error_of_writing_is_not_taken_for_a_full_disk(tmp_path):
    (tmp_path / "last.ckpt.partial").mkdir()
    with pytest.raises((OSError, RuntimeError), match=r"directory|Parent"):
        UnbufferedCheckpointIO().save_checkpoint({"weight": torch.zeros(3)}, tmp_path / "last.ckpt.partial")
