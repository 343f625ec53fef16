"""What compat/pytorch/torch_module_versions.py relies on. Tried: torch 2.15.0."""

import torch
from torch import nn

from headstart.compat.pytorch.torch_module_versions import with_module_versions


def test_module_versions_of_a_written_file_are_found_and_reach_the_module(tmp_path):
    torch.save(nn.BatchNorm2d(2).state_dict(), tmp_path / "norm.pth")
    read = torch.load(tmp_path / "norm.pth", weights_only=True)
    assert read._metadata[""]["version"] == 2
    read.pop("num_batches_tracked")
    lenient, strict = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    assert strict.load_state_dict(with_module_versions(dict(read), of=read), strict=False).missing_keys == [
        "num_batches_tracked"  # required since version 2
    ]
    assert lenient.load_state_dict(with_module_versions(dict(read), of={}), strict=False).missing_keys == []
