"""How does a config become a trained model with its figures?"""

from __future__ import annotations

import copy
import logging
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger, TensorBoardLogger

from headstart.backbones.weights.backbone_weights import weights_hash
from headstart.callbacks.checkpoints.best_and_last import PREVIOUS, VALIDATION, BestAndLast
from headstart.callbacks.checkpoints.epoch_metric_state import SoFar
from headstart.callbacks.checkpoints.log_positions import Logs
from headstart.callbacks.checkpoints.rank_seed import OwnChance
from headstart.callbacks.checkpoints.rng_states import RandomStates
from headstart.callbacks.domains.domain_distances import Distances
from headstart.callbacks.domains.domain_predictions import BothSides
from headstart.callbacks.domains.oracle_accuracy import FIGURE as ORACLE
from headstart.callbacks.domains.oracle_accuracy import Oracle
from headstart.callbacks.domains.selection_scores import Scores
from headstart.callbacks.predictions.class_recalls import Recalls
from headstart.callbacks.predictions.image_predictions import Answers
from headstart.callbacks.timing.bottleneck_advice import line
from headstart.callbacks.timing.data_wait_profiler import Clock
from headstart.callbacks.timing.idle_hooks import leave_out_idle_hooks, without_idle_hooks
from headstart.callbacks.timing.throughput import Throughput
from headstart.callbacks.timing.validation_times import Timeline
from headstart.callbacks.training.divergence import Divergence
from headstart.callbacks.training.extended_rates import Prolong
from headstart.callbacks.training.feature_cache import FeatureStore
from headstart.callbacks.training.final_validation import End
from headstart.callbacks.training.finalize import Conclude
from headstart.callbacks.training.initial_model import Start
from headstart.callbacks.training.memory_reuse import return_freed_memory
from headstart.callbacks.training.unfreeze import Unfreeze
from headstart.distributed.model_sharding import load_whole, whole_state
from headstart.distributed.rank_agreement import of_first, wait_for_all
from headstart.modules.compilation import compile_in_place
from headstart.recipes.recipe_values import CHOSEN, TUNED
from headstart.recipes.trial_images import seen_images
from headstart.report.config_values import leaves
from headstart.report.file_checksums import KEY as FILES
from headstart.report.file_checksums import digests
from headstart.runs.assembly import assembled, main_figure, with_monitor
from headstart.runs.continuing.resume_point import resume_point
from headstart.runs.continuing.run_extension import PROLONGED, parent_of, told
from headstart.runs.folder.duplicate_table import write_duplicates
from headstart.runs.folder.run_folder import ANSWERS, RESULT, cleared, write_json
from headstart.runs.folder.run_naming import is_control
from headstart.runs.outcome.labelled_image_count import labelled_images
from headstart.runs.outcome.package_versions import figures, versions
from headstart.runs.quiet_logs import quieten
from headstart.runs.saved.config_resolution import resolved_without_variables
from headstart.runs.training.checkpoint_selection import adapts_to_target, scores, selection_of
from headstart.runs.training.logger_closing import ended_with_run
from headstart.runs.training.run_plan import log_plan, run_plan, share_of_run
from headstart.runs.training.trainer import made_trainer
from headstart.runs.training.trainer_profiler import profiler_of
from headstart.runs.training.training_without_validation import NOTE, check_needs_no_val, has_no_val
from headstart.runs.weights.control_weights import lacks_statistics, measured_statistics
from headstart.runs.weights.starting_weights import weights_of
from headstart.selection.selection import Score, Selection
from headstart.system import rank_environment, stop_signals
from headstart.system.checkpoint_reading import loaded
from headstart.system.credential_masking import masked_in

log = logging.getLogger(__name__)


def train(cfg: DictConfig, folder: Path, *, about: dict[str, Any]) -> dict[str, Any]:
    """Train on cfg.target from step 0, test the best weights once -> what stands in the folder's result.json.

    With resume=auto an unfinished run in the folder goes on from its last checkpoint, and ends as it would have.
    about: what the result says besides of where it comes from (study, name, hash, overrides).
    """
    begun: list[Logger] = []
    with ended_with_run(begun):
        return _trained(cfg, folder, about, begun)


