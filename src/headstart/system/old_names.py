"""Names of earlier versions in configs and commands, and the names that they have now.

Configs and results in run folders of earlier versions are read through these tables. A run's hash is computed over the
earliest names, so that the same run has the same hash in every version. On a command line and in a user's own YAML
earlier names are refused, with the name of today.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

PACKAGE = "headstart."
# each table: earliest name -> name of today
KEYS = {  # at the top of the config; of groups too
    "store": "feature_cache",
    "rule": "recipe",
    "open": "trainable",
    "inject": "peft",
    "prolong": "extended_lr",
    "prolonged": "extended",
}
VALUES = {  # of keys at the top of the config, by today's key
    "trainable": {"fresh": "new_stages"},
    "task": {"store": "feature_cache"},
}
SETTINGS = {  # of a class, by its name of today: path of the key -> key; * is each item of a list
    "headstart.unfreeze.schedules.explicit_phases.Explicit": {"phases.*.open": "trainable"},
    "headstart.unfreeze.schedules.schedule_phases.Phase": {"open": "trainable"},
}
OBJECTS: dict[str, str] = {  # below `headstart`: classes and functions with another name, or in a file of their own
    "data.draw.Drawn": "data.splits.image_budget.ImageBudget",
    "data.named.Named": "data.datasets.torchvision_datasets.TorchvisionDataset",
    "data.table.Table": "data.datasets.image_table.ImageTable",
    "features.store.Store": "features.cache.activation_cache.FeatureCache",
    "tasks.store.store": "tasks.feature_cache.feature_cache",
}
MODULES = {  # below `headstart`: where a module's classes and functions are now
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
    "callbacks.figures": "callbacks.predictions.prediction_pictures",
    "callbacks.progress": "callbacks.timing.progress_bar",
    "callbacks.rates": "callbacks.learning_rates.rate_logging",
    "callbacks.replicas": "callbacks.training.replica_check",
    "callbacks.start": "callbacks.training.first_validation",
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
    "data.shards": "data.webdataset.shard_reading",
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
    "features.images": "features.cache.cached_activations",
    "mix.cutmix": "data.transforms.mix.cutmix",
    "mix.mixup": "data.transforms.mix.mixup",
    "mix.mixup_cutmix": "data.transforms.mix.mixup_cutmix",
    "modules.head": "modules.heads.linear_head",
    "modules.inverse_decay_scheduler": "modules.optimization.inverse_decay_scheduler",
    "modules.warmup_step": "modules.optimization.warmup_step_scheduler",
    "report.files": "system.files.atomic_write",
    "report.hook": "report.multirun_hook",
    "sharding": "distributed.model_sharding",
    "tasks.bit": "recipes.bit",
    "tasks.source": "runs.weights.source_model",
    "tasks.tuning": "recipes.equal_tuning",
    "tasks.vtab1k": "recipes.vtab1k",
    "tasks.weights_file": "runs.weights.weights_from_file",
    "tasks.weights_pretrained": "runs.weights.weights_from_library",
    "unfreeze.chain_thaw": "unfreeze.schedules.chain_thaw",
    "unfreeze.explicit": "unfreeze.schedules.explicit_phases",
    "unfreeze.gradual": "unfreeze.schedules.gradual",
    "unfreeze.lp_ft": "unfreeze.schedules.lp_ft",
    "unfreeze.phases": "unfreeze.schedules.schedule_phases",
    "unfreeze.shortened": "unfreeze.schedules.shortened_phases",
}
LATER_MODULES = {  # names of a module between its earliest and that of today
    "callbacks.training.rate_logging": "callbacks.learning_rates.rate_logging",
    "modules.warmup_step_scheduler": "modules.optimization.warmup_step_scheduler",
}

INTERPOLATION = re.compile(r"(\$\{)(\w+)(?=[.}])")
OVERRIDE = re.compile(r"([+~]*)(\w+)(.*)", re.DOTALL)


def _reversed(table: Mapping[str, str]) -> dict[str, str]:
    return {now: before for before, now in table.items()}


class _Names:
    """One direction of translation: from the earliest names to those of today, or back."""

    def __init__(self, *, to_now: bool) -> None:
        def turned(table: Mapping[str, str]) -> dict[str, str]:
            return dict(table) if to_now else _reversed(table)

        self.keys, self.objects, self.modules = turned(KEYS), turned(OBJECTS), turned(MODULES)
        self.modules |= (
            LATER_MODULES if to_now else {later: _reversed(MODULES)[now] for later, now in LATER_MODULES.items()}
        )
        key_of = {} if to_now else self.keys
        self.values = {key_of.get(key, key): turned(table) for key, table in VALUES.items()}
        self.settings = {
            target: table if to_now else {_ends_in(path, name): _last(path) for path, name in table.items()}
            for target, table in SETTINGS.items()
        }

    def config(self, node: Any) -> Any:
        """A whole config, its keys at the top included."""
        if not isinstance(node, dict):
            return self.below(node)
        renamed_top = {self.keys.get(key, key): child for key, child in node.items()}
        return {key: self._value(str(key), self.below(child)) for key, child in renamed_top.items()}

    def below(self, node: Any) -> Any:
        """A node of a config."""
        if isinstance(node, list):
            return [self.below(child) for child in node]
        if isinstance(node, str):
            return self._text(node)
        if not isinstance(node, dict):
            return node
        target = node.get("_target_")
        of_class = self.settings.get(name_now(target) if isinstance(target, str) else "", {})
        for path, name in of_class.items():
            node = with_key(node, path.split("."), name)
        return {key: self.target(child) if key == "_target_" else self.below(child) for key, child in node.items()}

    def target(self, name: Any) -> Any:
        """A dotted name of a class or function."""
        if not isinstance(name, str) or not name.startswith(PACKAGE):
            return name
        dotted = name.removeprefix(PACKAGE)
        if dotted in self.objects:
            return PACKAGE + self.objects[dotted]
        module, _, last = dotted.rpartition(".")
        return f"{PACKAGE}{self.modules[module]}.{last}" if module in self.modules else name

    def override(self, text: str) -> str:
        """An override, or the key of one."""
        parts = OVERRIDE.fullmatch(text)
        if parts is None:
            return text
        sign, key, rest = parts[1], self.keys.get(parts[2], parts[2]), parts[3]
        if rest.startswith("=") and key in self.values:
            rest = "=" + ",".join(str(self._value(key, value)) for value in rest[1:].split(","))
        return f"{sign}{key}{self._text(rest)}"

    def _value(self, key: str, value: Any) -> Any:
        return self.values[key].get(value, value) if key in self.values and isinstance(value, str) else value

    def _text(self, text: str) -> str:
        if "${" not in text:
            return text
        return INTERPOLATION.sub(lambda match: match[1] + self.keys.get(match[2], match[2]), text)


def renamed(config: Any) -> Any:
    """A plain config with today's names for those of earlier versions."""
    return _NOW.config(config)


