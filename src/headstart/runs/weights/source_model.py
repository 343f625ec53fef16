"""The source model of a run: found by its hash, trained where it is not there, compared with naive models."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge, Interval
from omegaconf import DictConfig, OmegaConf

from headstart.backbones.weights.backbone_weights import Weights
from headstart.callbacks.training.divergence import divergence_message
from headstart.data.data_protocols import is_multi_label, is_regression
from headstart.evaluation.naive_models import naive_accuracies, wilson_interval
from headstart.runs.folder.folder_mark import write_mark
from headstart.runs.folder.run_naming import config_hash, is_control, safe
from headstart.runs.folder.training_lock import made_once, whole_result
from headstart.runs.model_parts.assembly import assembled
from headstart.runs.saved.changed_data import data_changes
from headstart.runs.saved.config_resolution import resolved_without_variables
from headstart.runs.saved.config_writing import write_config
from headstart.system.files.checkpoint_reading import loaded
from headstart.types import UserError

log = logging.getLogger(__name__)
SOURCES = Path("outputs/source")  # shared by all studies
LINEAR = {"_target_": "headstart.modules.heads.linear_head.LinearHead"}
# of a module's settings, those that are the target run's alone
OWN_MODULE = {
    "stage_decay": 1.0, "layer_decay": 1.0, "scheduler_interval": "step", "scheduler_monitor": "val/loss",
    "mix": None, "class_weights": None, "batch_norm": "learning", "backbone_lr_ratio": 1.0,
    "backbone_warmup_steps": 0, "metric": None, "loss": None,
}  # fmt: skip


def source_weights(
    *,
    cfg: DictConfig,
    seed: Annotated[int, Interval(ge=0, lt=2**32)],
    max_epochs: Annotated[int, Ge(1)],
    batch_size: Annotated[int, Ge(1)],
    optimizer: DictConfig,
    scheduler: DictConfig,
    require_better: bool,
    reset_from: Annotated[int, Ge(0)] | None,
) -> Weights:
    """The weights of the source model of this configuration, which is trained now if no finished one is there.

    The source run is a run like any other: its own folder below outputs/source, found by the hash of what it was
    trained on and how. Runs that want the same one wait while it is trained; one that is damaged is trained anew.
    seed, max_epochs, batch_size, optimizer, scheduler: of its training. Raises UserError where it does not beat naive
    models and require_better is set.
    """
    recipe = source_config(
        cfg, seed=seed, max_epochs=max_epochs, batch_size=batch_size, optimizer=optimizer, scheduler=scheduler
    )
    return _weights(recipe, cfg, require_better, reset_from)


def target_weights(
    *,
    cfg: DictConfig,
    seed: Annotated[int, Interval(ge=0, lt=2**32)],
    max_epochs: Annotated[int, Ge(1)],
    batch_size: Annotated[int, Ge(1)],
    optimizer: DictConfig,
    scheduler: DictConfig,
    require_better: bool,
    reset_from: Annotated[int, Ge(0)] | None,
) -> Weights:
    """The weights of a model of the run's own target, trained from scratch on the run's images: a control.

    What transfers from there is no knowledge of other data (networks BnB of Yosinski et al. 2014, arXiv:1411.1792). It
    is developed and found as a source model is. Raises UserError where its seed is the run's: what is fresh would then
    be what that model began with.
    """
    recipe = target_config(
        cfg, seed=seed, max_epochs=max_epochs, batch_size=batch_size, optimizer=optimizer, scheduler=scheduler
    )
    return _weights(recipe, cfg, require_better, reset_from)


def _weights(recipe: DictConfig, cfg: DictConfig, require_better: bool, reset_from: int | None) -> Weights:
    """Those of the recipe's model, if it is good enough."""
    folder, digest = _place(recipe)
    result = dict(_developed(recipe, folder, digest, cfg))
    if result.get("state") == "diverged":
        told_so = f"the source model's {divergence_message(result.get('divergence') or {}, 'weights.optimizer.lr')}"
        if require_better:
            raise UserError(f"{told_so}; or go on with what it was before, by weights.require_better=false")
        log.warning("%s", told_so)
    tested = result["sizes"]["test"]
    result["accuracy_interval"] = wilson_interval(round(result["metrics"]["test/accuracy"] * tested), tested)
    if result["accuracy_interval"][0] <= max(result["naive"].values()):
        table = _table(result)
        if require_better:
            raise UserError(
                f"the source model is not better than naive models on its own held-out data:\n{table}\n"
                f"its accuracy's lower end must be above all of them; it lies in {folder}; train it longer "
                "(weights.max_epochs), give it more images, or go on all the same with weights.require_better=false"
            )
        log.warning("the source model is not better than naive models:\n%s", table)
    state = loaded(folder / "checkpoints" / "best.ckpt")["state_dict"]
    known = ("wall_s", "examples", "metrics", "accuracy_interval", "naive", "weights_hash")
    return Weights(
        backbone={key.removeprefix("backbone."): t for key, t in state.items() if key.startswith("backbone.")},
        head={key.removeprefix("head."): t for key, t in state.items() if key.startswith("head.")},
        class_names=tuple(result["class_names"]),
        reset_from=reset_from,
        facts={"hash": digest, "folder": folder.as_posix(), **{key: result[key] for key in known}},
    )


