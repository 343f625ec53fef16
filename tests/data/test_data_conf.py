"""Each file of conf/data and conf/augment names exactly what its target takes."""

import inspect
from pathlib import Path
from pydoc import locate

import pytest
import torch
from omegaconf import OmegaConf

from data_conf import FOLDER, data_conf, keywords
from headstart.cli.checking.callable_parameters import signature
from headstart.data.dataset_settings import (
    DecodingSettings,
    FileSettings,
    FoldSettings,
    ImageSettings,
    LoadingSettings,
    SplitSettings,
)
from headstart.data.datasets.digits import Digits
from headstart.data.datasets.image_datamodule import ImageDataModule
from headstart.data.decoding.image_decoding import decoder_like
from headstart.data.loading.image_seed import ImageRng
from headstart.data.transforms.library_transform import as_augmentation
from headstart.runs.saved.settings_added_later import without_later
from headstart.types import Pixels

CONF = Path(__file__).parents[2] / "conf"
# those that are short for another file have no target of their own; tests/conf holds them to the command line
NAMES = [file.stem for file in sorted(FOLDER.glob("*.yaml")) if "_target_" in file.read_text(encoding="utf-8")]
# which need files, and some a library: their own tests make them
ELSEWHERE = {"torchvision", "table", "hugging_face", "webdataset"}
# standard is made of others: test_augment_options.py composes it
AUGMENTATIONS = [file for file in sorted((CONF / "augment").glob("*.yaml")) if file.stem != "standard"]
WIRED = {"pixels", "seed"}  # from the backbone and the run


@pytest.mark.parametrize("name", NAMES)
def test_a_yaml_is_the_call(name, class_folders):
    conf = data_conf(name)
    if conf.get("root") == "???":
        conf["root"] = str(class_folders())
    target = conf.pop("_target_")
    read = signature(target)
    assert set(conf) == set(read.parameters) - WIRED
    assert all(parameter.required for parameter in read.parameters.values())
    assert not read.takes_others
    if name in ELSEWHERE:
        return
    data = locate(target)(**conf, pixels=Pixels(size=32, channels=1, mean=(0.5,), std=(0.5,)), seed=0)
    assert isinstance(data, ImageDataModule)
    assert data.num_classes == len(data.class_names)


@pytest.mark.parametrize(
    ("names", "settings"),
    [
        (["loading"], LoadingSettings),
        (["folds"], FoldSettings),
        (["splits"], SplitSettings),
        (["decoding"], DecodingSettings),
        (["images"], ImageSettings),
        (["files"], FileSettings),
    ],
)
def test_a_shared_yaml_has_the_names_of_its_settings(names, settings):
    conf = {key for name in names for key in data_conf(name, FOLDER / "_settings")}
    assert conf == settings.__required_keys__ - WIRED


def test_a_wrong_or_missing_setting_is_an_error_in_python_too():
    conf = keywords("digits") | {"pixels": Pixels(32, 1, (0.5,), (0.5,)), "seed": 0}
    with pytest.raises(TypeError, match=r"Digits\(\) got an unexpected keyword argument: shot$"):
        Digits(**conf, shot=5)  # type: ignore[call-arg]
    del conf["batch_size"]
    with pytest.raises(TypeError, match=r"Digits\(\) misses keyword arguments: batch_size$"):
        Digits(**conf)


@pytest.mark.parametrize("name", ["image_folder", "table", "hugging_face", "torchvision", "webdataset"])
def test_how_files_become_pixels_changes_no_hash_of_an_earlier_run(name):
    conf = data_conf(name)
    shared = {key: conf[key] for key in ("value_range", "background", "max_pixels", "box")}
    decoder = decoder_like({}, Pixels(8, 3, (0.5,) * 3, (0.5,) * 3), resize=None)
    assert shared == {key: getattr(decoder, key) for key in shared}
    assert not shared.keys() & without_later(conf).keys()
    assert without_later(conf | {"background": 0})["background"] == 0


@pytest.mark.parametrize("file", AUGMENTATIONS, ids=lambda file: file.stem)
def test_an_augmentation_is_the_call_and_gives_images_of_the_same_shape(file):
    conf = OmegaConf.to_container(OmegaConf.load(file))
    name = conf.pop("_target_")
    target = locate(name)
    parameters = set(inspect.signature(target).parameters)
    assert set(conf) == parameters if name.startswith("headstart.") else set(conf) <= parameters
    image = torch.rand(8, 1, 32, 32)
    made = as_augmentation(target(**conf))(image, ImageRng(seed=0, epoch=[0] * 8, position=range(8)))
    assert made.shape == image.shape
    assert not torch.equal(made, image)
