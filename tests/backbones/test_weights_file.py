"""Weights in a file reach their tensors, whatever wrote the file and whatever its names are."""

import argparse
import os
import traceback
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from headstart.backbones.weights.backbone_weights import Weights, load
from headstart.backbones.weights.tensors.tensor_file import tensors_in
from headstart.backbones.weights.tensors.tensor_matching import complete, matching
from headstart.backbones.zoo.small_cnn import small_cnn
from headstart.backbones.zoo.torchvision_models import torchvision
from headstart.types import UserError

DATA = Path(os.environ.get("HEADSTART_DATA", Path(__file__).parents[3] / "shared" / "data"))


def net(seed=1):
    torch.manual_seed(seed)
    return models.resnet18().eval()


def resnet(channels=3, keep=None):
    torch.manual_seed(7)
    return torchvision(name="resnet18", size=32, channels=channels, keep=keep).eval()


def given(state, backbone, *, reset_from=None, prefix=None):
    """The backbone with what a state_dict has for it."""
    tensors = complete(matching(state, backbone, prefix=prefix), backbone, reset_from=reset_from)
    load(backbone, Weights(backbone=tensors, reset_from=reset_from))
    return backbone


def same_stage(a, b, stage):
    return all(
        torch.equal(p, q)
        for p, q in zip(a.stages[stage].state_dict().values(), b.stages[stage].state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("nest", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s},
                                  lambda s: {"model": {"state_dict": s}, "loss": torch.zeros(())}])  # fmt: skip
def test_a_state_dict_is_found_by_itself_and_inside_of_a_checkpoint(tmp_path, nest):
    state = net().state_dict()
    torch.save(nest(state), tmp_path / "x.pth")
    read = tensors_in(tmp_path / "x.pth")
    assert list(read) == list(state)
    assert all(torch.equal(read[name], state[name]) for name in state)


def test_safetensors_give_the_same_tensors(tmp_path):
    state = net().state_dict()
    save_file(state, tmp_path / "x.safetensors")
    read = tensors_in(tmp_path / "x.safetensors")
    assert read.keys() == state.keys()
    assert all(torch.equal(read[name], state[name]) for name in state)


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "backbone.", "_orig_mod.", "module.model._orig_mod.net.",
                                    "encoder_q."])  # fmt: skip
def test_the_backbone_computes_what_the_network_of_the_file_did_whatever_stands_before_its_names(prefix):
    model = net()
    backbone = given({prefix + name: t for name, t in model.state_dict().items()}, resnet())
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(model.fc(backbone(images)), model(images), rtol=1e-4, atol=1e-5)


def test_names_of_the_backbones_own_are_found_too_behind_a_modules_name_and_among_other_parts():
    source, target = resnet(), resnet()
    torch.nn.init.normal_(source.stages["stem"][0].weight)
    state = {f"backbone.{name}": t for name, t in source.state_dict().items()} | {"head.linear.weight": torch.ones(2)}
    match = matching(state, target, prefix=None)
    assert (match.prefix, match.missing, match.left_over) == ("backbone.", (), ("head.linear.weight",))
    assert all(same_stage(given(state, target), source, name) for name in source.names)


def test_names_in_a_compiled_part_of_a_model_are_found():
    state = {name.replace("layer1.", "layer1._orig_mod."): t for name, t in net().state_dict().items()}
    assert len(matching(state, resnet(), prefix=None).tensors) == len(resnet().state_dict())


def test_matched_missing_and_left_over_are_all_tensors_of_both_sides():
    state = dict(net().state_dict())
    del state["layer4.1.bn2.bias"]
    backbone = resnet()
    match = matching(state, backbone, prefix=None)
    assert match.missing == ("stages.layer4.1.bn2.bias",)
    assert match.left_over == ("fc.weight", "fc.bias")
    assert set(match.tensors) | set(match.missing) == set(backbone.state_dict())
    assert len(match.tensors) + len(match.left_over) == len(state)


def test_stages_that_are_not_kept_are_no_left_overs():
    assert matching(net().state_dict(), resnet(keep=2), prefix=None).left_over == ("fc.weight", "fc.bias")
    assert given(net().state_dict(), resnet(keep=2)).names == ("stem", "layer1")


def test_reset_from_takes_the_first_stages_and_does_not_ask_for_the_others():
    state = {name: t for name, t in net().state_dict().items() if not name.startswith(("layer3", "layer4", "fc"))}
    whole, fresh, cut = given(net().state_dict(), resnet()), resnet(), given(state, resnet(), reset_from=3)
    for place, stage in enumerate(whole.names):
        assert same_stage(cut, whole if place < 3 else fresh, stage)
    with pytest.raises(UserError, match=r"lacks 50 tensors .*reset_from=3 for the stages that it has"):
        given(state, resnet())


