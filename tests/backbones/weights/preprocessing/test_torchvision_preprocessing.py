"""The preprocessing of torchvision's weights is what their metadata say."""

import pytest
import torch
from torchvision import models
from torchvision.models.googlenet import GoogLeNet

from headstart.backbones.weights.preprocessing.torchvision_preprocessing import torchvision_pixels


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b2", "efficientnet_v2_l", "swin_t", "vit_h_14"])
def test_the_pixels_are_those_of_the_default_weights(name):
    made_for = models.get_model_weights(name).DEFAULT.transforms()
    pixels = torchvision_pixels(name, size=None, channels=3)
    assert (pixels.size, pixels.resize) == (made_for.crop_size[0], made_for.resize_size[0])
    assert (list(pixels.mean), list(pixels.std)) == (list(made_for.mean), list(made_for.std))
    assert pixels.interpolation == made_for.interpolation.value


def test_another_size_keeps_how_much_of_the_image_is_seen():
    assert torchvision_pixels("resnet50", size=112, channels=3).resize == 116  # 232 of 224
    assert torchvision_pixels("efficientnet_b2", size=144, channels=3).resize == 144  # 288 of 288


def test_a_grey_image_is_normalised_as_its_three_equal_channels_are_on_average():
    grey, colour = (torchvision_pixels("resnet50", size=None, channels=n) for n in (1, 3))
    assert grey.mean == pytest.approx([sum(colour.mean) / 3])
    assert grey.std == pytest.approx([sum(colour.std) / 3])
    assert torchvision_pixels("resnet50", size=None, channels=4)[1:4] == (4, (0.5,) * 4, (0.5,) * 4)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_the_inceptions_get_what_torchvisions_own_transformation_would_make_of_imagenets_normalisation(name):
    pixels = torchvision_pixels(name, size=None, channels=3)
    image = torch.rand(2, 3, 8, 8)
    made_for = models.get_model_weights(name).DEFAULT.transforms()
    mean, std = (torch.tensor(values)[:, None, None] for values in (made_for.mean, made_for.std))
    net = GoogLeNet(aux_logits=False, init_weights=False, transform_input=True)
    theirs = net._transform_input((image - mean) / std)
    mean, std = (torch.tensor(values)[:, None, None] for values in (pixels.mean, pixels.std))
    torch.testing.assert_close((image - mean) / std, theirs)
