"""A file of weights tells its preprocessing by its hash, by the JSON file beside it, or as a run's checkpoint."""

import hashlib
import json

import pytest
import torch
from torchvision import models

from headstart.backbones.weights.preprocessing.file_preprocessing import (
    counted_preprocessing,
    in_place_of_default,
    known_of,
)
from headstart.backbones.weights.preprocessing.json_preprocessing import values_of
from headstart.backbones.weights.preprocessing.preprocessing_values import preprocessed, shown
from headstart.backbones.weights.preprocessing.torchvision_preprocessing import torchvision_pixels
from headstart.backbones.weights.torchvision_recognition import _by_hash, recognised_file
from headstart.backbones.weights.weights_folder import file_in
from headstart.types import Pixels, UserError

RESNET50 = {
    "_target_": "headstart.backbones.zoo.torchvision_models.torchvision",
    "name": "resnet50",
    "size": None,
    "channels": 3,
}


def test_every_classification_file_of_torchvision_is_recognised_by_its_name():
    for model in models.list_models(module=models):
        for weights in models.get_model_weights(model):
            name = weights.url.rpartition("/")[2]
            assert recognised_file(name, None).weights is weights


@pytest.mark.parametrize(("name", "weights", "resize"), [
    ("resnet50-0676ba61.pth", models.ResNet50_Weights.IMAGENET1K_V1, 256),
    ("resnet50-11ad3fa6.pth", models.ResNet50_Weights.IMAGENET1K_V2, 232),
])  # fmt: skip
def test_the_two_weights_of_a_model_have_each_its_own_resize(name, weights, resize):
    known = known_of(name, file=None, sha256=None)
    assert known.values["resize"] == resize == weights.transforms().resize_size[0]
    assert known.why == f"of torchvision's {weights}, known by the hash in its name"


