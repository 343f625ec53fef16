"""Probe of the head that a config names: trained on features, or on tokens, under each setting of a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from headstart.backbones.token_output import give_tokens
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.data.loading.batch_order import EpochOrder
from headstart.features.probing.probe_kinds import ProbeSettings
from headstart.features.probing.probes import LabelledFeatures, Probe, ProbeData, ProbeKind
from headstart.features.probing.standardisation import CONSTANT
from headstart.runs.probing.frozen_features import Frozen, Stored, frozen

LINEAR_HEAD = "headstart.modules.heads.linear_head.LinearHead"
AT_ONCE = 256  # images whose logits are computed at once
TOKENS = " tokens"  # after the stage's name


@dataclass(frozen=True)
class FrozenWithTokens(Frozen):
    """A frozen model whose last stage is also read as tokens or maps, under a name of its own.

    Args:
        token_model: The same model, which gives tokens.
    """

    token_model: Frozen

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages' names, from the input on, and that of the tokens."""
        names = super().stages
        return (*names, names[-1] + TOKENS)

    def features(self, split: str, stages: Sequence[str], *, is_pooled: bool = True) -> Stored:
        """The features after each of these stages; tokens (N, tokens, width) or maps are not pooled."""
        plain = [stage for stage in stages if not stage.endswith(TOKENS)]
        pooled = super().features(split, plain, is_pooled=is_pooled) if plain else None
        if len(plain) == len(stages) and pooled is not None:
            return pooled
        last = self.token_model.stages[-1]
        tokens = self.token_model.features(split, [last], is_pooled=False)
        named = {last + TOKENS: tokens.features[last], **({} if pooled is None else pooled.features)}
        return Stored({stage: named[stage] for stage in stages}, tokens.label, tokens.names)


def probed_model(cfg: DictConfig, run_dir: str | None, data: DictConfig | None) -> Frozen:
    """The frozen model of a probe; where the config's head has `blocks`, its last stage is read as tokens too.

    Args:
        cfg: The composed config.
        run_dir: As for frozen().
        data: As for frozen().
    """
    plain = OmegaConf.merge(cfg, {})
    assert isinstance(plain, DictConfig)
    OmegaConf.set_struct(plain, False)
    plain.head = {"_target_": LINEAR_HEAD, "init": "random"}
    model = frozen(plain, run_dir, data)
    if cfg.head.get("blocks") is None:
        return model
    token_model = frozen(plain, run_dir, data)
    if not token_model.parts.backbone.gives_tokens:  # as that of a run with such a head
        give_tokens(token_model.parts.backbone, cfg.head.blocks)
    return FrozenWithTokens(model.parts, model.cache, model.engine, model.facts, token_model)


def own_kinds(cfg: DictConfig, model: Frozen, kinds: ProbeSettings, stage: str) -> dict[str, ProbeKind]:
    """The kind of the config's head, by its name; empty for the linear one, and where it does not read this stage.

    Args:
        cfg: The composed config.
        model: Of the probe.
        kinds: The grid, the epochs, the size of a batch.
        stage: That is read.
    """
    if cfg.head["_target_"] == LINEAR_HEAD or (cfg.head.get("blocks") is not None) != stage.endswith(TOKENS):
        return {}
    name = str(cfg.head["_target_"]).rpartition(".")[2].lower().removesuffix("head")
    about: dict[str, Any] = {}
    if isinstance(model, FrozenWithTokens):
        about["class_tokens"] = model.token_model.parts.backbone.class_tokens

    def learn(material: ProbeData) -> Probe:
        return _trained_heads(cfg.head, about, kinds, material)

    return {name: learn}


def _trained_heads(node: DictConfig, about: dict[str, Any], kinds: ProbeSettings, material: ProbeData) -> Probe:
    """One head a setting (learning rate, weight decay), each trained by AdamW from the same random weights."""
    scale = _ChannelScale.of(material.train.features)
    train, val = (LabelledFeatures(scale(part.features), part.labels) for part in (material.train, material.val))
    about = about | {"width": scale.width, "num_classes": material.num_classes}
    heads, settings = [], []
    for lr, decay in kinds.grid:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(kinds.seed)
            head = instantiate(node, init="random", standardise=False, **about).to(train.features.device)
            epoch = _train(head, train, val, lr, decay, kinds)
        heads.append(head.eval())
        settings.append({"lr": lr, "weight_decay": decay} | ({"epoch": epoch} if kinds.stops else {}))

    def predict(features: Tensor, fits: Sequence[int]) -> Tensor:
        scaled = scale(features)
        return torch.stack([_predicted(heads[number], scaled) for number in fits])

    return Probe(settings, predict)


class _ChannelScale(NamedTuple):
    """Mean and standard deviation of each channel of features (N, D), tokens (N, T, D) or maps (N, D, H, W)."""

    mean: Tensor
    deviation: Tensor
    width: int

    @classmethod
    def of(cls, features: Tensor) -> _ChannelScale:
        channel = 1 if features.ndim == 4 else features.ndim - 1
        others = [dimension for dimension in range(features.ndim) if dimension != channel]
        mean = features.mean(dim=others, keepdim=True)
        deviation = features.std(dim=others, keepdim=True, correction=0)
        return cls(mean, deviation.where(deviation > CONSTANT * mean.abs(), 1.0), features.shape[channel])

    def __call__(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.deviation


def _train(
    head: nn.Module, train: LabelledFeatures, val: LabelledFeatures, lr: float, decay: float, kinds: ProbeSettings
) -> int:
    """Train by cross-entropy, the rate falling along a cosine to 0 -> the epoch whose weights the head has then."""
    decayed = [parameter for parameter in head.parameters() if parameter.ndim > 1]
    plain = [parameter for parameter in head.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr)
    images = EpochOrder(length=len(train.labels), seed=kinds.seed)
    steps = kinds.epochs * math.ceil(len(train.labels) / kinds.batch_size)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best, most, state = kinds.epochs, -1, {}
    for epoch in range(kinds.epochs):
        images.set_epoch(epoch)
        order = torch.from_numpy(images.positions()).to(train.labels.device)
        for batch in torch.split(order, kinds.batch_size):
            optimizer.zero_grad()
            loss = cross_entropy(head.train()(train.features[batch]), train.labels[batch])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            scheduler.step()
        if kinds.stops:
            right = int((_predicted(head, val.features) == val.labels).sum())
            if right > most:
                best, most = epoch + 1, right
                state = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    if state:
        head.load_state_dict(state)
    return best


@torch.no_grad()
def _predicted(head: nn.Module, features: Tensor) -> Tensor:
    """The likeliest class of each image (N,), in eval()."""
    head.eval()
    return torch.cat([head(part).argmax(dim=1) for part in torch.split(features, AT_ONCE)])
