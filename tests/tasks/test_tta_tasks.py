"""evaluate and predict give the mean over views of each image."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import ten_crop

from composed import TINY
from headstart.backbones.stages import Backbone
from headstart.cli import main
from headstart.data.decoding.image_decoding import decoder_of
from headstart.runs.model_parts.assembly import assembled
from headstart.runs.saved.finished_run import run_config

CLASSES = ("ants", "bees")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Photos that are dark on the left or on the right, so to speak, and a run that has seen them."""
    folder, chance = tmp_path_factory.mktemp("tta"), np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 4), ("test", 10)):
        for name in CLASSES:
            (folder / "photos" / split / name).mkdir(parents=True)
            for image in range(count):
                ramp = np.linspace(60, 200, 40)[None] * np.ones((36, 1))
                grey = (ramp if name == "ants" else ramp[:, ::-1]) + chance.normal(0, 60, (36, 40))
                path = folder / "photos" / split / name / f"{image:02}.png"
                Image.fromarray(grey.clip(0, 255).astype(np.uint8)).save(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        data = ["data@target=image_folder", "target.root=photos", "target.num_workers=0", "target.batch_size=8"]
        more = ["mode=scratch", "trainer.max_epochs=3", "backbone.size=16", "optimizer.lr=0.01", "logger=csv"]
        assert main([*TINY, *data, *more]) == 0
    (made,) = (folder / "outputs" / "runs").iterdir()
    (folder / "run").symlink_to(made)
    return folder


@pytest.fixture(autouse=True)
def here(place, monkeypatch):
    monkeypatch.chdir(place)


def evaluated(*overrides, file="evaluate-test-tta.json"):
    assert main(["task=evaluate", "evaluate.run_dir=run", "trainer.accelerator=cpu", *overrides]) == 0
    return json.loads(Path("run", file).read_text())


def model():
    parts = assembled(run_config(Path("run")))
    state = torch.load("run/checkpoints/best.ckpt", weights_only=True)["state_dict"]
    parts.module.load_state_dict(state)
    return parts.module.eval()


def by_hand(path):
    """The mean probabilities over torchvision's ten crops of the file, in the classes' order."""
    net = model()
    larger = decoder_of(net.backbone.pixels._replace(size=18, resize=18), resize=None, reduced=True)(Path(path))
    image = torch.from_numpy(larger.copy())[None]
    with torch.no_grad():
        return torch.stack([net(view[None]).softmax(1)[0] for view in ten_crop(image, [16, 16])]).mean(0)


@pytest.mark.slow
def test_ten_crops_are_the_mean_of_the_softmax_of_torchvisions_crops_in_both_tasks():
    found = evaluated("tta@evaluate.tta=ten_crops", "evaluate.worst=20")
    tta = ["task=predict", "predict.run_dir=run", "tta@predict.tta=ten_crops", "trainer.accelerator=cpu"]
    assert main([*tta, "predict.images=photos/test", "predict.out=ten.csv", "predict.batch_size=3"]) == 0
    with Path("ten.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 20
    right, loss = 0, 0.0
    for row in rows:
        want = by_hand(row["file"])
        true = CLASSES.index(Path(row["file"]).parent.name)
        assert [float(row[f"p({name})"]) for name in CLASSES] == pytest.approx(want.tolist(), abs=2e-6)
        right += int(want.argmax() == true)
        loss -= want[true].log().item()
    assert found["metrics"]["test/accuracy"] == pytest.approx(right / 20)
    assert found["metrics"]["test/loss"] == pytest.approx(loss / 20, rel=1e-4)
    assert found["tta"]["kind"] == "headstart.evaluation.views.ten_crops.TenCrops"
    assert found["tta"]["views"] == 10
    for one in found["worst"]:
        (row,) = [row for row in rows if Path(row["file"]).parts[-2:] == Path(one["file"]).parts[-2:]]
        assert one["probability"] == pytest.approx(float(row["probability"]), abs=2e-6)


def test_figures_with_and_without_views_stand_side_by_side(capsys):
    plain = evaluated(file="evaluate-test.json")
    capsys.readouterr()
    found = evaluated("tta@evaluate.tta=flip")
    said = capsys.readouterr().out
    assert found["metrics_without_tta"] == plain["metrics"]
    assert json.loads(Path("run/evaluate-test.json").read_text()) == plain  # the file without views is as it was
    gain = found["metrics"]["test/accuracy"] - plain["metrics"]["test/accuracy"]
    assert (found["tta"]["gained"] - found["tta"]["lost"]) / 20 == pytest.approx(gain)
    assert gain != 0  # or there would be nothing to see: left and right are the classes here
    (line,) = [line for line in said.splitlines() if line.startswith("test/accuracy")]
    figures = [plain["metrics"]["test/accuracy"], found["metrics"]["test/accuracy"], gain]
    assert [float(figure) for figure in line.split()[1:]] == pytest.approx(figures, abs=1e-4)
    assert np.sum(found["confusion"]) == 20


def test_one_view_that_is_the_image_changes_no_figure(place):
    (place / "my_view.py").write_text(
        "class Itself:\n    larger = 1\n    def __call__(self, image, size):\n        return [image]\n"
    )
    one = evaluated("+evaluate.tta._target_=my_view.Itself")
    assert one["tta"] == {"kind": "my_view.Itself", "views": 1, "gained": 0, "lost": 0}
    assert one["metrics"] == pytest.approx(one["metrics_without_tta"], abs=1e-6)


def test_a_flip_changes_no_figure_of_a_model_that_sees_no_sides(monkeypatch):
    forward = Backbone.forward

    def blind(self, x, start=0):
        return forward(self, x, start) + forward(self, x.flip(-1), start)

    monkeypatch.setattr(Backbone, "forward", blind)
    found = evaluated("tta@evaluate.tta=flip")
    assert found["metrics"] == pytest.approx(found["metrics_without_tta"], abs=1e-5)
    assert found["tta"]["gained"] == found["tta"]["lost"] == 0


@pytest.mark.slow
def test_data_that_are_no_files_are_looked_at_too(capsys):
    assert main([*TINY, "mode=scratch", "trainer.max_epochs=1", "logger=csv", "hydra.run.dir=digits"]) == 0
    assert main(["task=evaluate", "evaluate.run_dir=digits", "tta@evaluate.tta=five_crops"]) == 0
    found = json.loads(Path("digits/evaluate-test-tta.json").read_text())
    assert found["tta"]["views"] == 5
    assert "one view   5 views  difference" in capsys.readouterr().out


def test_views_of_ones_own_are_any_class_with_larger_and_a_call(place):
    (place / "my_views.py").write_text(
        "class Upside:\n"
        "    larger = 1\n"
        "    def __call__(self, image, size):\n"
        "        return [image, image.flip(-2), image.flip(-1)]\n"
    )
    found = evaluated("+evaluate.tta._target_=my_views.Upside")
    assert found["tta"]["kind"] == "my_views.Upside"
    assert found["tta"]["views"] == 3


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            ["evaluate.tta=flip"],
            "evaluate.tta must be a mapping or null, got flip; an option is chosen by tta@evaluate",
        ),
        (["tta@evaluate.tta=flop"], "did you mean tta@evaluate.tta=flip?"),
        (["tta@evaluate.tta=ten_crops", "evaluate.tta.larger=0.5"], "must be a number at least 1, got 0.5"),
        (["+evaluate.tta._target_=builtins.dict"], "tta must be null or make views of images"),
    ],
)
def test_views_that_cannot_be_are_told(overrides, told, capsys):
    assert main(["task=evaluate", "evaluate.run_dir=run", *overrides]) == 2
    assert told in capsys.readouterr().err