def as_earlier(config: Any) -> Any:
    """A plain config with the names of the earliest version, as hashes are computed over."""
    return _EARLIEST.config(config)


def name_now(target: str) -> str:
    """What a dotted name of an earlier version is called now; any other name as it is."""
    return str(_NOW.target(target))


def override_now(text: str) -> str:
    """An override of an earlier version, or its key, as it is written now; any other as it is."""
    return _NOW.override(text)


def override_earlier(text: str) -> str:
    """An override of today, or its key, as the earliest version wrote it."""
    return _EARLIEST.override(text)


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _ends_in(path: str, name: str) -> str:
    """The path with this name for its last key."""
    above, dot, _ = path.rpartition(".")
    return above + dot + name


def with_key(node: Any, path: Iterable[str], name: str) -> Any:
    """The node with the key at this path called by another name; as it is where the path leads nowhere."""
    first, *rest = path
    if isinstance(node, list) and first == "*":
        return [with_key(child, rest, name) for child in node]
    if not isinstance(node, dict) or first not in node:
        return node
    if rest:
        return {key: with_key(child, rest, name) if key == first else child for key, child in node.items()}
    return {name if key == first else key: child for key, child in node.items()}


_NOW = _Names(to_now=True)
_EARLIEST = _Names(to_now=False)
