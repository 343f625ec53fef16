"""The callbacks of a run, in the order in which the trainer calls them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from pytorch_lightning import Callback

from headstart.callbacks.checkpoints.best_and_last import BestAndLast
from headstart.callbacks.checkpoints.epoch_metric_state import EpochMetricState
from headstart.callbacks.checkpoints.log_positions import LogPositions
from headstart.callbacks.checkpoints.rank_seed import RankSeed
from headstart.callbacks.checkpoints.rng_states import RngStates
from headstart.callbacks.domains.domain_distances import DomainDistances
from headstart.callbacks.domains.domain_predictions import DomainPredictions
from headstart.callbacks.domains.oracle_accuracy import Oracle
from headstart.callbacks.domains.selection_scores import SelectionScores
from headstart.callbacks.learning_rates.extended_rates import ExtendedRates
from headstart.callbacks.predictions.class_recalls import ClassRecalls
from headstart.callbacks.predictions.named_test_sets import NamedTestSets
from headstart.callbacks.predictions.prediction_pictures import Figures
from headstart.callbacks.predictions.prediction_storage import ImagePredictions
from headstart.callbacks.timing.data_wait_profiler import Clock
from headstart.callbacks.timing.throughput import Throughput
from headstart.callbacks.timing.validation_times import Timeline
from headstart.callbacks.training.divergence import Divergence
from headstart.callbacks.training.final_validation import FinalValidation
from headstart.callbacks.training.finalize import Finalize
from headstart.callbacks.training.first_validation import Start
from headstart.callbacks.training.stage_caching import FeatureCaching
from headstart.callbacks.training.time_budget import TimeBudget
from headstart.callbacks.training.trial_pruning import TrialPruning
from headstart.callbacks.training.unfreeze import Unfreeze
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.compat.lightning.lightning_hooks import without_idle_hooks
from headstart.recipes.recipe_values import TUNED
from headstart.recipes.val_images_of_trials import seen_images
from headstart.runs.continuing.run_extension import EXTENDED
from headstart.runs.folder.run_folder import ANSWERS
from headstart.runs.model_parts.assembly import with_monitor
from headstart.runs.training.checkpoint_selection import adapts_to_target, scores
from headstart.runs.training.followed_directions import warn_of_wrong_directions
from headstart.runs.training.prepared_run import PreparedRun
from headstart.runs.training.trainer_profiler import profiler_of
from headstart.selection.selection import Score


@dataclass(frozen=True)
class RunCallbacks:
    """The callbacks whose results a run reads when it ends, and all of them in their order.

    Attributes:
        profiler: Measures the wait for data; the trainer gets it as its profiler.
        timeline: Steps, images and seconds at each validation.
        throughput: What each phase took.
        finalize: The module's last act before the best weights are tested.
        answers: Predictions of each image.
        divergence: Whether training diverged.
        start: The model before its first step.
        recalls: The test recall of each class.
        test_sets: What named test sets say.
        oracle: Accuracy by the target's test labels; None where nobody asks.
        pruning: Stops a hopeless run of a search; None of a run that is no search's.
        checkpoint: What keeps best.ckpt and last.ckpt; None where the config leaves it out.
        adapts: Whether the run learns for a target without labels.
        ordered: All callbacks of the trainer.
    """

    profiler: Clock
    timeline: Timeline
    throughput: Throughput
    finalize: Finalize
    answers: ImagePredictions
    divergence: Divergence
    start: Start
    recalls: ClassRecalls
    test_sets: NamedTestSets
    oracle: Oracle | None
    pruning: TrialPruning | None
    checkpoint: BestAndLast | None
    adapts: bool
    ordered: list[Callback]


def run_callbacks(cfg: DictConfig, folder: Path, run: PreparedRun, *, run_hash: str) -> RunCallbacks:
    """The callbacks of a run; those that the config names stand between the run's own.

    Args:
        cfg: The config of the run.
        folder: The run's folder.
        run: What is fitted.
        run_hash: The hash of the config, which checkpoints hold.
    """
    profiler = Clock(inner=profiler_of(cfg.trainer, folder), folder=folder)
    timeline, throughput, finalize = Timeline(), Throughput(clock=profiler), Finalize()
    answers = ImagePredictions(folder=folder / ANSWERS)
    divergence = Divergence(skipped_steps=cfg.get("skipped_steps") or 0)  # a source model's config has no such key
    features = FeatureCaching(cache=instantiate(cfg.feature_cache) if cfg.get("feature_cache") else None)
    start = _start(cfg, run, features, answers)
    if (images := seen_images(cfg.get(TUNED))) is not None:
        answers.set_seen_by_trials(images)
    configured = _configured(cfg, folder, run)
    checkpoint = next((callback for callback in configured if isinstance(callback, BestAndLast)), None)
    if checkpoint:
        _set_monitor(checkpoint, cfg, run, run_hash)
    adapts = adapts_to_target(cfg)
    domains: list[Callback] = (
        [
            DomainPredictions(),
            SelectionScores(scores=scores(run.selection, sees_source=run.knows_labels)),
            DomainDistances(),
        ]
        if adapts
        else []
    )
    recalls, test_sets = ClassRecalls(), NamedTestSets(sets=run.test_sets, folder=folder / ANSWERS)
    oracle = Oracle() if cfg.get("oracle") else None
    pruning = TrialPruning(trial=cfg.trial, monitor=_followed(run)) if cfg.get("trial") else None
    longer = [ExtendedRates(schedule=cfg[EXTENDED].schedule)] if cfg.get(EXTENDED) else []
    # a stage becomes trainable before it is measured, and is timed before it is saved
    first = [*_time_budget(cfg), *longer, _unfreeze(run), features, throughput, start, timeline]
    # RngStates is the last of all: see there
    states: list[Callback] = [EpochMetricState(), LogPositions(folder=folder), RankSeed(seed=cfg.seed), RngStates()]
    pruners: list[Callback] = [pruning] if pruning else []
    last = [FinalValidation(), divergence, *configured, *pruners, finalize, recalls, answers, test_sets, *states]
    return RunCallbacks(
        profiler=profiler,
        timeline=timeline,
        throughput=throughput,
        finalize=finalize,
        answers=answers,
        divergence=divergence,
        start=start,
        recalls=recalls,
        test_sets=test_sets,
        oracle=oracle,
        pruning=pruning,
        checkpoint=checkpoint,
        adapts=adapts,
        ordered=without_idle_hooks([*first, *domains, *([oracle] if oracle else []), *last]),
    )


def _unfreeze(run: PreparedRun) -> Unfreeze:
    steps = getattr(run.assembly.module, "backbone_warmup_steps", 0)  # a module of one's own need not have it
    return Unfreeze(run.assembly.schedule, backbone_warmup_steps=steps)


def _configured(cfg: DictConfig, folder: Path, run: PreparedRun) -> list[Callback]:
    """The callbacks that the config names; its figures keep thumbnails in the run's folder."""
    warn_of_wrong_directions(cfg, run.monitor)
    callbacks: list[Callback] = [
        instantiate(with_monitor(node, run.monitor)) for node in cfg.callbacks.values() if node
    ]
    for callback in callbacks:
        if isinstance(callback, Figures):
            callback.folder = folder / ANSWERS
    return callbacks


