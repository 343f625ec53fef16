"""A candidate's text, in each of its forms, as overrides."""

from types import SimpleNamespace

import pytest

from headstart.runs.candidates.candidate_overrides import candidate_overrides, replaced, source_overrides
from headstart.types import UserError

COMPOSER = SimpleNamespace(options=lambda group: {"backbone": ["resnet18", "small_cnn"], "data": ["printed"]}[group])


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "overrides"),
    [
        ("resnet18", ["backbone=resnet18", "weights=pretrained"]),
        ("timm:vit_tiny.augreg", ["backbone=timm", "backbone.name='vit_tiny.augreg'", "weights=pretrained"]),
        ("torchvision:resnet34 weights.name=V1", [
            "backbone=torchvision", "backbone.name='resnet34'", "weights=pretrained", "weights.name=V1",
        ]),
        ("source:printed source.characters=letters", [
            "data@source=printed", "weights=source", "source.characters=letters",
        ]),
        ("backbone=small_cnn weights.seed=1", ["backbone=small_cnn", "weights.seed=1"]),
        ("source.classes=[A, B] weights.seed=1", ["source.classes=[A, B]", "weights.seed=1"]),
        ("https://host/w.pth", ["weights=file", "weights.path='https://host/w.pth'"]),
    ],
)  # fmt: skip
def test_each_form_is_overrides(text, overrides):
    assert candidate_overrides(text, COMPOSER).overrides == overrides


def test_a_file_and_the_folder_of_a_run_are_weights_of_a_file(tmp_path):
    (tmp_path / "my weights.pth").touch()
    found = candidate_overrides("my weights.pth", COMPOSER)
    assert found.overrides == ["weights=file", "weights.path='my weights.pth'"]
    (tmp_path / "run,seed=1").mkdir()
    (tmp_path / "run,seed=1" / "result.json").touch()
    found = candidate_overrides("run,seed=1", COMPOSER)
    assert found.run is not None
    assert found.overrides == ["weights=file", "weights.path='run,seed=1/checkpoints/best.ckpt'"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("resnet19", "did you mean resnet18"),
        ("absent.pth", "there is no absent.pth"),
        ("source:printd", "did you mean source:printed"),
        ("timm:", "names nothing behind timm:"),
        ("", "empty"),
        ("resnet18 deep", "deep is no override"),
        ("source.classes='A", "quote"),
    ],
)
def test_what_is_no_candidate_is_said_in_a_line(text, said):
    with pytest.raises(UserError, match=said) as error:
        candidate_overrides(text, COMPOSER)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "overrides"),
    [
        ("source:printed", ["data@source=printed"]),
        ("source:printed source.characters=letters", ["data@source=printed", "source.characters=letters"]),
        ("source.classes=[A, B]", ["source.classes=[A, B]"]),
        ("data@source=image_folder source.root='my photos'", ["data@source=image_folder", "source.root='my photos'"]),
    ],
)
def test_a_source_data_set_is_overrides_of_the_source_alone(text, overrides):
    assert source_overrides(text, COMPOSER) == overrides


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("resnet18", "resnet18 is no override"),
        ("source:", "names nothing behind source:"),
        ("source:printd", "did you mean source:printed"),
        ("backbone=small_cnn source.per_class=3", "backbone=small_cnn is no setting of a source data set"),
        ("source.per_class=3 target.shots=3", "target.shots=3 is no setting of a source data set"),
        ("sourceful.root=x", "is no setting of a source data set"),
        ("source.classes='A", "quote"),
    ],
)
def test_what_is_no_source_data_set_is_said_in_a_line_with_the_forms(text, said):
    with pytest.raises(UserError, match=said) as error:
        source_overrides(text, COMPOSER)
    assert "\n" not in str(error.value)


def test_settings_of_the_part_that_a_candidate_replaces_are_left_out():
    given = ["backbone=small_cnn", "backbone.width=8", "weights.max_epochs=3", "source.per_class=9", "seed=1"]
    choices = {"backbone": "small_cnn", "weights": "source", "data@source": "printed"}
    other = replaced(given, ["backbone=resnet18", "weights=pretrained"], choices)
    assert other == ["source.per_class=9", "seed=1", "backbone=resnet18", "weights=pretrained"]
    same = replaced(given, ["source.characters=letters", "weights=source"], choices)
    assert same == [*given, "weights=source", "source.characters=letters"]
