"""The task `soup`: the mean of the weights of a study's runs, taken up one by one where val does not fall."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal, NamedTuple

from omegaconf import DictConfig
from torch import Tensor

from headstart.evaluation.weight_averaging import averaged
from headstart.runs.folder.run_folder import CHECKPOINTS, RESULT, finished, write_json
from headstart.runs.quiet_logs import quieten
from headstart.runs.saved.finished_run import SavedRun, saved_run
from headstart.runs.saved.other_data import check_no_target
from headstart.runs.saved.weights_measurement import MeasuredWeights, write_weights
from headstart.system import rank_environment
from headstart.system.files.setting_paths import given_path
from headstart.system.terminal_printing import tell
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
    run is taken up where the metric of the mean with it is not lower than without it. Test is read once, of the soup
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
    pot.sort(key=lambda entry: (-entry.metrics[metric], entry.metrics["val/loss"], entry.run.folder.name))
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


def _greedy(pot: list[Ingredient], model: MeasuredWeights, images: Any) -> tuple[list[Ingredient], dict[str, float]]:
    """The runs of the soup, the best first, and the val metrics of their mean."""
    metric = f"val/{model.monitor}"
    taken, best = pot[:1], pot[0].metrics
    for candidate in pot[1:]:
        model.load(averaged([ingredient.state for ingredient in (*taken, candidate)]))
        metrics = model.metrics("val", images)
        if metrics[metric] >= best[metric]:
            taken, best = [*taken, candidate], metrics
    return taken, best


def _alike(folder: Path, checkpoint: Literal["best", "last"]) -> list[SavedRun]:
    """The finished runs below a folder that have the network and the classes of the first one."""
    places = sorted(file.parent for file in folder.glob(f"*/{RESULT}") if finished(file.parent) is not None)
    runs = [saved_run(place, checkpoint) for place in places]
    if len(runs) < 2:
        raise UserError(f"soup.study_dir must hold two finished runs at least, got {len(runs)} in {folder}")
    shapes = [({name: tensor.shape for name, tensor in run.state().items()}, run.class_names) for run in runs]
    most = max(shapes, key=shapes.count)
    others = [run.folder.name for run, own in zip(runs, shapes, strict=True) if own != most]
    if others:
        log.warning("left out, as their network or classes are others: %s", ", ".join(others))
    fit = [run for run, own in zip(runs, shapes, strict=True) if own == most]
    if len(fit) < 2:
        raise UserError(f"soup needs two runs of one network at least, and those in {folder} are all different")
    return fit


def _common_images(runs: list[SavedRun], model: MeasuredWeights) -> Any:
    """The target's data of the first run. Raises UserError where another run's val images are not the same."""
    first, *others = runs
    images = model.images_of(first)
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
