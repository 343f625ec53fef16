"""The strongest places are found, whatever the batches, and what the unit saw is cut out of the image."""

import pytest
import torch
from torch import nn

from explained import QUICK_FIRST, family, of_stages, plain, subject, untouched
from headstart.explain.gradients.guided_projections import guided_projections, pools
from headstart.explain.pictures.deconvnet import projections
from headstart.explain.pictures.top_activations import TopActivations
from headstart.explain.strongest_places import StrongestPlaces, standing_out, strongest_places
from headstart.types import UserError

SETTINGS = {"stages": None, "units": 2, "top": 3, "side": 24, "rule": None}


def seen(activations, *, top, batch_size):
    found = StrongestPlaces(top)
    for at in range(0, len(activations), batch_size):
        found.see(activations[at : at + batch_size])
    return found


@pytest.mark.parametrize("batch_size", [1, 3, 20])
@pytest.mark.parametrize("top", [1, 4, 30])
def test_the_kept_places_are_those_of_a_sort_of_all_activations(batch_size, top):
    activations = torch.randint(0, 4, (20, 5, 3, 4), generator=torch.Generator().manual_seed(2)).float()  # many ties
    found = seen(activations, top=top, batch_size=batch_size)
    for channel in range(5):
        best = []
        for n, image in enumerate(activations):
            values = [(-float(image[channel, r, c]), r, c) for r in range(3) for c in range(4)]
            value, row, column = min(values)  # the first place of the strongest
            best.append((value, n, (row, column)))
        want = sorted(best)[:top]
        assert [-float(v) for v in found.value[:, channel]] == [value for value, _, _ in want]
        assert found.image[:, channel].tolist() == [n for _, n, _ in want]
        assert [found.place(rank, channel) for rank in range(len(want))] == [place for _, _, place in want]
        assert float(found.mean[channel]) == pytest.approx(sum(-value for value, _, _ in best) / 20)


def test_tokens_lie_in_rows_after_the_class_token_and_features_have_no_place():
    tokens = torch.zeros(2, 5, 3)
    tokens[0, 3, 1] = 2.0  # the third patch of two by two
    tokens[1, 0] = 9.0  # the class token counts for nothing
    found = seen(tokens, top=1, batch_size=2)
    assert (found.image[0, 1], found.place(0, 1)) == (0, (1, 0))
    found = seen(torch.tensor([[1.0, 5.0], [2.0, 4.0]]), top=1, batch_size=1)
    assert (found.image.tolist(), found.place(0, 0)) == ([[1, 0]], None)


def test_the_units_that_stand_out_are_strong_for_few_images():
    values = torch.zeros(8, 4)
    values[:, 1] = 9.0  # strong for all
    values[2, 2] = 6.0  # for one
    values[:4, 3] = 6.0  # for half
    assert standing_out(seen(values, top=1, batch_size=3), 3) == [2, 3, 0]
    assert standing_out(seen(values, top=8, batch_size=3), 3) == [0, 1, 2]  # all are kept: nobody stands out


def test_one_pass_finds_the_strongest_of_all_stages():
    network = plain()
    given = subject(network, searched=7, batch_size=3)
    with network.at_rest():
        found = strongest_places(given, network.stages, top=4)
    images = network.entering(torch.cat([batch.image for batch in given.searched()]))
    with torch.no_grad():
        for stage in network.stages:
            values, order = (
                network.activations(images, stage).amax(dim=(2, 3)).sort(dim=0, descending=True, stable=True)
            )
            assert torch.allclose(found[stage].value, values[:4])
            assert torch.equal(found[stage].image, order[:4])


def spotted(size=12):
    """A unit that sees the 3 x 3 pixels around its place, and answers to their red."""
    conv = nn.Conv2d(3, 2, 3, padding=1)
    network = of_stages({"only": nn.Sequential(conv, nn.ReLU())}, size=size)
    with torch.no_grad():
        conv.weight.zero_()
        conv.bias.fill_(9.0)
        conv.weight[0, 0] = 1.0
        conv.weight[1, 1, 1, 1] = 1.0
    return network