def waits_for_source(cfg: DictConfig) -> bool:
    """Whether the job would train a source model first."""
    return has_recipe(cfg) and whole_result(_place(source_recipe(cfg))[0]) is None


def has_recipe(cfg: DictConfig) -> bool:
    """Whether the job needs a source model of our own, of weights=source or weights=target."""
    return bool(cfg.reuse) and not is_control(cfg) and cfg.weights.get("_target_") in _RECIPES


def developed(cfg: DictConfig) -> dict[str, Any]:
    """The result of the job's source run, trained now if it is not there; it may be no good."""
    recipe = source_recipe(cfg)
    return _developed(recipe, *_place(recipe), cfg)


def source_job(cfg: DictConfig) -> tuple[DictConfig, str]:
    """The whole config of the source run of a job of weights=source or weights=target, and its hash."""
    recipe = source_recipe(cfg)
    folder, digest = _place(recipe)
    return _runnable(recipe, folder, cfg), digest


def source_recipe(cfg: DictConfig) -> DictConfig:
    """The config of the run that develops the source model of a job of weights=source or weights=target."""
    names = ("seed", "max_epochs", "batch_size", "optimizer", "scheduler")
    return _RECIPES[cfg.weights["_target_"]](cfg, **{name: cfg.weights[name] for name in names})


def source_config(
    cfg: DictConfig, *, seed: int, max_epochs: int, batch_size: int, optimizer: Any, scheduler: Any
) -> DictConfig:
    """The config of the source's own run: from scratch on cfg.source, the backbone whole, nothing that is the target's.

    It holds what the source model depends on and no more, so that runs which differ elsewhere share it.
    """
    if not cfg.get("source"):
        raise UserError("weights=source needs source data, got none; try data@source=printed")
    return _scratch(cfg, "source", seed, max_epochs, batch_size, optimizer, scheduler)


def target_config(
    cfg: DictConfig, *, seed: int, max_epochs: int, batch_size: int, optimizer: Any, scheduler: Any
) -> DictConfig:
    """The same on cfg.target: the run's own images, random weights of another seed."""
    if seed == cfg.seed:
        raise UserError(
            f"weights.seed must be another than the run's, got {seed} for both: what is fresh would be what the model "
            "of weights=target began with; try weights.seed=1000"
        )
    recipe = _scratch(cfg, "target", seed, max_epochs, batch_size, optimizer, scheduler)
    recipe["images_seed"] = cfg.seed
    if cfg.get("draw"):
        recipe["draw"] = cfg.draw
    return recipe


SOURCE_WEIGHTS, TARGET_WEIGHTS = (f"{__name__}.{weights.__name__}" for weights in (source_weights, target_weights))
_RECIPES = {SOURCE_WEIGHTS: source_config, TARGET_WEIGHTS: target_config}


def _scratch(
    cfg: DictConfig, data: str, seed: int, max_epochs: int, batch_size: int, optimizer: Any, scheduler: Any
) -> DictConfig:
    trainer = {key: cfg.trainer[key] for key in ("_target_", "precision", "deterministic") if key in cfg.trainer}
    plain = resolved_without_variables(cfg)
    return OmegaConf.create(
        {
            "mode": "scratch",
            "reuse": False,
            "trainable": "all",
            "seed": seed,
            "target": plain[data] | {"batch_size": batch_size},
            "backbone": plain["backbone"] | {"keep": None},
            # linear, whatever the target's head is, unless that begins as the source's: arms share one source model
            "head": _head(plain["head"]),
            "module": plain["module"] | OWN_MODULE,
            "optimizer": optimizer,
            "scheduler": scheduler,
            "trainer": trainer | {"max_epochs": max_epochs},
        }
    )


