"""task=evaluate is right about a run's model, in whatever order the classes of the data are."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from sklearn.metrics import classification_report
from torchmetrics.functional.classification import multiclass_calibration_error

from composed import TINY
from headstart.cli import main
from headstart.evaluation.single_label_evaluation import SingleLabelEvaluation
from headstart.features.embedding_file import read
from headstart.runs.model_parts.assembly import assembled
from headstart.runs.saved.finished_run import run_config

CLASSES = ("ants", "bees", "cats")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Of three classes of noise around a brightness, which overlap: some answers are wrong."""
    folder, chance = tmp_path_factory.mktemp("evaluate"), np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 6), ("test", 12)):
        for number, name in enumerate(CLASSES):
            (folder / "photos" / split / name).mkdir(parents=True)
            for image in range(count):
                grey = (chance.normal(90 + 40 * number, 30) + chance.normal(0, 30, (16, 16))).clip(0, 255)
                path = folder / "photos" / split / name / f"{image:02}.png"
                Image.fromarray(grey.astype(np.uint8)).save(path)
    shutil.copy(folder / "photos" / "train" / "ants" / "00.png", folder / "photos" / "train" / "bees" / "=00.png")
    data = ["data@target=image_folder", f"target.root={folder}/photos", "target.batch_size=8"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*TINY, *data, "mode=scratch", "trainer.max_epochs=3", "backbone.size=16"]) == 0
    (run,) = Path(folder, "outputs", "runs").iterdir()
    return run


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def evaluated(run, *overrides, file="evaluate-test.json"):
    assert main(["task=evaluate", f"evaluate.run_dir={run}", *overrides]) == 0
    (found,) = run.glob(file)
    return json.loads(found.read_text())