def planted(*, at, batch_size=4):
    """Six images, black but for a red spot in one and its neighbour's places at a border in another."""
    network = spotted()
    given = subject(network, batch_size=batch_size)
    images = torch.zeros(6, 3, 12, 12, dtype=torch.uint8)
    for n, (row, column) in at.items():
        images[n, 0, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = 255 - n

    def batches():
        for batch, start in zip(given.searched(), range(0, 6, batch_size), strict=True):
            yield batch._replace(image=images[start : start + batch_size])

    return network, type(given)(**{**vars(given), "searched": batches})


def test_the_patch_is_what_the_unit_sees_and_the_projection_beside_it_its_filter():
    network, given = planted(at={4: (5, 7), 1: (0, 3)})
    with network.at_rest():
        (shown,) = TopActivations(**SETTINGS | {"units": [0], "top": 1, "rule": "deconvnet"}).drawn(given)
    left, right = shown.image[:, :24], shown.image[:, 32:]
    assert shown.name == "only-0000"
    assert (right == [251, 0, 0]).all()  # the spot, and nothing around it
    assert left[12, 12].tolist() == [255, 128, 128]  # the filter: red alone
    assert "4.png" in shown.caption


def test_what_a_border_cuts_off_is_left_free():
    network, given = planted(at={1: (0, 3)})
    with network.at_rest():
        (shown,) = TopActivations(**SETTINGS | {"units": [0], "top": 1}).drawn(given)
    right = shown.image[:, 32:]
    assert (right[:8] == 225).all()  # a third of the field lies above the image
    assert (right[8:] == [254, 0, 0]).all()


def test_batches_do_not_change_the_pictures_and_bound_what_is_in_the_network():
    pictures = []
    for batch_size in (1, 2, 6):
        network = plain()
        sizes = []
        hook = network.backbone.stages["stage1"].register_forward_pre_hook(lambda _, x, s=sizes: s.append(len(x[0])))
        with network.at_rest():
            pictures.append(list(TopActivations(**SETTINGS).drawn(subject(network, batch_size=batch_size))))
        hook.remove()
        assert max(sizes) == batch_size
    for other in pictures[1:]:
        for one, two in zip(pictures[0], other, strict=True):
            assert (one.name, one.caption) == (two.name, two.caption)
            assert (one.image.astype(int) - two.image).max() <= 1


def test_a_unit_that_is_not_there_is_told_and_one_named_twice_is_drawn_once():
    network = plain()
    given = subject(network)
    with network.at_rest():
        shown = list(TopActivations(**SETTINGS | {"units": [4, 1, 4]}).drawn(given))
        with pytest.raises(UserError, match="stage1 has 0 to 5, got 6"):
            list(TopActivations(**SETTINGS | {"units": [6]}).drawn(given))
    assert [one.name for one in shown] == ["stage1-0004", "stage1-0001", "stage2-0004", "stage2-0001"]


def test_guided_projections_are_gradients_where_all_that_comes_back_is_positive():
    network = plain()
    with torch.no_grad():
        for weight in network.backbone.parameters():
            weight.abs_()
    x = network.entering(subject(network, count=2).images.pixels)
    with network.at_rest():
        found = guided_projections(network, x, stage="stage2", channels=[1, 5], places=[(0, 2), (3, 1)])
        leaf = x.clone().requires_grad_()
        out = network.activations(leaf, "stage2")
        (want,) = torch.autograd.grad(out[0, 1, 0, 2] + out[1, 5, 3, 1], leaf)
    assert torch.allclose(found, want)


def test_guided_projections_stop_where_a_signal_is_negative_or_a_unit_is_off():
    one, two = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 1, 1)
    network = of_stages({"only": nn.Sequential(one, nn.ReLU(), two, nn.ReLU())}, size=2)
    with torch.no_grad():
        one.weight.copy_(torch.eye(3).view(3, 3, 1, 1))
        one.bias.copy_(torch.tensor([9.0, 9.0, -9.0]))  # on, on, off
        two.weight.copy_(torch.tensor([2.0, -1.0, 3.0]).view(1, 3, 1, 1))
        two.bias.fill_(50.0)
    x = torch.zeros(1, 3, 2, 2)
    with network.at_rest():
        found = guided_projections(network, x, stage="only", channels=[0], places=[(1, 0)])
    assert found[0, :, 1, 0].tolist() == [2.0, 0.0, 0.0]
    assert int(found.count_nonzero()) == 1