def test_batchnorms_counters_that_old_files_lack_are_zero():
    state = {name: t for name, t in net().state_dict().items() if not name.endswith("num_batches_tracked")}
    backbone = given(state, resnet())
    assert backbone.stages["stem"].bn1.num_batches_tracked == 0
    assert same_stage(backbone, given(net().state_dict(), resnet()), "layer4")


def test_a_first_convolution_of_other_channels_is_an_error_that_says_which_to_try():
    with pytest.raises(UserError, match=r"reads images of 3 channels, the backbone's 1; try backbone.channels=3"):
        given(net().state_dict(), resnet(channels=1))


def test_another_shape_is_an_error_that_names_the_tensor_and_both_shapes():
    state = dict(net().state_dict())
    state["layer2.0.conv1.weight"] = torch.zeros(5, 64, 3, 3)
    with pytest.raises(UserError, match=r"stages.layer2.0.conv1.weight is \(5, 64, 3, 3\) .*\(128, 64, 3, 3\)"):
        given(state, resnet())


def test_a_file_of_another_network_is_an_error_with_names_of_both():
    with pytest.raises(UserError, match=r"begins with conv1.weight, .*; the backbone with stages.stage1.0.weight"):
        matching(net().state_dict(), small_cnn(width=4, size=16, channels=1, keep=None), prefix=None)


def test_two_networks_in_one_file_are_an_error_until_one_is_chosen():
    one, other = net(1).state_dict(), net(2).state_dict()
    state = {f"{who}.{name}": t for who, has in (("student", one), ("teacher", other)) for name, t in has.items()}
    with pytest.raises(UserError, match=r"2 times, behind student., teacher.; choose one: weights.prefix=student."):
        matching(state, resnet(), prefix=None)
    assert torch.equal(given(state, resnet(), prefix="teacher").stages["stem"].conv1.weight, other["conv1.weight"])
    with pytest.raises(UserError, match=r"behind nobody.: "):
        matching(state, resnet(), prefix="nobody")


class Dangerous:
    def __reduce__(self):
        return (print, ("code from the file ran",))


@pytest.mark.parametrize(
    "what", [Dangerous(), argparse.Namespace(lr=1), torch.nn.Linear(1, 1)], ids=lambda w: type(w).__name__
)
def test_a_file_that_would_run_code_is_refused_with_the_reason_and_what_to_do(tmp_path, what, capsys):
    torch.save({"state_dict": net().state_dict(), "other": what}, tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"would run code from the file \(it asks for .*save its tensors alone") as told:
        tensors_in(tmp_path / "x.pth")
    assert "ran" not in capsys.readouterr().out
    assert "weights_only=False" not in "".join(traceback.format_exception(told.value))  # torch's advice


def test_half_a_file_no_file_and_one_without_tensors_are_errors_that_say_so(tmp_path):
    path = tmp_path / "x.pth"
    torch.save(net().state_dict(), path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"cannot read .*downloaded whole"):
        tensors_in(path)
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match=r"begins with b'<html>not found.*downloaded whole"):
        tensors_in(path)
    torch.save({"epoch": 3, "lr": 0.1}, path)
    with pytest.raises(UserError, match=r"must hold a state_dict.* it has the keys epoch, lr"):
        tensors_in(path)
    (tmp_path / "x.safetensors").write_bytes(b"short")
    with pytest.raises(UserError, match=r"cannot read .*downloaded whole"):
        tensors_in(tmp_path / "x.safetensors")
    with pytest.raises(UserError, match="is not there"):
        tensors_in(tmp_path / "y.pth")
    with pytest.raises(UserError, match="is a folder"):
        tensors_in(tmp_path)


def test_real_imagenet_weights_compute_in_stages_what_they_do_in_torchvisions_network():
    path = DATA / "weights" / "mobilenet_v2-imagenet.pth"
    if not path.is_file():
        pytest.skip(f"no {path}")
    model = models.mobilenet_v2().eval()
    model.load_state_dict(torch.load(path, weights_only=True))
    backbone = given(tensors_in(path), torchvision(name="mobilenet_v2", size=96, channels=3, keep=None).eval())
    images = torch.randn(2, 3, 96, 96)
    torch.testing.assert_close(model.classifier(backbone(images)), model(images), rtol=1e-4, atol=1e-4)
