"""Names of earlier versions in configs, checkpoints and results, and the names that they have now.

Configs in run folders of earlier versions are read through this table. A run's hash is computed over the earlier names,
so that the same run has the same hash in every version.
"""

from __future__ import annotations

from typing import Any

PACKAGE = "headstart."
MODULES = {  # below `headstart`: module -> where its classes and functions are now
    "backbones.adapters": "backbones.injected.adapters",
    "backbones.download": "backbones.weights.download",
    "backbones.lenet": "backbones.zoo.lenet",
    "backbones.lora": "backbones.injected.lora",
    "backbones.own_module": "backbones.zoo.user_module",
    "backbones.small_cnn": "backbones.zoo.small_cnn",
    "backbones.timm_models": "backbones.zoo.timm_models",
    "backbones.torchvision_models": "backbones.zoo.torchvision_models",
    "callbacks.checkpoint": "callbacks.checkpoints.best_and_last",
    "callbacks.domain_figures": "callbacks.domains.domain_scatter",
    "callbacks.ema": "callbacks.training.ema",
    "callbacks.explain": "callbacks.predictions.layer_pictures",
    "callbacks.figures": "callbacks.predictions.confusion_pictures",
    "callbacks.progress": "callbacks.timing.progress_bar",
    "callbacks.rates": "callbacks.training.learning_rates",
    "callbacks.replicas": "callbacks.training.replica_check",
    "callbacks.start": "callbacks.training.initial_model",
    "callbacks.throughput": "callbacks.timing.throughput",
    "data.augment": "data.transforms.augmentation",
    "data.augmentations.chain": "data.transforms.augmentation_chain",
    "data.augmentations.crop": "data.transforms.random_resized_crop",
    "data.augmentations.flip": "data.transforms.random_flip",
    "data.augmentations.rand_augment": "data.transforms.rand_augment",
    "data.augmentations.trivial_augment": "data.transforms.trivial_augment",
    "data.digits": "data.datasets.digits",
    "data.draw": "data.splits.image_budget",
    "data.folder": "data.datasets.image_folder",
    "data.hugging_face": "data.datasets.hugging_face",
    "data.named": "data.datasets.torchvision_datasets",
    "data.printed": "data.datasets.printed_characters",
    "data.shards": "data.datasets.webdataset_shards",
    "data.table": "data.datasets.image_table",
    "data.tta.five_crops": "evaluation.views.five_crops",
    "data.tta.flip": "evaluation.views.flip",
    "data.tta.ten_crops": "evaluation.views.ten_crops",
    "data.webdataset": "data.datasets.webdataset",
    "explain.attention_rollout": "explain.pictures.attention_rollout",
    "explain.before_after": "explain.pictures.changed_channels",
    "explain.changes": "explain.pictures.stage_changes",
    "explain.dead_units": "explain.pictures.dead_units",
    "explain.deconvnet": "explain.pictures.deconvnet",
    "explain.feature_inversion": "explain.pictures.feature_inversion",
    "explain.feature_maps": "explain.pictures.feature_maps",
    "explain.feature_space": "explain.pictures.feature_space",
    "explain.filters": "explain.pictures.first_filters",
    "explain.grad_cam": "explain.pictures.grad_cam",
    "explain.gradient": "explain.pictures.input_gradient",
    "explain.guided_backpropagation": "explain.pictures.guided_backpropagation",
    "explain.integrated_gradients": "explain.pictures.integrated_gradients",
    "explain.nearest_neighbours": "explain.pictures.nearest_neighbours",
    "explain.occlusion": "explain.pictures.occlusion",
    "explain.receptive_field": "explain.pictures.receptive_field",
    "explain.smooth_grad": "explain.pictures.smooth_grad",
    "explain.top_activations": "explain.pictures.top_activations",
    "features.images": "features.cache.cached_images",
    "features.store": "features.cache.feature_cache",
    "mix.cutmix": "data.transforms.mix.cutmix",
    "mix.mixup": "data.transforms.mix.mixup",
    "mix.mixup_cutmix": "data.transforms.mix.mixup_cutmix",
    "modules.warmup_step": "modules.warmup_step_scheduler",
    "report.files": "system.atomic_write",
    "report.hook": "report.multirun_hook",
    "sharding": "distributed.model_sharding",
    "tasks.bit": "recipes.bit",
    "tasks.source": "runs.weights.source_model",
    "tasks.store": "tasks.feature_cache",
    "tasks.tuning": "recipes.equal_tuning",
    "tasks.vtab1k": "recipes.vtab1k",
    "tasks.weights_file": "runs.weights.weights_from_file",
    "tasks.weights_pretrained": "runs.weights.weights_from_library",
    "unfreeze.chain_thaw": "unfreeze.schedules.chain_thaw",
    "unfreeze.explicit": "unfreeze.schedules.explicit_phases",
    "unfreeze.gradual": "unfreeze.schedules.gradual",
    "unfreeze.lp_ft": "unfreeze.schedules.lp_ft",
    "unfreeze.phases": "unfreeze.schedules.schedule_phases",
    "unfreeze.shortened": "unfreeze.schedules.shortened",
}
_EARLIER = {now: before for before, now in MODULES.items()}
EXPLICIT = "headstart.unfreeze.schedules.explicit_phases.Explicit"
PHASE = "headstart.unfreeze.schedules.schedule_phases.Phase"
PHASE_KEYS = {"open": "trainable"}  # of a phase: setting -> what it is called now
_EARLIER_PHASE_KEYS = {now: before for before, now in PHASE_KEYS.items()}


def renamed(node: Any) -> Any:
    """A plain config with today's names for those of earlier versions."""
    return _with_names(node, MODULES, PHASE_KEYS)


def as_earlier(node: Any) -> Any:
    """A plain config with the names of the earliest version, as hashes are computed over."""
    return _with_names(node, _EARLIER, _EARLIER_PHASE_KEYS)


def name_now(target: str) -> str:
    """What a dotted name of an earlier version is called now; any other name as it is."""
    return str(_moved(target, MODULES))


def _with_names(node: Any, modules: dict[str, str], phase_keys: dict[str, str]) -> Any:
    if isinstance(node, dict):
        named = {key: _with_names(value, modules, phase_keys) for key, value in node.items()}
        if "_target_" in node:
            named["_target_"] = _moved(node["_target_"], modules)
            named = _with_phase_keys(named, name_now(str(node["_target_"])), phase_keys)
        return named
    if isinstance(node, list):
        return [_with_names(item, modules, phase_keys) for item in node]
    return node


def _with_phase_keys(node: dict[Any, Any], target: str, phase_keys: dict[str, str]) -> dict[Any, Any]:
    """A call's config with other names for the settings of its phases, where it has phases."""
    if target == PHASE:
        return {phase_keys.get(key, key): value for key, value in node.items()}
    if target != EXPLICIT or not isinstance(node.get("phases"), list):
        return node
    phases = [
        {phase_keys.get(key, key): value for key, value in phase.items()} if isinstance(phase, dict) else phase
        for phase in node["phases"]
    ]
    return node | {"phases": phases}


def _moved(target: Any, modules: dict[str, str]) -> Any:
    if not isinstance(target, str) or not target.startswith(PACKAGE):
        return target
    module, _, name = target.removeprefix(PACKAGE).rpartition(".")
    return f"{PACKAGE}{modules[module]}.{name}" if module in modules else target
