"""Pictures of what the layers learn, drawn while a run goes on."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from pytorch_lightning import Callback, LightningModule, Trainer

from headstart.backbones.weights.tensors.tensor_file import torn_part
from headstart.callbacks.checkpoints.rng_states import random_states, set_random_states
from headstart.callbacks.loggers.logger_display import show_image
from headstart.compat.lightning.lightning_trainer import datamodule_of
from headstart.compat.pytorch.torch_compilation import is_compiled
from headstart.data.data_protocols import without_labels
from headstart.distributed.model_sharding import is_sharded
from headstart.explain.explained_network import Network
from headstart.explain.image_choice import HiddenLabelError, batches_of, images_of, names_of
from headstart.explain.picture_protocol import ExplainedImages, Picture, Shown, Subject, UnfitError
from headstart.explain.rendering.gallery_files import png
from headstart.modules.module_protocols import HeadedModule, has_several_labels
from headstart.system.files.checkpoint_reading import loaded
from headstart.types import UserError

log = logging.getLogger(__name__)
BEFORE = "before.pt"  # in the folder, while a run is not finished


class Explain(Callback):
    """Draws kinds of pictures of the same images before the first step, after every n epochs, and at the end of fit.

    Each is <folder>/<kind>/<name>-step<optimizer steps done>.png, and explain/<kind>/<name> among the loggers' images.
    Rank 0 draws, from the module itself and without a word to the others, which wait for it in the next step. The
    weights are those that are trained, also where others are validated (callbacks=ema). Nothing of the run changes:
    random numbers, modes, gradients and what is trainable are afterwards what they were.

    Where a kind asks what training began with, these weights lie in the folder's before.pt from the first drawing on
    until fit ends: in memory they would be held all the time, and in a checkpoint written again each time.
    A kind that does not apply, or needs hidden labels, is left out with a warning, once. So are all where the weights
    are sharded (trainer=fsdp): no device has a network to look at.

    Args:
        pictures: The kinds of pictures by their names, as task=explain draws them.
        every_epochs: After how many epochs they are drawn; None means before training and at its end only.
        images: The first so many images of the split, in which classes take turns. Where an adaptation hides its
            target's labels they are the target's, and no kind sees a label.
        split: Of the images; those of the test are for the end, and cannot be chosen.
        batch_size: How many images pass through the network at once, at most.
        folder: The folder of the pictures.
    """

    def __init__(
        self,
        *,
        pictures: Mapping[str, Picture | None],
        every_epochs: Annotated[int, Ge(1)] | None,
        images: Annotated[int, Ge(1)],
        split: Literal["train", "val"],
        batch_size: Annotated[int, Ge(1)],
        folder: str | Path,
    ) -> None:
        self.pictures: dict[str, Picture] = {name: kind for name, kind in pictures.items() if kind is not None}
        if not self.pictures:
            raise UserError(
                "callbacks.explain.pictures must name one kind at least, got none; "
                "try picture@callbacks.explain.pictures=[filters]"
            )
        self.every_epochs, self.images, self.split = every_epochs, images, split
        self.batch_size, self.folder = batch_size, Path(folder)
        self._images: ExplainedImages | None = None
        self._last: int | None = None  # the step of the last drawing
        self._said: set[str] = set()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step == 0:  # a resumed run has had its start
            if trainer.is_global_zero:
                self._clear()
            self._draw(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # not at the end of the last one: a run that is killed after that epoch's checkpoint goes on here
        epochs = trainer.current_epoch
        if epochs and self.every_epochs and epochs % self.every_epochs == 0:
            self._draw(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._draw(trainer, pl_module)
        if trainer.is_global_zero:
            (self.folder / BEFORE).unlink(missing_ok=True)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._images = self._last = None

    def _draw(self, trainer: Trainer, module: LightningModule) -> None:
        if self._last == trainer.global_step or not trainer.is_global_zero:
            return
        if is_sharded(module):
            self._say("pictures need whole weights on each device; with trainer=fsdp callbacks.explain draws nothing")
            return
        self._last = trainer.global_step
        with _unnoticed(module):
            subject = self._subject(trainer, module)
            with subject.network.at_rest():
                for name, kind in self.pictures.items():
                    for shown in self._drawn(name, kind, subject):
                        self._keep(name, shown, trainer)

    def _drawn(self, name: str, kind: Picture, subject: Subject) -> Iterator[Shown]:
        try:
            yield from kind.drawn(subject)
        except (UnfitError, HiddenLabelError) as error:
            self._say(f"picture {name} left out: {error}")

    def _keep(self, kind: str, shown: Shown, trainer: Trainer) -> None:
        path = self.folder / kind / f"{shown.name}-step{trainer.global_step:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(shown.image))
        show_image(trainer.loggers, f"explain/{kind}/{shown.name}", shown.image, trainer.global_step)

    def _subject(self, trainer: Trainer, module: LightningModule) -> Subject:
        if not isinstance(module, HeadedModule):
            raise UserError(
                f"callbacks.explain looks at a module's backbone and head, and {type(module).__name__} lacks one; "
                "leave it out, or take module=classifier"
            )
        network = Network(module.backbone, module.head, has_several_labels(module))  # type: ignore[arg-type]
        data = datamodule_of(trainer)
        data = without_labels(data)  # of a run that adapts: its target, the labels out of reach
        if self._images is None:
            self._images = images_of(data, self.split, self.images)
        return Subject(
            network=network,
            images=self._images,
            class_names=tuple(data.class_names),
            batch_size=self.batch_size,
            searched=lambda: batches_of(data, self.split, self.batch_size),
            searched_names=lambda: names_of(data, self.split),
            before=cache(lambda: self._before(network, trainer.global_step)),  # once a drawing, whoever asks
            quiet=True,  # the run has a bar of its own
        )

    def _before(self, network: Network, step: int) -> Network | None:
        """What training began with, as a network of its own; None where no drawing at step 0 kept it."""
        path = self.folder / BEFORE
        if step == 0 and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial")
            torch.save({"backbone": network.backbone.state_dict(), "head": network.head.state_dict()}, partial)
            partial.replace(path)
        if not path.exists():
            return None
        if torn := torn_part(path):
            self._say(f"{path} is damaged (its part {torn}): nothing is shown of the time before training")
            return None
        state = loaded(path)
        initial = Network(copy.deepcopy(network.backbone), copy.deepcopy(network.head), network.several)
        initial.backbone.load_state_dict(state["backbone"])
        initial.head.load_state_dict(state["head"])
        return initial

    def _clear(self) -> None:
        """Take away what an earlier run in the same folder has drawn."""
        (self.folder / BEFORE).unlink(missing_ok=True)
        for earlier in self.folder.glob(f"*/*-step{'[0-9]' * 6}*.png"):
            earlier.unlink()

    def _say(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            log.warning("%s", message)


@contextmanager
def _unnoticed(module: LightningModule) -> Iterator[None]:
    """Whatever draws random numbers takes none of the run's; what is compiled runs uncompiled, and compiles nothing."""
    states = random_states(module.device)
    compiled = any(map(is_compiled, module.modules()))
    try:
        with torch.compiler.set_stance("force_eager") if compiled else nullcontext():
            yield
    finally:
        set_random_states(states, module.device)
