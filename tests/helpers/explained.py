"""Networks and images for the tests of pictures, and what a picture must leave as it was."""

import copy
from contextlib import contextmanager
from functools import lru_cache

import pytest
import torch
from torch import nn

from headstart.backbones.stages import Backbone
from headstart.backbones.zoo.torchvision_models import torchvision
from headstart.explain.explained_network import Network
from headstart.explain.picture_protocol import ExplainedImages, Subject
from headstart.modules.heads.linear_head import LinearHead
from headstart.types import Batch, Pixels

# the smallest model of each way to cut, at a size that is small for it
FAMILIES = {
    "resnet18": 64, "regnet_y_400mf": 64, "densenet121": 64, "convnext_tiny": 64, "swin_t": 64, "vit_b_32": 64,
    "googlenet": 64, "inception_v3": 96, "shufflenet_v2_x0_5": 64, "efficientnet_b0": 64, "mobilenet_v2": 64,
    "mobilenet_v3_small": 64, "squeezenet1_1": 64, "mnasnet0_5": 64, "vgg11": 64, "alexnet": 64, "maxvit_t": 224,
}  # fmt: skip
QUICK = ("resnet18", "shufflenet_v2_x0_5", "mobilenet_v3_small", "squeezenet1_1")
# for a test that takes long for the others: these always, the others in make test-all
QUICK_FIRST = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FAMILIES]


def of_stages(stages, *, size, channels=3, classes=3):
    """A network of one's own stages, in eval()."""
    torch.manual_seed(0)
    pixels = Pixels(size, channels, mean=(0.5,) * channels, std=(0.5,) * channels)
    backbone = Backbone(stages, pixels=pixels, keep=None)
    return Network(backbone.eval(), LinearHead(width=backbone.width, num_classes=classes, init="random").eval())


def plain(*, size=16, channels=3):
    """Two stages of convolution, ReLU and halving, nothing else: what a deconvnet was made for."""
    torch.manual_seed(0)
    stages = {
        "stage1": nn.Sequential(nn.Conv2d(channels, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        "stage2": nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
    }
    return of_stages(stages, size=size, channels=channels)


def family(name):
    """One of torchvision's families, with random weights, in eval()."""
    return copy.deepcopy(_family(name))


@lru_cache(maxsize=len(QUICK))  # random numbers take longer than a copy
def _family(name):
    torch.manual_seed(0)
    backbone = torchvision(name=name, size=FAMILIES[name], channels=3, keep=None)
    return Network(backbone.eval(), LinearHead(width=backbone.width, num_classes=3, init="random").eval())


def subject(network, *, count=2, before=None, searched=6, batch_size=4):
    """Random images of the size that a network wants, of classes a, b and c."""
    pixels = network.backbone.pixels
    chance = torch.Generator().manual_seed(1)
    shape = (searched, pixels.channels, pixels.size, pixels.size)
    images = torch.randint(0, 256, shape, generator=chance, dtype=torch.uint8)
    label = torch.arange(searched) % 3
    names = tuple(f"{n}.png" for n in range(searched))

    def batches():
        for at in range(0, searched, batch_size):
            yield Batch(images[at : at + batch_size], label[at : at + batch_size])

    return Subject(
        network=network,
        images=ExplainedImages(images[:count], names[:count], label[:count]),
        class_names=("a", "b", "c"),
        batch_size=batch_size,
        searched=batches,
        searched_names=lambda: names,
        before=lambda: before,
        quiet=True,
    )


@contextmanager
def untouched(network):
    """Parameters, buffers, their gradients, hooks, modes and device are afterwards what they were."""
    before = _state(network)
    yield
    after = _state(network)
    assert before.keys() == after.keys()
    for key, value in before.items():
        same = torch.equal(value, after[key]) if isinstance(value, torch.Tensor) else value == after[key]
        assert same, key


def _state(network):
    state = {}
    for part, module in {"backbone": network.backbone, "head": network.head}.items():
        for name, tensor in module.state_dict().items():
            state[f"{part}.{name}"] = tensor.clone()
            state[f"{part}.{name} device"] = tensor.device
        for name, weight in module.named_parameters():
            state[f"{part}.{name} learns"] = (weight.requires_grad, weight.grad is None)
        for name, part_module in module.named_modules():
            hooks = [len(getattr(part_module, kind)) for kind in vars(part_module) if kind.endswith("_hooks")]
            state[f"{part}.{name} module"] = (
                type(part_module),
                part_module.training,
                hooks,
                "forward" in vars(part_module),
            )
    return state
