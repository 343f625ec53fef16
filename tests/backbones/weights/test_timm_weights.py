"""timm's pretrained weights equal its own, at any size and number of channels, from wherever they lie."""

import logging
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from headstart.backbones.weights.preprocessing.timm_preprocessing import timm_pixels
from headstart.backbones.weights.pretrained_weights import differences
from headstart.backbones.weights.weight_libraries import pretrained
from headstart.types import UserError

library = pytest.importorskip("timm")
hub = pytest.importorskip("huggingface_hub")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache of torch's, where files may be put by hand."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def offered(tmp_path, monkeypatch):
    """What the hub gives: (repository, file name) -> file; and what it was asked for."""
    files, asked = {}, []

    def download(repository, filename, *, revision=None):
        asked.append((repository, filename))
        if (repository, filename) not in files:
            raise hub.errors.EntryNotFoundError(f"no {filename}")
        return str(files[repository, filename])

    monkeypatch.setattr(hub, "hf_hub_download", download)
    return files, asked


def saved(name, path, **settings):
    """A file of a model with random numbers -> these."""
    torch.manual_seed(1)
    state = library.create_model(name, **settings).state_dict()
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return state


def of(name, *, tag=None, size=None, channels=3):
    return pretrained(("timm", name), tag, timm_pixels(name, size=size, channels=channels))


@pytest.mark.parametrize("filename", ["model.safetensors", "pytorch_model.bin"])
def test_a_file_of_the_hub_gives_its_own_numbers(filename, offered, tmp_path):
    files, asked = offered
    state = saved("test_vit", tmp_path / filename)
    files["timm/test_vit.r160_in1k", filename] = tmp_path / filename
    found = of("test_vit")
    assert (found.name, found.file) == ("r160_in1k", tmp_path / filename)
    assert found.url.endswith(f"timm/test_vit.r160_in1k/resolve/main/{filename}")
    assert found.tensors.keys() == state.keys()
    assert all(torch.equal(found.tensors[key], state[key]) for key in state)
    assert asked[0] == ("timm/test_vit.r160_in1k", "model.safetensors")


def test_positions_are_interpolated_for_another_size_and_stay_smooth(cache):
    file = cache / "test_vit.r160_in1k.safetensors"
    net = library.create_model("test_vit")
    ramp = torch.linspace(0, 1, 10)[None, :].expand(10, 10)  # from left to right
    with torch.no_grad():
        net.pos_embed[0, 1:] = ramp.reshape(100, 1)
    save_file(net.state_dict(), file)
    found = of("test_vit", size=320).tensors["pos_embed"]
    assert found.shape == (1, 1 + 20 * 20, 64)
    assert torch.equal(found[0, 0], net.pos_embed[0, 0])
    wide = found[0, 1:, 0].reshape(20, 20)
    torch.testing.assert_close(wide, wide[:1].expand(20, 20))
    assert wide[0, -1] - wide[0, 0] > 0.9


def test_the_first_filters_of_grey_images_are_summed_over_the_colours(cache):
    for name, first in (("test_resnet", "conv1.0.weight"), ("test_vit", "patch_embed.proj.weight")):
        state = saved(name, cache / f"{name}.r160_in1k.pth")
        found = of(name, channels=1).tensors
        torch.testing.assert_close(found[first], state[first].sum(dim=1, keepdim=True))
        assert {key for key in state if found[key].shape != state[key].shape} == {first}


def test_a_tag_is_that_of_the_backbones_name_unless_weights_name_another(cache):
    for tag in ("a1_in1k", "tv_in1k"):
        saved("resnet18", cache / f"resnet18.{tag}.pth")
    pixels = timm_pixels("resnet18.a1_in1k", size=32, channels=3)
    own, default, other = (
        pretrained(("timm", model), tag, pixels)
        for model, tag in (("resnet18.a1_in1k", None), ("resnet18", None), ("resnet18", "tv_in1k"))
    )
    assert (own.name, default.name, other.name) == ("a1_in1k", library.get_pretrained_cfg("resnet18").tag, "tv_in1k")
    assert (own.advice, other.advice) == ("", "backbone.name=resnet18.tv_in1k takes all that these were evaluated with")
    with pytest.raises(UserError, match=r"test_resnet has no weights 'r160'; there are r160_in1k; did you mean"):
        of("test_resnet", tag="r160")


def test_another_tags_preprocessing_is_told():
    own = timm_pixels("vit_base_patch16_224.augreg_in21k", size=None, channels=3)
    other = timm_pixels("vit_base_patch16_224.mae", size=None, channels=3)
    assert differences(own, other) == [
        "mean 0.500/0.500/0.500 instead of 0.485/0.456/0.406", "std 0.500/0.500/0.500 instead of 0.229/0.224/0.225",
    ]  # fmt: skip
    plain, longer = (timm_pixels(f"convnext_tiny.{tag}", size=None, channels=3) for tag in ("fb_in1k", "in12k_ft_in1k"))
    assert differences(plain, longer) == ["resize 256 instead of 235 (target.resize=235)"]


def test_without_network_the_message_says_where_to_put_which_file(cache, monkeypatch, caplog):
    def unreachable(*_, **__):
        logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s [Retry 1/5].")
        raise hub.errors.LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(hub, "hf_hub_download", unreachable)
    put = re.escape(str(cache / "convnext_tiny.fb_in22k.safetensors"))
    with pytest.raises(UserError, match=rf"cannot download \S*model.safetensors \(no connection\).*by hand to {put}"):
        of("convnext_tiny.fb_in22k")
    assert "Retrying" not in caplog.text


def test_a_file_that_lacks_something_or_is_of_another_model_is_refused(cache):
    file = cache / "test_resnet.r160_in1k.pth"
    state = saved("test_resnet", file)
    torch.save({name: tensor for name, tensor in state.items() if name != "layer2.0.conv1.weight"}, file)
    with pytest.raises(UserError, match=r"the file is not of timm's test_resnet.r160_in1k: .*Missing key"):
        of("test_resnet")
    saved("test_convnext", file)
    with pytest.raises(UserError, match=r"the file is not of timm's test_resnet.r160_in1k"):
        of("test_resnet")


def test_a_file_that_would_run_code_is_refused(cache, tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path(tmp_path / "ran").touch, ())

    torch.save({"conv1.0.weight": Evil()}, cache / "test_resnet.r160_in1k.bin")
    with pytest.raises(UserError, match="reading that would run code"):
        of("test_resnet")
    assert not (tmp_path / "ran").exists()