def _followed(run: PreparedRun) -> str:
    """The metric of val whose curve a sweeper's value is of."""
    return run.monitor if run.selection is None else run.selection.metric


def _time_budget(cfg: DictConfig) -> list[TimeBudget]:
    """What says how far the run is, by the time that it has; none without trainer.max_time."""
    max_time = cfg.trainer.get("max_time")  # a source model's trainer has no such key
    return [] if max_time is None else [TimeBudget(max_time)]


def _start(cfg: DictConfig, run: PreparedRun, features: FeatureCaching, answers: ImagePredictions) -> Start:
    """What measures the model before its first step, with a head in closed form."""
    assembly = run.assembly
    # random weights are those of a seed, and of adapters too: nobody would read what is stored of them
    shared = (
        bool(run.weights.backbone) and set(assembly.backbone.names) <= set(run.from_source) and assembly.adapted is None
    )
    begins = run.knows_labels and assembly.head.init == "class_means"
    return Start(
        data=assembly.data,
        head=copy.deepcopy(assembly.head),  # before a strategy shards it: then it cannot be copied
        images=cfg.get("start_images"),
        # a source model's config has no such key, and nobody asks; of open class sets one class has no image
        measures=begins
        or (run.knows_labels and cfg.get("start_class_means", False) and cfg.get("class_sets") != "open"),
        begins=begins,
        validates=run.validates,
        cache=features if shared else None,
        answers=answers,
    )


def _set_monitor(checkpoint: BestAndLast, cfg: DictConfig, run: PreparedRun, run_hash: str) -> None:
    """Say what the best checkpoint follows: a selection, the newest, or what its config says."""
    checkpoint.run_hash = run_hash
    selection = run.selection
    if selection is not None:
        checkpoint.follow(selection.metric, mode=selection.mode, start_counts=not isinstance(selection, Score))
    elif not run.validates or cfg.trainer.get("limit_val_batches") == 0:
        checkpoint.mode = "last"  # no metric says which is best
    elif not run.knows_labels and (cfg.callbacks.get("checkpoint") or {}).get("monitor") is None:
        checkpoint.mode = "last"  # the source's val metrics fall as the model becomes the target's
