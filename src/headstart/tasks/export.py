"""The task `export`: a finished run's model as a file that needs no headstart."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from headstart.backbones.denormalise import eight_bit
from headstart.backbones.injected.lora import merge
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.runs.folder.run_folder import write_json
from headstart.runs.model_parts.assembly import images_seed
from headstart.runs.outcome.library_versions import versions
from headstart.runs.quiet_logs import quieten
from headstart.runs.saved.finished_model import NUMBERS, Finished, finished_model
from headstart.runs.saved.finished_run import CheckpointName, run_config
from headstart.runs.saved.run_temperature import Temperature
from headstart.system import rank_environment
from headstart.system.files.setting_paths import given_path, made_folder
from headstart.types import Pixels, UserError

log = logging.getLogger(__name__)
BATCH = "batch"  # the axis of images, in any number
FILES = {"torch_export": "model.pt2", "onnx": "model.onnx", "torchscript": "model.ts"}
ONNX = ("onnx", "onnxscript", "onnxruntime")
ABOUT = "preprocessing.json"  # beside the model; by it an export is known for one
CHECKED = 8  # images
TOLERANCE = 1e-4  # of logits; of numbers as a share of the largest, where that is above 1
LARGEST = 2**31 - 2**20  # bytes of weights in one ONNX file; protobuf takes no more
Run = Callable[[Tensor], Tensor]  # images (B, channels, size, size), uint8 -> logits (B, classes)


def export(
    *,
    cfg: DictConfig,  # noqa: ARG001 - every task is given it; a model is exported from the CPU, in float32
    run_dir: str,
    format: Literal["torch_export", "onnx", "torchscript"],  # noqa: A002 - it is the word on the command line
    checkpoint: CheckpointName,
    out_dir: str | None,
    temperature: Temperature,
) -> Path | None:
    """Write model.pt2, model.onnx or model.ts, and preprocessing.json, to out_dir -> the model's file.

    LoRA is merged into its layers. The model takes uint8 images (B, channels, size, size), normalises them, computes in
    float32 and gives logits, or numbers. The file is loaded again and compared with the run's model on test images.

    Args:
        cfg: The composed config, of which nothing is read.
        run_dir: The folder of a finished run.
        format: Of the model's file.
        checkpoint: The weights that are exported.
        out_dir: The folder to write to; None for <run_dir>/export.
        temperature: What the file's logits are divided by, so that probabilities are calibrated: a number, `val` for
            the one that suits the run's val images, None for nothing.

    Raises:
        UserError: The run is not finished, packages are missing, or the outputs differ by more than 1e-4.
    """
    quieten()
    if rank_environment.rank() > 0:
        return None
    _check_packages(format)
    folder = given_path(run_dir, "export.run_dir")
    on_cpu = {"_target_": "pytorch_lightning.Trainer", "accelerator": "cpu", "precision": "32-true"}
    finished = finished_model(OmegaConf.create({"trainer": on_cpu}), run_dir, checkpoint, None, temperature)
    target = given_path(out_dir, "export.out_dir") if out_dir is not None else folder / "export"
    made_folder(target, "export.out_dir")
    images = _some_images(run_config(folder), finished.backbone.pixels)
    with torch.no_grad():
        # not of the exported model: its normalisation is checked, too
        expected = finished.head(finished.backbone(images)) / finished.temperature
    merge(finished.backbone)
    model = Deployed(finished).eval()
    file = target / FILES[format]
    if out_dir:  # in the run's own folder nothing else lies
        _check_own(file)
    with tempfile.TemporaryDirectory(dir=target, prefix=".export-") as partial:
        partial_file = Path(partial) / file.name
        difference = _checked(model, images, expected, partial_file, format)
        # weights in files of their own before the model's file
        for written in sorted(Path(partial).iterdir(), key=lambda path: path.name == file.name):
            written.replace(target / written.name)
    metadata = {"run": folder.name, "checkpoint": checkpoint, "model": file.name, "format": format}
    checked = {"images": len(images), "largest_difference": difference}
    content = metadata | _preprocessing(finished) | {"checked": checked, "versions": versions()}
    write_json(target / ABOUT, content)
    log.info(
        "%s: the largest difference from the run's model is %.1e, on %d images; preprocessing.json beside it says what "
        "it takes", file, difference, len(images),
    )  # fmt: skip
    return file


def _check_packages(format: str) -> None:  # noqa: A002
    if format == "onnx" and (missing := [name for name in ONNX if find_spec(name) is None]):
        raise UserError(
            f"export.format=onnx needs {', '.join(ONNX)}, and {', '.join(missing)} cannot be found; "
            "try: pip install 'headstart[onnx]'"
        )


def _check_own(file: Path) -> None:
    """Raise UserError where a file of this name, or preprocessing.json beside it, is no earlier export's."""
    beside = file.with_name(ABOUT)
    try:
        metadata = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        metadata = None
    is_export = isinstance(metadata, dict) and {"run", "checkpoint", "model"} <= metadata.keys()
    if taken := [path.name for path in (file, beside) if path.exists() and not is_export]:
        raise UserError(
            f"{file.parent} holds {' and '.join(taken)} of something else, which would be lost; give another folder: "
            "export.out_dir=<folder>"
        )