def _trained(cfg: DictConfig, folder: Path, about: dict[str, Any], begun: list[Logger]) -> dict[str, Any]:
    """What train() gives; begun: gets the loggers when they are about to log."""
    began = time.perf_counter()
    quieten()
    selection = selection_of(cfg)
    weights = weights_of(cfg)  # may train a source model first
    pl.seed_everything(cfg.seed, verbose=False)
    parts = assembled(cfg, weights=weights)
    from_source = parts.from_source
    resumed = of_first(resume_point(cfg, folder, about["hash"]) if rank_environment.rank() == 0 else None)
    if parts.head.init == "source" and (weights.backbone or weights.control):  # from scratch the head starts random too
        if not weights.control:
            parts.head.set_source(weights.head, weights.class_names, parts.data.class_names)
        from_source += ("head",)
    if weights.control:
        parts.data.setup("fit")
    # a resumed run has them in its checkpoint; weights that never saw an image have none of their own either
    measures = (weights.control or lacks_statistics(parts)) and resumed is None
    with measured_statistics(parts, parts.data, cfg.trainer) if measures else nullcontext():
        parts.module.begin(from_source, weights.head)
    share = share_of_run(parts)
    leave_out_idle_hooks(parts.module)
    parts.data.setup("fit")
    validates = not has_no_val(parts.data)
    if not validates:
        check_needs_no_val(cfg)
    if cfg.module.get("class_weights") is not None:
        parts.module.weigh(_labels(parts.data), parts.data.class_names)
    figure = main_figure(parts.module)
    knows_labels = getattr(parts.module, "knows_labels", True)
    if rank_environment.rank() == 0 and resumed is None:
        cleared(folder)
    if rank_environment.rank() == 0:
        write_duplicates(parts.data, folder)
    wait_for_all()

    clock = Clock(inner=profiler_of(cfg.trainer, folder), folder=folder)
    timeline, throughput, conclude = Timeline(), Throughput(clock=clock), Conclude()
    answers = Answers(folder=folder / ANSWERS)
    divergence = Divergence(skipped_steps=cfg.get("skipped_steps") or 0)  # of a source model there is no such key
    features = FeatureStore(store=instantiate(cfg.store) if cfg.get("store") else None)
    # random weights are those of a seed, and of adapters too: nobody would read what is stored of them
    shared = bool(weights.backbone) and set(parts.backbone.names) <= set(from_source) and parts.adapted is None
    begins = knows_labels and parts.head.init == "class_means"
    start = Start(
        data=parts.data,
        head=copy.deepcopy(parts.head),  # before a strategy shards it: then it cannot be copied
        images=cfg.get("start_images"),
        # of a source model nobody asks it: its config has no such key
        measures=begins or (knows_labels and cfg.get("start_class_means", False)),
        begins=begins,
        validates=validates,
        store=features if shared else None,
        answers=answers,
    )
    if (images := seen_images(cfg.get(TUNED))) is not None:
        answers.set_seen_by_trials(images)
    chosen: list[pl.Callback] = [instantiate(with_monitor(node, figure)) for node in cfg.callbacks.values() if node]
    checkpoint = next((callback for callback in chosen if isinstance(callback, BestAndLast)), None)
    if checkpoint:
        checkpoint.run_hash = about["hash"]
        if selection is not None:
            checkpoint.follow(selection.figure, mode=selection.mode, start_counts=not isinstance(selection, Score))
        elif not validates or cfg.trainer.get("limit_val_batches") == 0:
            checkpoint.mode = "last"  # no figure says which is best
        elif not knows_labels and (cfg.callbacks.get("checkpoint") or {}).get("monitor") is None:
            checkpoint.mode = "last"  # the source's val figures fall as the model becomes the target's
    adapts = adapts_to_target(cfg)
    watching: list[pl.Callback] = (
        [BothSides(), Scores(scores=scores(selection, sees_source=knows_labels)), Distances()] if adapts else []
    )
    recalls = Recalls()
    oracle = Oracle() if cfg.get("oracle") else None
    prolong = [Prolong(schedule=cfg[PROLONGED].schedule)] if cfg.get(PROLONGED) else []
    watching += [oracle] if oracle else []
    keeping = [SoFar(), Logs(folder=folder), OwnChance(seed=cfg.seed), RandomStates()]  # the last of all: see there
    loggers = [instantiate(node) for node in cfg.logger.values() if node]
    trainer = made_trainer(
        cfg.trainer,
        default_root_dir=str(folder),
        logger=loggers,
        profiler=clock,
        # opened before it is measured, timed before it is saved
        callbacks=without_idle_hooks(
            [
                *prolong,
                Unfreeze(parts.schedule),
                features,
                throughput,
                start,
                timeline,
                *watching,
                End(),
                divergence,
                *chosen,
                conclude,
                recalls,
                answers,
                *keeping,
            ]
        ),
    )
    if not validates:
        trainer.limit_val_batches = 0  # Lightning asks for no loader of val then
    if rank_environment.rank() == 0:
        processes = trainer.num_devices * trainer.num_nodes
        if not validates:
            log.info("%s", NOTE)
        if prolong:
            log.info("%s", told(cfg))
        if parts.adapted:
            log.info("%s", parts.adapted)
        log.info("%s", share)
        log_plan(run_plan(parts, trainer, processes=processes), [] if resumed else loggers)
    if cfg.get("compile"):  # after the plan, which counts what each layer does
        compile_in_place(parts.module.stages)
    setup_s = round(time.perf_counter() - began, 4)
    begun += loggers
    trainer.fit(parts.module, datamodule=parts.data, ckpt_path=resumed)
    stop_signals.check()  # a signal in the last step
    kinds = VALIDATION if validates else ("train",)
    last = figures(trainer.callback_metrics, *kinds)  # the test clears them
    best = dict(checkpoint.best) if checkpoint else {}
    wait_for_all()  # rank 0 gives a checkpoint its name after Lightning's own waiting
    if best:  # only the weights: as ckpt_path, trainer.test would turn the callbacks back to that epoch too
        kept = loaded(folder / "checkpoints" / "best.ckpt", mmap=True)
        load_whole(parts.module, kept["state_dict"])
    answers.tested_step = int(best["step"]) if best else trainer.global_step
    trainer.test(parts.module, datamodule=parts.data, verbose=False)
    if best and checkpoint and conclude.changed:  # what was tested is what is kept
        state = whole_state(parts.module)
        if trainer.is_global_zero:
            checkpoint.replace_weights(state)

    final = (figures(best, *kinds) or last) | figures(trainer.callback_metrics, "test")
    if oracle:
        final[ORACLE] = oracle.best
    before_training = bool(best) and best["step"] == 0
    result = {
        "format": 1,
        **about,
        "state": divergence.state,
        "divergence": None if divergence.first is None else divergence.first._asdict(),
        "parent": parent_of(cfg),
        "mode": cfg.mode,
        "seed": cfg.seed,
        "control": is_control(cfg),
        "monitor": figure,
        "selection": _selection(selection, checkpoint),
        "metrics": final,
        "test_per_class": recalls.by_class,
        "best": best,
        "best_before_training": before_training,
        "evaluations": timeline.evaluations,
        "peak_learning_rate": timeline.peak_learning_rate,
        "start_class_means": start.class_means_score,
        "start_images": start.used_images,
        "learns": {"parameters": share.learning, "of": share.of},
        "sizes": parts.data.sizes,
        "labelled_images": labelled_images(parts.data, adapts=adapts),
        "num_classes": parts.data.num_classes,
        "class_names": list(parts.data.class_names),
        "adaptation": _adapting(parts.module),
        "multi_label": bool(getattr(parts.data, "multi_label", False)),
        "steps": trainer.global_step,
        "examples": timeline.examples,
        "setup_s": setup_s,
        "wall_s": timeline.wall_s,
        "processes": trainer.world_size,
        "peak_memory_mib": throughput.peak_memory_mib(),
        "phases": throughput.phases(),
        "source": dict(weights.facts) or None,
        **({CHOSEN: OmegaConf.to_container(cfg[CHOSEN])} if cfg.get(CHOSEN) else {}),
        TUNED: OmegaConf.to_container(cfg[TUNED]) if cfg.get(TUNED) else None,
        "weights_hash": weights_hash(whole_state(parts.module)),
        "versions": versions(),
    }
    _log_hyperparameters(loggers, cfg, final)
    for logger in loggers:
        logger.finalize("success")
    if trainer.is_global_zero:
        data = "" if about["study"] == "source" else "target"  # the group that a hint would name
        around = throughput.circumstances(trainer, data=data)
        best_is = "; the best on val was before training (step 0)" if before_training else ""
        log.info("%s: %s%s", folder.name, line(result["phases"], result["peak_memory_mib"], around), best_is)
        result[FILES] = digests(folder)
        write_json(folder / RESULT, result)
        (folder / "checkpoints" / PREVIOUS).unlink(missing_ok=True)  # only who goes on may need it
    wait_for_all()  # or another rank would look for the result too early
    return_freed_memory()
    return result


