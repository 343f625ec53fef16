"""An exported file gives what the run's model gives, without headstart."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from composed import TINY, run_by_command
from headstart.cli import main
from headstart.runs.model_parts.assembly import assembled
from headstart.runs.saved.finished_model import finished_model
from headstart.runs.saved.finished_run import run_config
from headstart.tasks import export as task

RUN = [*TINY, "mode=scratch", "trainer.max_epochs=1", "target.shots=3"]
SLOW = pytest.mark.slow
needs_onnx = pytest.mark.skipif(
    any(find_spec(name) is None for name in task.ONNX), reason="onnx, onnxscript or onnxruntime is not installed"
)
LOADS = {
    "torch_export": "model = torch.export.load(sys.argv[1]).module()",
    "torchscript": "model = torch.jit.load(sys.argv[1])",
    "onnx": "import onnxruntime\nsession = onnxruntime.InferenceSession(sys.argv[1])\n"
    "model = lambda x: torch.from_numpy(session.run(None, {'image': x.numpy()})[0])",
}
ELSEWHERE = """
import sys, torch
sys.modules["headstart"] = None  # an import of it is an error
{load}
image = torch.load("images.pt")
with torch.no_grad():
    torch.save([model(image), torch.cat([model(one[None]) for one in image])], "logits.pt")
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_by_command(RUN, tmp_path_factory.mktemp("export"))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def of_the_run(run, image):
    """The logits of the model as it was trained."""
    module = assembled(run_config(run)).module
    state = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    module.load_state_dict(state)
    with torch.no_grad():
        return module.eval()(image)


@pytest.mark.parametrize(
    "kind",
    ["torchscript", pytest.param("torch_export", marks=SLOW), pytest.param("onnx", marks=[needs_onnx, SLOW])],
)
def test_without_headstart_any_number_of_images_gets_the_logits_of_the_runs_model(run, kind):
    assert main(["task=export", f"export.run_dir={run}", f"export.format={kind}", "export.out_dir=out"]) == 0
    name = task.FILES[kind]
    assert sorted(path.name for path in Path("out").iterdir()) == sorted([name, "preprocessing.json"])
    image = torch.randint(0, 256, (5, 1, 32, 32), dtype=torch.uint8)
    torch.save(image, "images.pt")
    script = ELSEWHERE.format(load=LOADS[kind])
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, f"out/{name}"], check=True)
    want = of_the_run(run, image)
    for got in torch.load("logits.pt"):
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)


def test_preprocessing_json_says_enough_to_make_in_pillow_what_the_run_would_make_of_a_file(run):
    assert main(["task=export", f"export.run_dir={run}", "export.out_dir=out"]) == 0
    said = json.loads(Path("out", "preprocessing.json").read_text())
    assert (said["input"]["dtype"], said["input"]["layout"], said["input"]["channels"]) == ("uint8", "NCHW", "grey")
    assert said["class_names"] == list("0123456789")
    assert said["checked"]["images"] == 8
    assert said["checked"]["largest_difference"] <= 1e-4
    noise = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((900, 600), Image.Resampling.BICUBIC).save("photo.png")

    photo = Image.open("photo.png").convert("L")
    width, height = photo.size
    ratio, size = said["resize"] / min(width, height), said["size"]
    small = photo.resize((round(width * ratio), round(height * ratio)), Image.Resampling[said["interpolation"].upper()])
    left, top = (small.width - size) // 2, (small.height - size) // 2
    by_hand = np.asarray(small.crop((left, top, left + size, top + size))).astype(float)
    cpu = {"_target_": "pytorch_lightning.Trainer", "accelerator": "cpu", "precision": "32-true"}
    own = finished_model(OmegaConf.create({"trainer": cpu}), run, "best").decoder(Path("photo.png"))
    uncut = np.asarray(photo.resize((size, size))).astype(float)
    assert np.abs(by_hand - own).mean() < 5 < np.abs(uncut - own).mean()  # whole pixels are cut here, parts there