class Deployed(nn.Module):
    """uint8 images (B, channels, size, size) -> logits (B, classes), or numbers (B, columns), in float32."""

    mean: Tensor
    std: Tensor

    def __init__(self, finished: Finished) -> None:
        super().__init__()
        self.to_head = finished.backbone.to_head
        self.stages, self.head = nn.Sequential(*finished.backbone.stages.values()).float(), finished.head.float()
        self.output = finished.output
        pixels = finished.backbone.pixels
        self.register_buffer("mean", torch.tensor(pixels.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(pixels.std).view(1, -1, 1, 1))
        self.temperature = finished.temperature

    def forward(self, image: Tensor) -> Tensor:
        normalised = (image.to(torch.float32) / 255 - self.mean) / self.std
        logits: Tensor = self.head(self.to_head(self.stages(normalised)))
        return logits if self.temperature == 1 else logits / self.temperature


def _some_images(run_cfg: DictConfig, pixels: Pixels) -> Tensor:
    """The first test images of a run's data, uint8 (N, channels, size, size); where it has none, of val."""
    data = instantiate(run_cfg.target, pixels=pixels, seed=images_seed(run_cfg))
    data.setup("test")
    batch = next(iter(data.plain_dataloader("test")), None) or next(iter(data.plain_dataloader("val")))
    images: Tensor = eight_bit(batch.image[:CHECKED], pixels).contiguous()  # normalised where they had to be resized
    return images


@torch.no_grad()
def _checked(model: Deployed, images: Tensor, want: Tensor, file: Path, format: str) -> float:  # noqa: A002
    """Write the file, and give the largest difference between its logits and those wanted. Raises UserError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of its own parts that will change
            run = WRITERS[format](model, images, file)
    except Exception as error:  # what a compiler cannot follow shows in many ways
        first = next(iter(str(error).strip().splitlines()), "")
        raise UserError(
            f"the model cannot be exported as {format} ({type(error).__name__}: {first}); try another "
            f"export.format, one of {', '.join(FILES)}"
        ) from error
    alone = torch.cat([run(images[at : at + 1]) for at in range(len(images))])
    size = want.abs().amax(dim=0).clamp(min=1) if model.output == NUMBERS else torch.ones(())
    gap = max(float(((got - want).abs() / size).max()) for got in (run(images), alone))
    if not gap <= TOLERANCE:  # nan, too
        raise UserError(
            f"the exported model gives other logits than the run's: they differ by up to {gap:.1e}, more than "
            f"{TOLERANCE:.0e}, on {len(images)} images; nothing was written; try another export.format, one of "
            f"{', '.join(FILES)}"
        )
    return gap


def _program(model: Deployed, images: Tensor) -> Any:
    """The model's graph, for any number of images; of an example of one, torch would make a constant."""
    example = images[:2] if len(images) > 1 else images.expand(2, -1, -1, -1).contiguous()
    return torch.export.export(model, (example,), dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1)}})


def _torch_export(model: Deployed, images: Tensor, file: Path) -> Run:
    torch.export.save(_program(model, images), file)
    run: Run = torch.export.load(file).module()
    return run


def _torchscript(model: Deployed, images: Tensor, file: Path) -> Run:
    traced = torch.jit.trace(model, images, check_trace=False)  # type: ignore[no-untyped-call]  # we check it ourselves
    torch.jit.save(traced, file)
    run: Run = torch.jit.load(file)  # type: ignore[no-untyped-call]
    return run


def _onnx(model: Deployed, images: Tensor, file: Path) -> Run:
    import onnxruntime  # type: ignore[import-untyped,import-not-found,unused-ignore]

    for name in ("onnxscript", "onnx_ir"):  # they tell of each node that they remove
        logging.getLogger(name).setLevel(logging.WARNING)
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    program: Any = torch.onnx.export(
        _program(model, images), (), dynamo=True, input_names=["image"], output_names=[model.output], verbose=False
    )
    for value in (*program.model.graph.inputs, *program.model.graph.outputs):
        value.shape = type(value.shape)([BATCH, *list(value.shape)[1:]])  # torch calls it s40 or the like
    program.save(file, external_data=size > LARGEST)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def run(image: Tensor) -> Tensor:
        return torch.from_numpy(session.run([model.output], {"image": image.numpy()})[0])

    return run


WRITERS: dict[str, Callable[[Deployed, Tensor, Path], Run]] = {
    "torch_export": _torch_export, "onnx": _onnx, "torchscript": _torchscript,
}  # fmt: skip


def _preprocessing(finished: Finished) -> dict[str, Any]:
    """What to do to an image before the model, and what comes out of it."""
    pixels, decoder = finished.backbone.pixels, finished.decoder
    shape = [BATCH, pixels.channels, pixels.size, pixels.size]
    # of several labels, each by itself
    probabilities = "softmax(logits)" if finished.separator is None else "sigmoid(logits)"
    output = {"name": finished.output, "shape": [BATCH, len(finished.class_names)]}
    return {
        "input": {
            "name": "image", "dtype": "uint8", "layout": "NCHW", "range": [0, 255], "shape": shape,
            "channels": {1: "grey", 3: "RGB"}[decoder.channels],
        },
        "steps": [
            "turn the image upright as EXIF says, make it 8 bits a channel",
            f"resize its shorter side to {decoder.resize} pixels ({decoder.interpolation}, antialiased)",
            f"cut out the centre, {decoder.size} x {decoder.size} pixels",
        ],
        "size": pixels.size,
        "resize": decoder.resize,
        "interpolation": decoder.interpolation,
        "channels": pixels.channels,
        "normalised_in_the_model": True,  # (image / 255 - mean) / std
        "mean": list(pixels.mean),
        "std": list(pixels.std),
        "temperature": finished.temperature,  # what logits are divided by in the model
        "output": output if finished.numbers else output | {"probabilities": probabilities},
        "columns" if finished.numbers else "class_names": list(finished.class_names),
    }  # fmt: skip