def live(run):
    """Logits, labels and names of the test images, of the model as it was trained."""
    parts = assembled(run_config(run))
    parts.data.setup("test")
    parts.module.load_state_dict(torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"])
    batches = list(parts.data.plain_dataloader("test"))
    with torch.no_grad():
        logits = torch.cat([parts.module.eval()(batch.image) for batch in batches])
    return logits, torch.cat([batch.label for batch in batches]), parts.data.names("test")


def test_the_figures_are_those_of_scikit_learn_and_torchmetrics_on_the_models_logits(run):
    found, (logits, label, names) = evaluated(run), live(run)
    predicted = logits.argmax(dim=1)
    assert 0 < (predicted == label).sum() < 36  # else there would be nothing to see
    report = classification_report(label, predicted, target_names=CLASSES, output_dict=True, zero_division=0)
    for name in CLASSES:
        want = {"f1" if key == "f1-score" else key: value for key, value in report[name].items()}
        assert found["classes"][name] == pytest.approx(want | {"accuracy": want["recall"]})
    error = multiclass_calibration_error(logits, label, 3, n_bins=15).item()
    assert found["calibration"]["error"] == pytest.approx(error, abs=1e-6)
    assert found["metrics"]["test/calibration_error"] == pytest.approx(error, abs=1e-6)
    assert sum(one["images"] for one in found["calibration"]["bins"]) == 36
    assert np.sum(found["confusion"]) == 36
    assert found["confusion"][0][2] == int(((label == 0) & (predicted == 2)).sum())

    wrong = [i for i in logits.softmax(1).amax(1).argsort(descending=True).tolist() if predicted[i] != label[i]]
    assert [one["file"] for one in found["worst"]] == [names[i] for i in wrong[:20]]
    for one, i in zip(found["worst"], wrong, strict=False):
        assert (one["true"], one["predicted"]) == (CLASSES[label[i]], CLASSES[predicted[i]])
        assert one["probability"] == pytest.approx(logits.softmax(1).amax(1)[i].item(), abs=1e-5)


def test_classes_are_found_by_name_where_the_data_has_some_of_them_at_other_places(run, tmp_path):
    """Without ants, bees are the first class of the data, and still the second of the run."""
    whole = evaluated(run)
    for split in ("train", "val", "test"):
        for name in ("bees", "cats"):
            shutil.copytree(run.parents[2] / "photos" / split / name, tmp_path / "some" / split / name)
    other = ["data@evaluate.data=image_folder", "evaluate.data.root=some"]
    found = evaluated(run, *other, "evaluate.split=test", file="evaluate-some-test-24-images-*.json")
    assert list(found["classes"]) == ["bees", "cats"]
    for name in ("bees", "cats"):
        assert found["classes"][name]["recall"] == whole["classes"][name]["recall"]
    assert found["confusion"] == [[0, 0, 0], *whole["confusion"][1:]]
    assert found["images"] == 24
    right = found["confusion"][1][1] + found["confusion"][2][2]
    assert found["metrics"]["test/accuracy"] == pytest.approx(right / 24)


def test_the_runs_folder_has_a_table_of_the_images_that_are_there_twice(run):
    assert (run / "duplicates.csv").read_text().splitlines() == [
        "group,kind,split,file,label,difference",
        "1,copy,train,train/ants/00.png,ants,0.0",
        "1,copy,train,train/bees/=00.png,bees,0.0",
    ]


@pytest.fixture
def lone(run, tmp_path):
    """The test images of the run, in class folders alone."""
    shutil.copytree(run.parents[2] / "photos" / "test", tmp_path / "lone")
    return ["data@evaluate.data=image_folder", "evaluate.data.root=lone"]


def test_other_data_are_evaluated_whole_and_the_files_say_which_and_how_many(run, lone):
    whole, found = evaluated(run), evaluated(run, *lone, file="evaluate-lone-36-images-*.json")
    assert (found["images"], found["split"], found["data"]["root"]) == (36, "all", "lone")
    assert found["metrics"] == pytest.approx(whole["metrics"])
    assert found["confusion"] == whole["confusion"]
    assert len(list(run.glob("evaluate-lone-36-images-*-confusion.png"))) == 1
    assert evaluated(run)["images"] == 36  # the run's own file is still there


def test_a_table_of_test_rows_alone_is_evaluated_whole(run, lone, tmp_path):
    rows = [f"{file.relative_to(tmp_path)},{file.parent.name},test" for file in (tmp_path / "lone").rglob("*.png")]
    (tmp_path / "rows.csv").write_text("\n".join(["path,label,part", *rows]))
    other = ["data@evaluate.data=table", "evaluate.data.table=rows.csv", "evaluate.data.split_column=part"]
    found = evaluated(run, *other, file="evaluate-rows.csv-36-images-*.json")
    assert found["metrics"] == pytest.approx(evaluated(run)["metrics"])
    views = evaluated(run, *other, "tta@evaluate.tta=five_crops", file="evaluate-rows.csv-36-images-*-tta.json")
    assert (views["images"], views["tta"]["views"]) == (36, 5)


def test_a_split_that_would_be_drawn_from_other_data_and_a_target_that_nobody_reads_are_refused(run, lone, capsys):
    command = ["task=evaluate", f"evaluate.run_dir={run}"]
    assert main([*command, *lone, "evaluate.split=test"]) == 2
    assert "evaluate.split must be a split that the data come with, one of train, got test" in capsys.readouterr().err
    assert main([*command, "data@target=image_folder", "target.root=lone"]) == 2
    said = capsys.readouterr().err
    assert "task=evaluate looks at the run's own target, so that data@target=image_folder would not be read" in said
    assert "evaluate.data.root" in said


@pytest.mark.slow
def test_embed_and_explain_look_at_all_images_of_other_data(run, lone):
    given = [f"embed.run_dir={run}", *(word.replace("evaluate", "embed") for word in lone), "embed.out_dir=rows"]
    assert main(["task=embed", *given]) == 0
    (file,) = Path("rows").iterdir()
    assert file.name == "all.safetensors"
    assert len(read(file).names) == 36
    given = [f"explain.run_dir={run}", *(word.replace("evaluate", "explain") for word in lone), "explain.out_dir=page"]
    assert main(["task=explain", *given, "picture=[top_activations]", "explain.tensorboard=false"]) == 0
    assert "all of ImageFolder" in Path("page", "gallery.html").read_text()


def test_a_class_that_the_run_does_not_have_is_named_beside_both_lists(run, tmp_path, capsys):
    shutil.copytree(run.parents[2] / "photos", tmp_path / "more")
    for split in ("train", "val", "test"):
        (tmp_path / "more" / split / "ants").rename(tmp_path / "more" / split / "dogs")
    assert main(["task=evaluate", f"evaluate.run_dir={run}", "data@evaluate.data=image_folder",
                 "evaluate.data.root=more"]) == 2  # fmt: skip
    said = capsys.readouterr().err
    assert "the run's classes are ants, bees, cats; those of evaluate.data are bees, cats, dogs" in said
    assert "does not know dogs" in said


def test_pictures_lie_beside_the_figures_and_none_of_wrong_answers_where_none_is_asked_for(run):
    evaluated(run, "evaluate.split=val", file="evaluate-val.json")
    for name in ("confusion", "calibration", "worst"):
        with Image.open(run / f"evaluate-val-{name}.png") as picture:
            assert min(picture.size) > 100
    found = evaluated(run, "evaluate.split=val", "evaluate.worst=0", file="evaluate-val.json")
    assert found["worst"] == []
    assert not (run / "evaluate-val-worst.png").exists()


@pytest.mark.slow
def test_the_precision_is_that_of_the_run(run, tmp_path, monkeypatch):
    shutil.copytree(run, tmp_path / "half")
    config = tmp_path / "half" / ".hydra" / "config.yaml"
    config.write_text(config.read_text().replace("precision: 32-true", "precision: bf16-mixed"))
    used, test = [], pl.Trainer.test
    monkeypatch.setattr(pl.Trainer, "test", lambda self, *a, **k: (used.append(self.precision), test(self, *a, **k)))
    evaluated(tmp_path / "half")
    evaluated(run)
    assert used == ["bf16-mixed", "32-true"]


def test_no_line_is_longer_than_a_terminal_is_wide():
    names = tuple(f"a class with a very long name, number {number}" for number in range(40))
    logits = torch.randn(90, 40, generator=torch.Generator().manual_seed(0))
    label = torch.arange(90) % 40
    files = [f"test/{'deep/' * 40}{number}.jpg" for number in range(90)]
    lines = SingleLabelEvaluation(logits, label, files, names, tuple(range(40))).lines()
    assert max(len(line) for line in lines) <= 120
    assert "These are the 30 with the lowest F1; the file has the other 10." in lines
    assert any(line.startswith("...") and ".jpg  a class with" in line for line in lines)


def test_a_checkpoint_that_is_not_there_is_named(run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "best.ckpt").unlink()
    assert main(["task=evaluate", "evaluate.run_dir=run"]) == 2
    assert "there is no run/checkpoints/best.ckpt" in capsys.readouterr().err
