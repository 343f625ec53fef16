"""A checkpoint that would run code is refused in our words, and runs none."""

import pickle
import traceback

import pytest
import torch

from headstart.runs.continuing.resume_point import damage_of
from headstart.system.files.checkpoint_reading import loaded
from headstart.types import UserError


class Dangerous:
    def __reduce__(self):
        return print, ("code from the file ran",)


@pytest.mark.parametrize("mmap", [False, True])
def test_tensors_and_plain_values_are_read_and_what_would_run_code_is_not(tmp_path, capsys, mmap):
    file = tmp_path / "last.ckpt"
    torch.save({"state_dict": {"a": torch.arange(3)}, "epoch": 2}, file)
    assert loaded(file, mmap=mmap)["epoch"] == 2
    assert damage_of(file) == ""
    torch.save({"state_dict": {"a": torch.arange(3)}, "epoch": Dangerous()}, file)
    with pytest.raises(UserError, match="to read that would run code from the file") as told:
        loaded(file, mmap=mmap)
    assert "weights_only" not in "".join(traceback.format_exception(told.value)).replace("weights_only=True", "")
    assert "holds more than tensors and plain values" in damage_of(file)
    assert "weights_only" not in damage_of(file)
    assert "ran" not in capsys.readouterr().out


def test_a_bare_pickle_is_no_checkpoint(tmp_path, capsys):
    file = tmp_path / "best.ckpt"
    file.write_bytes(pickle.dumps(Dangerous()))
    with pytest.raises(UserError, match="holds more than tensors and plain values"):
        loaded(file)
    assert damage_of(file)
    assert "ran" not in capsys.readouterr().out