@SLOW
def test_images_that_the_data_must_resize_are_checked_as_well(tmp_path):
    assert main([*RUN, "backbone.size=40"]) == 0
    (run,) = Path("outputs", "runs").iterdir()
    assert main(["task=export", f"export.run_dir={run}"]) == 0
    said = json.loads((run / "export" / "preprocessing.json").read_text())
    assert said["input"]["shape"] == ["batch", 1, 40, 40]
    assert said["checked"]["largest_difference"] <= 1e-4


def test_a_file_that_gives_other_logits_is_not_written(run, monkeypatch, capsys):
    def shifted(model, images, file):
        return lambda image: model(image) + 2e-4

    monkeypatch.setitem(task.WRITERS, "torchscript", shifted)
    assert main(["task=export", f"export.run_dir={run}", "export.format=torchscript", "export.out_dir=out"]) == 2
    said = capsys.readouterr().err
    assert "they differ by up to 2.0e-04, more than 1e-04, on 8 images; nothing was written" in said
    assert list(Path("out").iterdir()) == []


def test_a_model_that_cannot_be_followed_is_one_line(run, monkeypatch, capsys):
    def fails(model, images, file):
        raise RuntimeError("data-dependent branch\nsecond line")

    monkeypatch.setitem(task.WRITERS, "torch_export", fails)
    assert main(["task=export", f"export.run_dir={run}", "export.out_dir=out"]) == 2
    said = capsys.readouterr().err
    assert "cannot be exported as torch_export (RuntimeError: data-dependent branch)" in said
    assert "second line" not in said


def test_missing_packages_are_named_with_what_to_install(run, monkeypatch, capsys):
    monkeypatch.setattr(task, "find_spec", lambda name: None if name == "onnxscript" else object())
    assert main(["task=export", f"export.run_dir={run}", "export.format=onnx"]) == 2
    said = capsys.readouterr().err
    assert "onnxscript cannot be found" in said
    assert "pip install 'headstart[onnx]'" in said
    assert not (run / "export").exists()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("export.run_dir=nowhere", "must be the folder of a finished run"),
        ("export.format=pt", "export.format must be"),
    ],
)
def test_a_mistake_is_one_line(run, override, said, capsys):
    assert main(["task=export", f"export.run_dir={run}", override]) == 2
    assert said in capsys.readouterr().err


def test_a_checkpoint_that_is_not_there_is_named(run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "last.ckpt").unlink(missing_ok=True)
    assert main(["task=export", "export.run_dir=run", "export.checkpoint=last"]) == 2
    assert "there is no run/checkpoints/last.ckpt" in capsys.readouterr().err
    assert not Path("run", "export").exists()


@pytest.mark.parametrize("name", ["model.ts", "preprocessing.json"])
def test_a_file_of_somebody_else_s_is_not_replaced(run, capsys, name):
    Path("theirs").mkdir()
    Path("theirs", name).write_text("{}")
    export = ["task=export", f"export.run_dir={run}", "export.format=torchscript", "export.out_dir=theirs"]
    assert main(export) == 2
    assert f"theirs holds {name} of something else" in capsys.readouterr().err
    assert [path.read_text() for path in Path("theirs").iterdir()] == ["{}"]
    Path("theirs", name).unlink()
    assert [main(export) for _ in range(2)] == [0, 0]


@needs_onnx
def test_the_axis_of_images_is_called_batch_in_what_enters_and_what_leaves(tmp_path):
    import onnx

    class Small(torch.nn.Module):
        output = "logits"

        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 2)

        def forward(self, image):
            return self.layer(image.float().mean(dim=(2, 3)))

    run = task._onnx(Small().eval(), torch.zeros(4, 3, 8, 8, dtype=torch.uint8), tmp_path / "model.onnx")
    graph = onnx.load(tmp_path / "model.onnx").graph
    axes = {
        one.name: [axis.dim_param or axis.dim_value for axis in one.type.tensor_type.shape.dim]
        for one in (*graph.input, *graph.output)
    }
    assert axes == {"image": ["batch", 3, 8, 8], "logits": ["batch", 2]}
    assert run(torch.zeros(7, 3, 8, 8, dtype=torch.uint8)).shape == (7, 2)
