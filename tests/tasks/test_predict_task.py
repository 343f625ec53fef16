"""A file's prediction is what the run's model says of that image."""

import csv
import json
import shutil
from io import StringIO
from pathlib import Path

import pytest
import torch

from composed import TINY
from headstart.cli import main
from headstart.data.decoding.image_decoding import Decoder
from headstart.system.files.csv_cells import uncelled
from headstart.tasks.predict import Prediction, _Csv
from photos import CLASSES, three_classes


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with photos, so to speak, and a run that has learned from them."""
    folder = tmp_path_factory.mktemp("predict")
    three_classes(folder, 12)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run = [*TINY, "mode=scratch", "data@target=image_folder", "target.root=photos", "target.num_workers=0"]
        assert main([*run, "optimizer.lr=0.01", "trainer.max_epochs=8", "target.resize=36"]) == 0
    (made,) = (folder / "outputs" / "runs").iterdir()
    (folder / "run").symlink_to(made)  # the log's handler has it open
    return folder


@pytest.fixture(autouse=True)
def here(place, monkeypatch):
    monkeypatch.chdir(place)


def predicted(*overrides):
    return main(["task=predict", "predict.run_dir=run", "trainer.accelerator=cpu", *overrides])


def lines(file):
    with Path(file).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def by_hand(path):
    """The probabilities, from the checkpoint's numbers and the pixels, without headstart's modules around them."""
    from headstart.backbones.zoo.small_cnn import small_cnn

    state = torch.load("run/checkpoints/best.ckpt", weights_only=True)["state_dict"]
    net = small_cnn(width=4, size=32, channels=1, keep=None).eval()
    net.load_state_dict({k.removeprefix("backbone."): t for k, t in state.items() if k.startswith("backbone.")})
    pixels = torch.from_numpy(Decoder(32, 36, 1, reduced=True)(Path(path)).copy())
    image = (pixels.float() / 255 - 0.5) / 0.5
    with torch.no_grad():
        features = net(image[None, None])
    head = {key.rpartition(".")[2]: tensor for key, tensor in state.items() if key.startswith("head.")}
    return (features @ head["weight"].T + head["bias"]).softmax(dim=1)[0]


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_each_file_has_the_probabilities_that_the_checkpoints_numbers_give(batch_size):
    assert predicted("predict.images=photos", f"predict.batch_size={batch_size}", "predict.out=all.csv") == 0
    found = lines("all.csv")
    assert [line["file"] for line in found] == sorted(str(path) for path in Path("photos").rglob("*.png"))
    for line in found[::7]:
        want = by_hand(line["file"])
        assert [float(line[f"p({name})"]) for name in CLASSES] == pytest.approx(want.tolist(), abs=2e-6)
        assert line["predicted"] == CLASSES[int(want.argmax())]
        assert float(line["probability"]) == pytest.approx(float(want.max()), abs=2e-6)
        assert line["error"] == ""


def test_a_cell_that_a_spreadsheet_would_compute_is_text_and_numbers_stay_numbers():
    stream, names = StringIO(), ("=cmd", "-1", "bees")
    table = _Csv(stream, names, None)
    for name, probabilities in (("=1+1.png", (0.5, 0.2, 0.3)), ("a.png", (0.1, 0.6, 0.3)), ("@x.png", ())):
        table.write(Prediction(name, probabilities, "" if probabilities else "-y is no image"))
    one, two, three = csv.DictReader(stream.getvalue().splitlines())
    assert (one["file"], one["predicted"], one["probability"]) == ("'=1+1.png", "'=cmd", "0.500000")
    assert (two["file"], two["predicted"], two["p(-1)"]) == ("a.png", "-1", "0.600000")
    assert (three["file"], three["error"]) == ("'@x.png", "'-y is no image")
    assert uncelled(one["file"]) == "=1+1.png"
    several = StringIO()
    _Csv(several, names, "|").write(Prediction("a.png", (0.9, 0.9, 0.1)))
    assert several.getvalue().splitlines()[1].startswith("a.png,'=cmd|-1,")


def test_json_says_the_same_as_csv_and_lies_in_the_runs_folder():
    assert predicted("predict.images=photos/dark") == 0
    assert predicted("predict.images=photos/dark", "predict.format=json") == 0
    rows, objects = lines("run/predictions.csv"), json.loads(Path("run/predictions.json").read_text(encoding="utf-8"))
    assert [(one["file"], one["predicted"]) for one in objects] == [(row["file"], row["predicted"]) for row in rows]
    for one, row in zip(objects, rows, strict=True):
        assert one["probabilities"] == {name: float(row[f"p({name})"]) for name in CLASSES}


def test_a_file_and_a_pattern_name_images_too():
    assert predicted("predict.images=photos/light/3.png", "predict.out=one.csv") == 0
    assert [line["file"] for line in lines("one.csv")] == ["photos/light/3.png"]
    assert predicted('predict.images="photos/*/1.png"', "predict.out=three.csv") == 0
    assert [line["file"] for line in lines("three.csv")] == [f"photos/{name}/1.png" for name in CLASSES]


def test_the_data_of_the_run_need_not_be_there_any_more():
    shutil.copytree("photos/ramp", "elsewhere", dirs_exist_ok=True)
    Path("photos").rename("gone")
    try:
        assert predicted("predict.images=elsewhere", "predict.out=later.csv") == 0
    finally:
        Path("gone").rename("photos")
    assert len(lines("later.csv")) == 12


def test_a_file_that_cannot_be_read_is_an_error_that_leaves_no_half_file(capsys):
    mixed = Path(shutil.copytree("photos/dark", "mixed", dirs_exist_ok=True))
    (mixed / "5b.png").write_bytes(b"no image")
    assert predicted("predict.images=mixed", "predict.out=broken.csv") != 0
    told = capsys.readouterr().err
    assert "5b.png is no image that can be read" in told
    assert "predict.unreadable=skip" in told
    assert not list(Path().glob("broken.csv*"))
    assert predicted("predict.images=mixed", "predict.out=broken.csv", "predict.unreadable=skip") == 0
    found = {Path(line["file"]).name: line for line in lines("broken.csv")}
    assert len(found) == 13
    assert "no image that can be read" in found["5b.png"]["error"]
    assert found["5b.png"]["predicted"] == found["5b.png"]["probability"] == ""
    assert all(line["predicted"] for name, line in found.items() if name != "5b.png")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["predict.images=nowhere"], "got nowhere: it is not there"),
        (["predict.images='no*where'"], "nothing matches"),
        (["predict.images=run/checkpoints"], "no image lies in it"),
        (["predict.images=photos", "predict.run_dir=photos"], "must be the folder of a finished run"),
        (["predict.images=photos", "predict.checkpoint=lst"], "best"),
    ],
)
def test_what_cannot_be_is_told(overrides, told, capsys):
    assert predicted(*overrides) != 0
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_file_that_holds_no_predictions_is_not_replaced(capsys, kind):
    Path("labels").write_text("file,label\nphotos/light/3.png,light\n")
    one = ["predict.images=photos/light/3.png", f"predict.format={kind}"]
    assert predicted(*one, "predict.out=labels") == 2
    assert "labels holds something other than predictions" in capsys.readouterr().err
    assert Path("labels").read_text().startswith("file,label")
    assert [predicted(*one, "predict.out=new") for _ in range(2)] == [0, 0]
