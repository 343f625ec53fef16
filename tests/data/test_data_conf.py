"""Each file of conf/data and conf/augment names exactly what its target takes."""

import inspect
from pathlib import Path
from pydoc import locate

import pytest
import torch
from omegaconf import OmegaConf

from headstart.data.datasets.image_datamodule import Images
from headstart.data.decoding.image_decoding import decoder_like
from headstart.data.loading.image_seed import Chance
from headstart.runs.saved.settings_added_later import without_later
from headstart.types import Pixels

CONF = Path(__file__).parents[2] / "conf"
# those that are short for another file have no target of their own; tests/conf holds them to the command line
FILES = [file for file in sorted((CONF / "data").glob("*.yaml")) if "_target_" in file.read_text(encoding="utf-8")]
# which need files, and some a library: their own tests make them
ELSEWHERE = {"torchvision", "table", "hugging_face", "webdataset"}
# standard is made of others: test_augment_options.py composes it
AUGMENTATIONS = [file for file in sorted((CONF / "augment").glob("*.yaml")) if file.stem != "standard"]
WIRED = {"pixels", "seed"}  # from the backbone and the run


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_yaml_is_the_call(file, class_folders):
    conf = OmegaConf.to_container(OmegaConf.load(file))
    if conf.get("root") == "???":
        conf["root"] = str(class_folders())
    target = locate(conf.pop("_target_"))
    parameters = inspect.signature(target).parameters
    assert set(conf) == set(parameters) - WIRED
    assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert {parameter.default for parameter in parameters.values()} == {inspect.Parameter.empty}
    if file.stem in ELSEWHERE:
        return
    data = target(**conf, pixels=Pixels(size=32, channels=1, mean=(0.5,), std=(0.5,)), seed=0)
    assert isinstance(data, Images)
    assert data.num_classes == len(data.class_names)


@pytest.mark.parametrize("name", ["image_folder", "table", "hugging_face", "torchvision", "webdataset"])
def test_how_files_become_pixels_is_the_same_in_each_data_set_and_changes_no_hash_of_an_earlier_run(name):
    conf = OmegaConf.to_container(OmegaConf.load(CONF / "data" / f"{name}.yaml"))
    shared = {key: conf[key] for key in ("value_range", "background", "max_pixels")}
    decoder = decoder_like({}, Pixels(8, 3, (0.5,) * 3, (0.5,) * 3), resize=None)
    assert shared == {key: getattr(decoder, key) for key in shared}
    assert not shared.keys() & without_later(conf).keys()
    assert without_later(conf | {"background": 0})["background"] == 0


@pytest.mark.parametrize("file", AUGMENTATIONS, ids=lambda file: file.stem)
def test_an_augmentation_is_the_call_and_gives_images_of_the_same_shape(file):
    conf = OmegaConf.to_container(OmegaConf.load(file))
    target = locate(conf.pop("_target_"))
    assert set(conf) == set(inspect.signature(target).parameters)
    image = torch.rand(3, 1, 32, 32)
    made = target(**conf)(image, Chance(seed=0, epoch=[0] * 3, position=range(3)))
    assert made.shape == image.shape
    assert not torch.equal(made, image)
