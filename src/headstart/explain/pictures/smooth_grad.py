"""SmoothGrad: the mean gradient over noisy copies of an image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import torch
from annotated_types import Ge, Interval
from captum.attr import NoiseTunnel, Saliency
from torch import Tensor

from headstart.explain.chosen_class import Of, explained
from headstart.explain.explained_network import Network
from headstart.explain.picture_protocol import Shown, Subject
from headstart.explain.pictures.input_gradient import beside


class SmoothGrad:
    """The mean of a class's gradients over noisy copies of the image.

    Args:
        samples: Copies.
        noise: Standard deviation, as a share of the image's range of values.
        seed: Of the noise, the same for each image.
        of: The class: `label` takes the true one where it is known, else the predicted one; `prediction` always takes
            the predicted one.
    """

    title = "SmoothGrad"
    about = (
        "Beside the image the mean gradient of a class's logit over copies of it with noise (Smilkov et al. 2017), in "
        "the image's own colours (middle grey is 0) and as magnitudes: what is left when the gradient's own noise has "
        "been averaged away. More noise: smoother, and further from this image."
    )

    def __init__(
        self, *, samples: Annotated[int, Ge(1)], noise: Annotated[float, Interval(ge=0, le=1)], seed: int, of: Of
    ) -> None:
        self.samples, self.noise, self.seed = samples, noise, seed
        self.of: Of = of

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """One sheet an image."""
        for explained_class in explained(subject, of=self.of, title="smooth_grad"):
            mean_signal = smooth_grad(
                subject.network,
                explained_class.x,
                index=explained_class.number,
                samples=self.samples,
                noise=self.noise,
                seed=self.seed,
                batch_size=subject.batch_size,
            )
            image = beside(subject.images.pixels[explained_class.position], mean_signal.cpu())
            caption = (
                f"{explained_class.said}: image, mean gradient of {self.samples} copies with noise "
                f"of {self.noise:g} of its range, "
                "its magnitude"
            )
            yield Shown(explained_class.name, image, caption, ALT)


ALT = "The image, a grey picture of the same size with coloured clouds, and a dark one with the brightest of them."


def smooth_grad(
    network: Network, x: Tensor, *, index: int, samples: int, noise: float, seed: int, batch_size: int
) -> Tensor:
    """The mean over samples of the logit's gradient at x + e, e normal noise, x (1, C, H, W) -> (C, H, W).

    index: the class. noise: e's standard deviation over max(x) - min(x). batch_size: copies at once, at most; which
    noise a seed gives hangs on it. Smilkov et al. 2017 (arXiv:1706.03825), section 3 and figure 3. The signs are kept:
    what is averaged is no magnitude. To be called within network.at_rest().
    """
    tunnel = NoiseTunnel(Saliency(lambda images: network.logits(images.clone())))
    with _drawn_from(seed, x.device):
        mean_signal: Tensor = tunnel.attribute(
            x.detach().clone().requires_grad_(),
            nt_type="smoothgrad",
            nt_samples=samples,
            nt_samples_batch_size=min(batch_size, samples),
            stdevs=noise * float(x.max() - x.min()),
            target=index,
            abs=False,
        )
    return mean_signal.detach()[0]


@contextmanager
def _drawn_from(seed: int, device: torch.device) -> Iterator[None]:
    """Within it torch's random numbers are of this seed; afterwards they go on as if nothing had been drawn."""
    graphics = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if graphics else []):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the devices that are not put back, too
        if graphics:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