def test_of_tokens_that_lie_in_no_square_the_strongest_is_projected():
    class Rows(nn.Module):
        """Colours as tokens (B, 3, 5)."""

        def __init__(self):
            super().__init__()
            self.wide = nn.Linear(16, 5)

        def forward(self, x):
            return self.wide(x.flatten(2))

    stage = Rows()
    network = of_stages({"only": stage}, size=4)
    x = network.entering(subject(network, count=2).images.pixels)
    with network.at_rest():
        found = guided_projections(network, x, stage="only", channels=[4, 1], places=None)
        best = stage(x).argmax(dim=1)
    for nth, channel in enumerate([4, 1]):
        want = torch.zeros(3, 16)
        want[best[nth, channel]] = stage.wide.weight[channel].detach()
        assert torch.equal(found[nth], want.view(3, 4, 4))


@pytest.mark.parametrize(
    ("name", "want"), [("shufflenet_v2_x0_5", True), ("squeezenet1_1", True), ("mobilenet_v2", False)]
)
def test_whether_a_network_pools_by_maxima_decides_what_is_projected(name, want):
    network = family(name)
    x = network.entering(subject(network, count=1).images.pixels)
    with network.at_rest():
        assert pools(network, x, stage=network.stages[-1]) is want
        *_, shown = TopActivations(**SETTINGS | {"units": 1, "top": 1}).drawn(subject(network, searched=2))
    assert ("Projections: deconvnet." if want else "Projections: guided") in shown.caption


def test_without_max_pooling_a_deconvnet_shows_the_same_whatever_the_image():
    """Why guided backpropagation stands for it there: nothing of the image is on the way back, but the activation."""
    for pooling, same in ((nn.AvgPool2d(2), True), (nn.MaxPool2d(2), False)):
        stage = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), pooling, nn.Conv2d(6, 4, 3), nn.ReLU())
        network = of_stages({"only": stage}, size=16)
        with torch.no_grad():
            stage[3].bias.fill_(9.0)
        x = network.entering(subject(network, count=2).images.pixels)
        with network.at_rest():
            one, two = projections(network, x, stage="only", channels=[2, 2], places=[(2, 2), (2, 2)])
        assert torch.allclose(one / one.abs().max(), two / two.abs().max(), atol=1e-6) is same
        assert pools(network, x, stage="only") is not same


PATCHES_ALONE = {  # no ReLUs, or other functions from some stage on
    "convnext_tiny", "swin_t", "vit_b_32", "efficientnet_b0", "mobilenet_v3_small", "maxvit_t",
}  # fmt: skip


@pytest.mark.parametrize("name", QUICK_FIRST)
def test_in_every_family_each_stage_has_its_units_and_where_there_is_no_projection_it_says_why(name):
    network = family(name)
    given = subject(network, searched=3)
    with untouched(network), network.at_rest():
        shown = list(TopActivations(**SETTINGS | {"units": [1], "top": 2}).drawn(given))
    assert [one.name for one in shown] == [f"{stage}-0001" for stage in network.stages]
    for one in shown:
        assert ("Projections: " in one.caption) != ("Without projections: " in one.caption)
    assert any("Without projections: " in one.caption for one in shown) == (name in PATCHES_ALONE)
    assert "Without projections: " in shown[-1].caption or name not in PATCHES_ALONE
