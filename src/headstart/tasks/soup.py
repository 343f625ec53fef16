"""The task `soup`: the mean of the weights of a study's runs, taken up one by one where val does not fall."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal, NamedTuple

from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from headstart.data.data_protocols import has_contents
from headstart.evaluation.choice_by_val import best_first, is_no_worse
from headstart.evaluation.weight_averaging import averaged
from headstart.runs.folder.run_folder import CHECKPOINTS, RESULT, finished, write_json
from headstart.runs.quiet_logs import quieten
from headstart.runs.saved.finished_run import SavedRun, saved_run
from headstart.runs.saved.other_data import check_no_target
from headstart.runs.saved.weights_measurement import MeasuredWeights, write_weights
from headstart.system import rank_environment
from headstart.system.files.setting_paths import given_path
from headstart.system.printing.terminal_printing import tell
from headstart.types import UserError

log = logging.getLogger(__name__)


class Ingredient(NamedTuple):
    """One run of the study: its weights, and its own metrics on the val images."""

    run: SavedRun
    state: dict[str, Tensor]
    metrics: dict[str, float]


def soup(*, cfg: DictConfig, study_dir: str | Path, checkpoint: Literal["best", "last"]) -> dict[str, Any]:
    """Average the weights of a study's runs by the greedy rule of model soups.

    The runs are sorted by the monitored metric on val, the best first. The mean begins with the best run; each further
    run is taken up where the metric of the mean with it is not worse than without it. Test is read once, of the soup
    and of the best run. The soup is written as checkpoints/soup.ckpt of the best run, which evaluate, predict, explain
    and export take as `checkpoint=soup`, and its metrics as soup.json in the study's folder.

    All runs must have the same network, classes and val images: where each seed divides the images anew, one run's val
    images are another one's training images, and the choice would be worth nothing.

    Wortsman et al. 2022, Model soups (arXiv:2203.05482), recipe 1.

    Args:
        cfg: The command's config; of it only the trainer's accelerator counts.
        study_dir: Folder whose subfolders are finished runs. Runs of other networks are left out and named.
        checkpoint: Which weights of each run.

    Returns:
        The content of soup.json; of ranks after the first nothing.

    Raises:
        UserError: Where fewer than two runs fit together, or their val images differ.
    """
    quieten()
    if rank_environment.rank() > 0:
        return {}
    check_no_target("soup")
    folder = given_path(study_dir, "soup.study_dir")
    runs = _alike(folder, checkpoint)
    model = MeasuredWeights(runs[0], cfg.trainer)
    images = _common_images(runs, model)
    metric = f"val/{model.monitor}"
    pot = []
    for run in runs:
        state = run.state()
        model.load(state)
        pot.append(Ingredient(run, state, model.metrics("val", images)))
    pot = _best_first(pot, metric, folder)
    taken, best = _greedy(pot, model, images)
    left_out = [entry for entry in pot if entry not in taken]
    mean = averaged([entry.state for entry in taken])
    tested = {}
    for name, state in (("soup", mean), ("best_run", pot[0].state)):
        model.load(state)
        tested[name] = model.metrics("test", images)
    write_weights(pot[0].run.folder / CHECKPOINTS / "soup.ckpt", mean, runs=[entry.run.folder.name for entry in taken])
    content = {
        "monitor": metric,
        "runs": [
            {"run": entry.run.folder.name, "taken": entry in taken, "metrics": entry.metrics}
            for entry in (*taken, *left_out)
        ],
        "soup": best | tested["soup"],
        "best_run": pot[0].metrics | tested["best_run"],
        "checkpoint": str(Path(pot[0].run.folder.name) / CHECKPOINTS / "soup.ckpt"),
    }
    write_json(folder / "soup.json", content)
    tell(*_table(content, model.monitor))
    return content


def _best_first(pot: list[Ingredient], metric: str, folder: Path) -> list[Ingredient]:
    """The runs, the best on val first, without those whose metrics there are no numbers."""
    order = best_first([entry.metrics for entry in pot], metric)  # of equals the first by name
    if lost := [entry.run.folder.name for number, entry in enumerate(pot) if number not in order]:
        log.warning("left out, as their metrics on val are no numbers: %s", ", ".join(lost))
    if len(order) < 2:
        raise UserError(f"soup needs two runs with numbers as metrics on val, got {len(order)} in {folder}")
    return [pot[number] for number in order]


def _greedy(pot: list[Ingredient], model: MeasuredWeights, images: Any) -> tuple[list[Ingredient], dict[str, float]]:
    """The runs of the soup, the best first, and the val metrics of their mean."""
    metric = f"val/{model.monitor}"
    taken, best = pot[:1], pot[0].metrics
    for candidate in pot[1:]:
        model.load(averaged([ingredient.state for ingredient in (*taken, candidate)]))
        metrics = model.metrics("val", images)
        if is_no_worse(metrics, best, metric):
            taken, best = [*taken, candidate], metrics
    return taken, best


def _alike(folder: Path, checkpoint: Literal["best", "last"]) -> list[SavedRun]:
    """The finished runs below a folder that have the network and the classes of the first one."""
    places = sorted(file.parent for file in folder.glob(f"*/{RESULT}") if finished(file.parent) is not None)
    runs = [saved_run(place, checkpoint) for place in places]
    if len(runs) < 2:
        raise UserError(f"soup.study_dir must hold two finished runs at least, got {len(runs)} in {folder}")
    shapes = [
        ({name: tensor.shape for name, tensor in run.state().items()}, run.class_names, _inputs(run)) for run in runs
    ]
    most = max(shapes, key=shapes.count)
    others = [run.folder.name for run, own in zip(runs, shapes, strict=True) if own != most]
    if others:
        log.warning("left out, as their network, its images or classes are others: %s", ", ".join(others))
    fit = [run for run, own in zip(runs, shapes, strict=True) if own == most]
    if len(fit) < 2:
        raise UserError(f"soup needs two runs of one network at least, and those in {folder} are all different")
    return fit


def _inputs(run: SavedRun) -> list[Any]:
    """The kind of a run's labels, and what its network expects of images beyond what its weights' shapes tell."""
    asked = [run.cfg.backbone.get(key) for key in ("size", "preprocessing")]
    plain = [OmegaConf.to_container(value) if OmegaConf.is_config(value) else value for value in asked]
    return [*plain, run.several, run.regression]


def _common_images(runs: list[SavedRun], model: MeasuredWeights) -> Any:
    """The target's data of the first run. Raises UserError where another run's val images are not the same."""
    first, *others = runs
    images = model.images_of(first)
    if not has_contents(images):
        raise UserError("soup compares the runs' val images, and those of a stream cannot be compared; try a folder")
    for run in others:
        if model.images_of(run).contents("val") != images.contents("val"):
            raise UserError(
                f"the val images of {run.folder.name} are not those of {first.folder.name}: one run's val images may "
                "be another one's training images; make runs over learning rates, or of data with a val split"
            )
    return images


def _table(content: dict[str, Any], monitor: str) -> list[str]:
    metric = f"val/{monitor}"
    rows = [
        f"{run['metrics'][metric]:.4f}  {'taken up' if run['taken'] else 'left out'}  {run['run']}"
        for run in content["runs"]
    ]
    rows += [""] + [
        f"{name}: {metric} {content[key][metric]:.4f}, test/{monitor} {content[key][f'test/{monitor}']:.4f}"
        for name, key in (("soup", "soup"), ("best run", "best_run"))
    ]
    return [f"{metric}", *rows]