def _selection(selection: Selection | None, checkpoint: BestAndLast | None) -> dict[str, str] | None:
    """What the best checkpoint follows in place of the monitored figure; mode=last: whatever it says, the newest."""
    if selection is not None:
        return {"figure": selection.figure, "mode": selection.mode}
    is_last = checkpoint is not None and checkpoint.mode == "last"
    return {"figure": str(checkpoint.monitor), "mode": "last"} if checkpoint and is_last else None


def _adapting(module: Any) -> dict[str, str] | None:
    """The method that the module learns from two domains by, and whose images are in training, val and the choice."""
    method = getattr(module, "adaptation", None)
    return None if method is None else {"class": type(method).__name__, "main": method.main}


def _labels(data: Any) -> torch.Tensor:
    """Those of all training images; where the loader knows them, without reading one."""
    loader = data.plain_dataloader("train")
    labels: torch.Tensor = loader.labels if hasattr(loader, "labels") else torch.cat([one.label for one in loader])
    return labels


def _log_hyperparameters(loggers: list[Any], cfg: DictConfig, final: dict[str, float]) -> None:
    """Fill TensorBoard's HPARAMS with the config's leaves and the final figures."""
    found = leaves(masked_in(resolved_without_variables(cfg)))
    flat = {
        key: value if isinstance(value, bool | int | float | str) else str(value)
        for key, value in found.items()
        if key != "run_dir"
    }
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(flat, {f"final/{name}": value for name, value in final.items()})