def test_a_renamed_file_is_recognised_by_its_bytes_and_these_count_more_than_a_name(tmp_path, monkeypatch):
    file = tmp_path / "mine.pth"
    torch.save({"a": torch.zeros(1)}, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setitem(_by_hash(), digest[:8], models.ResNet50_Weights.IMAGENET1K_V1)
    for name in ("mine.pth", "resnet50-11ad3fa6.pth"):
        known = known_of(name, file=file, sha256=digest)
        assert known.why == "of torchvision's ResNet50_Weights.IMAGENET1K_V1, known by the SHA-256 of its bytes"
    assert known_of("mine.pth", file=file, sha256="0" * 64) is None


def test_a_default_that_says_the_same_is_left_alone():
    first, second = (known_of(f"resnet50-{digits}.pth", file=None, sha256=None) for digits in ("0676ba61", "11ad3fa6"))
    assert in_place_of_default(RESNET50, second) is None
    assert in_place_of_default(RESNET50, first)["resize"] == 256


def test_the_hash_of_a_run_counts_only_what_differs_from_the_default(tmp_path):
    def counted(path, **backbone):
        return counted_preprocessing({"path": str(path)}, RESNET50 | backbone)

    assert counted("https://host.org/resnet50-0676ba61.pth")["resize"] == 256
    assert counted("https://host.org/resnet50-11ad3fa6.pth") is None
    assert counted(tmp_path / "absent.pth") is None
    assert counted("hf://org/name") == "beside the file"
    assert counted("hf://org/name", preprocessing="IMAGENET1K_V1") is None  # counts itself
    assert counted("hf://org/name", _target_="my_nets.net") is None


def test_the_shorter_side_keeps_its_ratio_to_another_size():
    values = {"size": 224, "resize": 256, "interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.25] * 3}
    half = torchvision_pixels("resnet50", size=112, channels=3, preprocessing=values)
    assert half == Pixels(112, 3, (0.5,) * 3, (0.25,) * 3, resize=128, interpolation="bicubic")
    grey = torchvision_pixels("resnet50", size=None, channels=1, preprocessing=values | {"mean": [0.2, 0.4, 0.6]})
    assert (grey.size, grey.mean, grey.std) == (224, (pytest.approx(0.4),), (0.25,))
    assert torchvision_pixels("resnet50", size=None, channels=3, preprocessing={"resize": 300}).resize == 300


def test_a_name_of_weights_says_their_pixels():
    assert torchvision_pixels("resnet50", size=None, channels=3, preprocessing="IMAGENET1K_V1").resize == 256
    with pytest.raises(UserError, match=r"backbone\.preprocessing of resnet50 must be IMAGENET1K_V1 or IMAGENET1K_V2"):
        torchvision_pixels("resnet50", size=None, channels=3, preprocessing="V3")


@pytest.mark.parametrize(("values", "told"), [
    ({"crop": 3}, "has the keys size, resize, interpolation, mean, std, got crop"),
    ({"resize": 0}, "resize must be 1 to 4096 pixels, got 0"),
    ({"interpolation": "lanczos"}, "must be bilinear or bicubic, got lanczos"),
    ({"mean": [0.1, 0.2]}, r"mean must be a list of one number a channel, got \[0.1, 0.2\]"),
    ({"std": [0.0, 1.0, 1.0]}, "std must be above 0"),
])  # fmt: skip
def test_a_wrong_value_is_an_error_that_says_what_is_right(values, told):
    with pytest.raises(UserError, match=told):
        preprocessed(torchvision_pixels("resnet50", size=None, channels=3), values, size=None)


# as timm/vit_small_patch14_dinov2.lvd142m, facebook/dinov2-small and google/vit-base-patch16-224 say
TIMM = {"architecture": "vit_small_patch14_dinov2", "num_features": 384, "pretrained_cfg": {
    "input_size": [3, 518, 518], "interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "center",
    "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
}}  # fmt: skip
DINOV2 = {
    "crop_size": {"height": 224, "width": 224}, "do_center_crop": True, "do_normalize": True, "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 3,
    "size": {"shortest_edge": 256},
}  # fmt: skip
VIT = {
    "do_normalize": True,
    "do_resize": True,
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
    "resample": 2,
    "size": 224,
}


@pytest.mark.parametrize(("content", "size", "resize", "interpolation", "mean"), [
    (TIMM, 518, 518, "bicubic", [0.485, 0.456, 0.406]),
    (TIMM["pretrained_cfg"], 518, 518, "bicubic", [0.485, 0.456, 0.406]),
    (DINOV2, 224, 256, "bicubic", [0.485, 0.456, 0.406]),
    (VIT, 224, 224, "bilinear", [0.5] * 3),
])  # fmt: skip
def test_configurations_of_timm_and_hugging_face_say_size_resize_interpolation_and_mean(
    content, size, resize, interpolation, mean, tmp_path
):
    (tmp_path / "config.json").write_text(json.dumps(content))
    file = tmp_path / "model.safetensors"
    file.touch()
    known = known_of(file_in(tmp_path).name, file=file, sha256="0" * 64)
    assert known.why.partition(", ")[0] == "of config.json beside it"
    assert [known.values[key] for key in ("size", "resize", "interpolation", "mean")] == [
        size, resize, interpolation, mean,
    ]  # fmt: skip


@pytest.mark.parametrize(("content", "squashed"), [
    (TIMM, False),
    ({"pretrained_cfg": TIMM["pretrained_cfg"] | {"crop_mode": "squash"}}, True),
    (DINOV2, False),
    (DINOV2 | {"do_center_crop": False}, False),  # the shorter side alone is said
    (VIT, True),
    (VIT | {"size": {"height": 224, "width": 224}}, True),
    (VIT | {"do_resize": False}, False),
])  # fmt: skip
def test_a_configuration_that_squashes_images_is_said_to_differ_in_that(content, squashed, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(content))
    file = tmp_path / "model.safetensors"
    file.touch()
    known = known_of(file.name, file=file, sha256="0" * 64)
    assert ("there images were squashed to a square" in known.why) == squashed


def test_a_configuration_without_preprocessing_says_none():
    assert values_of({"model_type": "vit", "image_size": 224}) == values_of([1]) == values_of(None) == {}
    assert values_of({"image_mean": "?", "size": {"width": 3}}) == {}


def test_a_run_s_checkpoint_has_the_preprocessing_of_the_run(tmp_path):
    (tmp_path / ".hydra").mkdir()
    lines = [f"  {key}: {'null' if value is None else value}" for key, value in RESNET50.items()]
    config = "\n".join(["backbone:", *lines, "  preprocessing: IMAGENET1K_V1"])
    (tmp_path / ".hydra" / "config.yaml").write_text(config.replace("size: null", "size: 32"))
    known = known_of("best.ckpt", file=tmp_path / "checkpoints" / "best.ckpt", sha256="0" * 64)
    assert (known.values["size"], known.values["resize"]) == (224, 256)
    assert known.why == f"of the run {tmp_path.name}, whose checkpoint it is"


def test_a_folder_gives_its_one_file_of_weights(tmp_path):
    for name in ("model.safetensors", "pytorch_model.bin", "training_args.bin", "config.json"):
        (tmp_path / name).touch()
    assert file_in(tmp_path).name == "model.safetensors"
    (tmp_path / "other.safetensors").touch()
    with pytest.raises(UserError, match=r"2 files of weights: model\.safetensors, other\.safetensors; choose one"):
        file_in(tmp_path)


def test_the_phrase_of_a_preprocessing_has_all_that_decides_an_image():
    assert shown(torchvision_pixels("resnet50", size=None, channels=3)) == (
        "size 224 from resize 232, bilinear, mean 0.485/0.456/0.406, std 0.229/0.224/0.225"
    )
