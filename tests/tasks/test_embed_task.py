"""Features in the files are the model's, each in the row of its image."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from composed import TINY, composed, run_by_command
from headstart.backbones.stages import pooled
from headstart.cli import main
from headstart.features.embedding_file import read
from headstart.features.pca import directions
from headstart.runs.probing.frozen_features import frozen

RUN = [*TINY, "mode=scratch", "trainer.max_epochs=1", "target.shots=3"]
EMBED = ["task=embed", *RUN]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return run_by_command(RUN, tmp_path_factory.mktemp("made"))


@pytest.fixture
def run(made):
    """A copy of the run in a working folder of the test's own."""
    return Path(shutil.copytree(made, Path("outputs", "runs", made.name)))


def live(model, split, stage):
    """What a stage gives of a split's images, one by one through the backbone, and their labels."""
    backbone, rows, labels = model.parts.backbone.eval(), [], []
    for batch in model.parts.data.plain_dataloader(split):
        x = batch.image
        whole = torch.nn.Sequential(*list(backbone.stages.values())[: model.stages.index(stage) + 1])
        if x.dtype == torch.uint8:
            mean, std = (torch.tensor(v)[:, None, None] for v in (backbone.pixels.mean, backbone.pixels.std))
            x = (x / 255 - mean) / std
        with torch.no_grad():
            rows.append(pooled(whole(x)))
        labels.append(batch.label)
    return torch.cat(rows), torch.cat(labels)


@pytest.mark.parametrize("store", ["default", pytest.param("off", marks=pytest.mark.slow)])
def test_each_row_is_what_the_runs_best_model_makes_of_the_image_of_that_name(run, store):
    assert main(["task=embed", f"embed.run_dir={run}", "embed.stages=[stage4,stage2]", f"feature_cache={store}"]) == 0
    model = frozen(composed(), str(run))
    for split in ("train", "val", "test"):
        found = read(run / "embeddings" / f"{split}.safetensors")
        assert list(found.features) == ["stage2", "stage4"]
        for stage, rows in found.features.items():
            want, labels = live(model, split, stage)
            torch.testing.assert_close(rows, want, atol=1e-5, rtol=1e-5)
            assert torch.equal(found.label, labels)
        assert found.names == tuple(model.parts.data.names(split))
        assert found.class_names == tuple(model.parts.data.class_names)
        assert found.about["run"] == run.as_posix()


def test_without_a_run_it_is_the_model_of_the_command_in_a_folder_of_its_hash():
    assert main([*EMBED, "embed.splits=[val]", "embed.format=npz"]) == 0
    (folder,) = Path("outputs", "embeddings").iterdir()
    assert folder.name.startswith("digits,small_cnn-")
    assert [path.name for path in folder.iterdir()] == ["val.npz"]
    want, _ = live(frozen(composed("mode=scratch", "target.shots=3"), None), "val", "stage4")
    torch.testing.assert_close(read(folder / "val.npz").features["stage4"], want, atol=1e-5, rtol=1e-5)


def test_other_data_go_through_the_runs_model(run):
    other = ["data@embed.data=printed", "embed.data.per_class=3", "embed.data.val_per_class=2"]
    assert main(["task=embed", f"embed.run_dir={run}", *other, "embed.splits=[val]", "embed.out_dir=other"]) == 0
    found = read(Path("other", "val.safetensors"))
    assert len(found.label) == 2 * len(found.class_names)
    assert found.about["data"] == "other"


def test_pca_is_fitted_on_the_training_images_alone_also_where_only_others_are_wanted(run):
    command = ["task=embed", f"embed.run_dir={run}"]
    assert main([*command, "embed.out_dir=whole"]) == 0
    assert main([*command, "embed.out_dir=few", "embed.pca=5", "embed.splits=[val]"]) == 0
    assert [path.name for path in Path("few").iterdir()] == ["val.safetensors"]
    train, val = (read(Path("whole", f"{split}.safetensors")).features["stage4"] for split in ("train", "val"))
    few = read(Path("few", "val.safetensors"))
    found = directions(train, 5)
    torch.testing.assert_close(few.features["stage4"], found.of(val), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(few.directions["stage4"].share, found.share, atol=1e-5, rtol=1e-5)
    assert few.about["pca"]["stage4"] == pytest.approx(float(found.share.sum()), abs=1e-5)


def test_the_projector_shows_the_first_images_of_each_split(run):
    command = ["task=embed", f"embed.run_dir={run}", "embed.splits=[val]", "embed.projector=true"]
    assert main([*command, "embed.projector_images=7"]) == 0
    (tsv,) = (run / "embeddings" / "projector" / "val").rglob("tensors.tsv")
    rows = np.loadtxt(tsv, delimiter="\t")
    features = read(run / "embeddings" / "val.safetensors")
    np.testing.assert_allclose(rows, features.features["stage4"][:7], rtol=1e-4, atol=1e-6)
    metadata = tsv.with_name("metadata.tsv").read_text().splitlines()[1:]
    assert metadata == [f"{features.class_names[n]}\t{features.names[i]}" for i, n in enumerate(features.label[:7])]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("embed.stages=[stage9]", "the stages are stage1, stage2, stage3, stage4, got 'stage9'"),
        ("embed.stages=[]", "embed.stages must name one at least"),
        ("embed.splits=[]", "embed.splits must name one at least"),
        ("embed.splits=[vall]", "embed.splits must be"),
        ("embed.pca=99", "embed.pca must be 1 to 29 for stage stage4 (features of width 32 of 30 training images)"),
        ("embed.format=csv", "embed.format must be"),
        ("embed.run_dir=nowhere", "must be the folder of a finished run"),
    ],
)
def test_a_mistake_is_one_line(override, said, capsys):
    assert main([*EMBED, override]) == 2
    assert said in capsys.readouterr().err
    assert not Path("outputs", "embeddings").exists()


def test_weights_from_a_file_are_those_that_are_embedded(run):
    path = run / "checkpoints" / "best.ckpt"
    settings = ["backbone.width=4", "target.shots=3", "mode=feature_extraction", "weights=file", f"weights.path={path}"]
    assert main(["task=embed", *settings, "embed.out_dir=by_file"]) == 0
    assert main(["task=embed", f"embed.run_dir={run}", "embed.out_dir=by_run"]) == 0
    by_file, by_run = (read(Path(name, "test.safetensors")) for name in ("by_file", "by_run"))
    torch.testing.assert_close(by_file.features["stage4"], by_run.features["stage4"])
    assert len(by_file.about["source"]["sha256"]) == 64
    assert json.loads(json.dumps(by_file.about)) == by_file.about
