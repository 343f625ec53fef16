"""A backbone: a chain of named stages from an image to its features."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from headstart.types import Pixels, UserError

RESERVED_NAMES = ("head", "all", "biases", "norms")  # words that schedules have a meaning for, and so name no stage


class Backbone(nn.Module):
    """An ordered chain of named stages.

    `width` is the number of features D of an image, or of a token where it gives these (`gives_tokens`, which
    backbones/token_output.py sets); the first `class_tokens` of them are no patches. `original` maps the names of
    tensors in the network that the stages come from to their names here, those of stages that are not kept included.

    Args:
        stages: Name -> module, from input to head.
        pixels: Size, channels, mean and deviation of the images.
        keep: The first stages that are used; None means all.
        net: The network that the stages come from, by whose names weight files are read.
        zoo: (library, model) with pretrained weights for `net`, as ("torchvision", "resnet18").
        model: (library, model) that `net` is, where the library has no weights for it; None means zoo.

    Raises:
        UserError: keep is not one of 1..number of stages, or a stage has a reserved name.
    """

    def __init__(
        self,
        stages: Mapping[str, nn.Module],
        *,
        pixels: Pixels,
        keep: int | None,
        net: nn.Module | None = None,
        zoo: tuple[str, str] | None = None,
        model: tuple[str, str] | None = None,
    ) -> None:
        super().__init__()
        names = list(stages)
        if taken := [name for name in names if name in RESERVED_NAMES]:
            raise UserError(
                f"a stage must not be called {', '.join(RESERVED_NAMES)}, which schedules have a meaning for, got a "
                f"backbone with the stages {', '.join(names)}; give {taken[0]} another name (the head is no stage)"
            )
        if keep is not None and not 1 <= keep <= len(names):
            raise UserError(f"backbone.keep must be 1 to {len(names)}, got {keep}; the stages are {', '.join(names)}")
        self.original = {} if net is None else _original_names(net, stages)  # before .to() makes buffers anew
        self.stages = nn.ModuleDict({name: stages[name] for name in names[:keep]})
        self.pixels, self.zoo, self.model = pixels, zoo, model or zoo
        self.gives_tokens, self.class_tokens = False, 0
        self._rows: dict[tuple[int, torch.device], tuple[Tensor, ...]] = {}  # see _mean_and_std
        # convolutions on a CPU take half the time, on a GPU with tensor cores less too; the numbers differ by 1e-7
        self.to(memory_format=torch.channels_last)
        self.width = self._measured_width()

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """Images (B, channels, H, W), or what stage start-1 gave -> features (B, width), pooled over space.

        Images are uint8, or float32 and normalised as pixels says. Where it gives tokens, those are not pooled.
        """
        x = self.entering(x) if start == 0 else x
        for stage in list(self.stages.values())[start:]:
            x = stage(x)
        return self.to_head(x)

    def to_head(self, x: Tensor) -> Tensor:
        """What the last stage gives, as the head takes it: pooled, or as it is where the backbone gives tokens."""
        return x if self.gives_tokens else pooled(x)

    def outputs(self, x: Tensor, start: int = 0) -> dict[str, Tensor]:
        """What each stage from `start` on makes of the same, by its name; forward gives the last one, pooled."""
        x = self.entering(x) if start == 0 else x
        by_stage = {}
        for name, stage in list(self.stages.items())[start:]:
            by_stage[name] = x = stage(x)
        return by_stage

    def entering(self, image: Tensor) -> Tensor:
        """Images as the first stage takes them: uint8 (B, channels, H, W) -> normalised, of the weights' type.

        (x / 255 - mean) / std, in float32; others as they are.
        """
        if image.dtype != torch.uint8:
            return image
        mean, std = self._mean_and_std(image.shape[-1], image.device)
        normalised = image.to(torch.float32).div_(255).sub_(mean).div_(std)
        return normalised.to(next((weight.dtype for weight in self.parameters()), torch.float32))

    def _mean_and_std(self, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Two times (1, channels, 1, width), in memory as a row of channels_last images.

        One value a channel would do, in ten times the time on a CPU. No buffers: bf16-true would round them.
        """
        key = (width, device)
        if key not in self._rows:
            with torch.inference_mode(False):  # what is made in that mode cannot be used in training
                values = torch.tensor([self.pixels.mean, self.pixels.std], dtype=torch.float32, device=device)
                rows = values[:, None, None, :].repeat(1, 1, width, 1).permute(0, 3, 1, 2)
                self._rows[key] = (rows[:1], rows[1:])
        mean, std = self._rows[key]
        return mean, std

    @property
    def names(self) -> tuple[str, ...]:
        """The stages' names, from input to head."""
        return tuple(self.stages)

    def _measured_width(self) -> int:
        """The width of the features, seen on one black image: no architecture has to be asked."""
        training = self.training
        with torch.no_grad():
            width = self.eval()(torch.zeros(1, self.pixels.channels, self.pixels.size, self.pixels.size))
        self.train(training)
        return int(width.shape[1])


def _original_names(net: nn.Module, stages: Mapping[str, nn.Module]) -> dict[str, str]:
    """Each tensor's name in the network -> its name in the stages cut from it: the same tensor, however it was cut."""
    named_tensors = {
        f"stages.{stage}.{name}": tensor
        for stage, module in stages.items()
        for name, tensor in module.state_dict(keep_vars=True).items()
    }
    names = {id(tensor): name for name, tensor in named_tensors.items()}
    tensors_now = net.state_dict(keep_vars=True)
    return {name: names[id(tensor)] for name, tensor in tensors_now.items() if id(tensor) in names}


def pooled(x: Tensor) -> Tensor:
    """Maps (B, D, H, W) -> their means over space (B, D), tokens (B, N, D) -> theirs; features (B, D) as they are."""
    if x.ndim == 3:
        return x.mean(dim=1)
    return x.mean(dim=(2, 3)) if x.ndim == 4 else x