def _head(node: dict[str, Any]) -> dict[str, Any]:
    """The head of the source's own run; how the target's head scales its features is the target's alone."""
    own = {key: value for key, value in node.items() if key != "standardise"}
    return (own if node.get("init") == "source" else LINEAR) | {"init": "random"}


def _place(recipe: DictConfig) -> tuple[Path, str]:
    """The folder of a source's own run, and its hash."""
    digest = config_hash(recipe)
    return SOURCES / f"{safe(f'{_last_part(recipe.target)},{_last_part(recipe.backbone)}')}-{digest}", digest


def _developed(recipe: DictConfig, folder: Path, digest: str, cfg: DictConfig) -> dict[str, Any]:
    """The result of the source run in the folder, trained now if it is not there; one trainer at a time."""
    was_there = whole_result(folder) is not None
    result = made_once(folder, digest, lambda: _trained(recipe, folder, digest, cfg), what="source model")
    if was_there and (changed := data_changes(recipe, {}, result)):
        told = "the source model %s has learned from other data than there are now: %s; take %s away to train it anew"
        log.warning(told, folder.name, changed, folder)
    return result


def _trained(recipe: DictConfig, folder: Path, digest: str, cfg: DictConfig) -> dict[str, Any]:
    """Train the source model; the naive models are measured first, so that its result can name them."""
    from headstart.runs.training.train_run import train

    log.info("training the source model %s", folder.name)
    runnable = _runnable(recipe, folder, cfg)
    write_mark(folder, digest, asked=digest)
    write_config(runnable, folder / "config.yaml")
    about = {
        "study": "source",
        "name": folder.name,
        "hash": digest,
        "overrides": [],
        "naive": _naive(runnable),
    }
    return train(runnable, folder, about=about)


def _runnable(recipe: DictConfig, folder: Path, cfg: DictConfig) -> DictConfig:
    """The recipe with what does not change its result: where it runs, what it logs, where to."""
    plain = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(plain, dict)
    seen = ("accelerator", "log_every_n_steps", "num_sanity_val_steps")
    trainer = {key: plain["trainer"][key] for key in plain["trainer"] if key in seen or key.startswith("enable_")}
    own = cfg.callbacks.get("checkpoint") or {"every_steps": None, "min_interval_s": 0}
    checkpoint = {
        "_target_": "headstart.callbacks.checkpoints.best_and_last.BestAndLast",
        "folder": "${run_dir}/checkpoints",
        "monitor": None,
        "mode": None,
        **{key: own[key] for key in ("every_steps", "min_interval_s")},
    }
    others = {key: plain["callbacks"][key] for key in ("rates", "figures", "progress") if key in plain["callbacks"]}
    extra = {
        "run_dir": folder.as_posix(),
        "resume": cfg.get("resume"),
        "trainer": trainer | {"devices": 1},
        "logger": plain["logger"],
        "callbacks": {"checkpoint": checkpoint, **others},
    }
    merged = OmegaConf.merge(recipe, extra)
    assert isinstance(merged, DictConfig)
    return merged


def _naive(runnable: DictConfig) -> dict[str, float]:
    """The accuracies of the naive models on the source's test images, trained on its training images."""
    parts = assembled(runnable)
    if is_regression(parts.data):
        raise UserError(
            "weights=source trains on source data of one class an image, and these have numbers; take the weights of a "
            "run on them by weights=file weights.path=<run>/checkpoints/best.ckpt"
        )
    if is_multi_label(parts.data):
        raise UserError(
            "weights=source trains on source data of one class an image, to compare with naive models, and these may "
            "have several labels an image; take the weights of a run on them by weights=file "
            "weights.path=<run>/checkpoints/best.ckpt"
        )
    parts.data.setup("fit")
    images = []
    for split in ("train", "test"):
        batches = [(parts.backbone.entering(batch.image), batch.label) for batch in parts.data.plain_dataloader(split)]
        images += [torch.cat(part).numpy() for part in zip(*batches, strict=True)]
    return naive_accuracies(*images)


def _table(result: dict[str, Any]) -> str:
    """The source model beside the naive ones, a line each."""
    low, high = result["accuracy_interval"]
    rows = [(name.replace("_", " "), f"{accuracy:.3f}") for name, accuracy in result["naive"].items()]
    rows.append(("source model", f"{result['metrics']['test/accuracy']:.3f}  95 % interval {low:.3f} to {high:.3f}"))
    return "\n".join(f"  {name:<22}{accuracy}" for name, accuracy in rows)


def _last_part(node: DictConfig) -> str:
    return str(node["_target_"]).rpartition(".")[2].lower()
