"""A low-rank update equals the paper's in each kind of layer, and nothing else of the model changes."""

import copy

import numpy as np
import pytest
import torch
from scipy.signal import correlate
from torch import nn
from torchvision.models.swin_transformer import ShiftedWindowAttention

from headstart.backbones.injected import lora as module
from headstart.backbones.injected.lora import Lora, merge
from headstart.backbones.stages import Backbone
from headstart.backbones.zoo.torchvision_models import torchvision
from headstart.types import UserError
from headstart.unfreeze.parameter_kinds import of_kind
from injected_backbones import BACKBONES, PIXELS, images, learned, mixed


def lora(**settings):
    return Lora(**{"rank": 2, "alpha": 6.0, "dropout": 0.0, "layers": None, "rslora": False, "dora": False} | settings)


@pytest.mark.parametrize("name", BACKBONES)
def test_at_the_start_the_features_are_the_sources_to_the_bit(name):
    plain = BACKBONES[name]().eval()
    injected = copy.deepcopy(plain)
    lora().inject(injected)
    x = images(plain)
    with torch.no_grad():
        assert torch.equal(injected.eval()(x), plain(x))
        assert not torch.equal(learned(injected)(x), plain(x))


def test_with_dora_they_are_so_but_for_rounding():
    plain = BACKBONES["small_cnn"]().eval()
    injected = copy.deepcopy(plain)
    lora(dora=True).inject(injected)
    torch.testing.assert_close(injected.eval()(images(plain)), plain(images(plain)))


@pytest.mark.parametrize(("rslora", "scaling"), [(False, 6 / 2), (True, 6 / np.sqrt(2))])
def test_a_linear_layer_is_w_x_plus_alpha_over_r_b_a_x(rslora, scaling):
    backbone = mixed()
    lora(layers=["third"], rslora=rslora).inject(backbone)
    layer = learned(backbone).stages["third"][0]
    a, b = (getattr(layer, f"lora_{one}")["default"].weight.detach().double().numpy() for one in "AB")
    w, bias = (p.detach().double().numpy() for p in (layer.base_layer.weight, layer.base_layer.bias))
    x = np.random.default_rng(0).normal(size=(5, 8))
    want = x @ w.T + bias + scaling * (x @ a.T) @ b.T
    got = layer(torch.tensor(x, dtype=torch.float32)).detach().numpy()
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_a_convolution_is_one_with_the_kernel_w_plus_alpha_over_r_b_a():
    backbone = mixed()
    lora(layers=r"first\.0").inject(backbone)
    layer = learned(backbone).stages["first"][0]
    a, b = (getattr(layer, f"lora_{one}")["default"].weight.detach().double().numpy() for one in "AB")
    assert (a.shape, b.shape) == ((2, 2, 3, 3), (8, 2, 1, 1))
    kernel = layer.base_layer.weight.detach().double().numpy() + 6 / 2 * np.einsum("or,rihw->oihw", b[:, :, 0, 0], a)
    x = np.random.default_rng(0).normal(size=(2, 8, 8))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    bias = layer.base_layer.bias.detach().double().numpy()
    want = np.stack([correlate(padded, k, mode="valid")[0, ::2, ::2] + c for k, c in zip(kernel, bias, strict=True)])
    got = layer(torch.tensor(x[None], dtype=torch.float32))[0].detach().numpy()
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_attention_is_that_with_updated_projections():
    backbone = mixed()
    lora(layers=["second"]).inject(backbone)
    low_rank = learned(backbone).stages["second"].attention
    plain = copy.deepcopy(low_rank.base_layer)
    with torch.no_grad():
        plain.in_proj_weight += 3 * low_rank.lora_in.B @ low_rank.lora_in.A
        plain.out_proj.weight += 3 * low_rank.lora_out.B @ low_rank.lora_out.A
    x = torch.randn(2, 5, 8)
    for training in (True, False):
        got, weights = low_rank.train(training)(x, x, x)
        want, wanted_weights = plain.train(training)(x, x, x)
        torch.testing.assert_close(got, want)
        torch.testing.assert_close(weights, wanted_weights)


def test_training_leaves_every_number_of_the_source_as_it_was_to_the_bit():
    plain = mixed()
    backbone = copy.deepcopy(plain)
    lora(dropout=0.5).inject(backbone)
    adapters = of_kind(backbone)["adapters"]
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(name in adapters)
    backbone.stages["first"][1].eval()
    optimizer = torch.optim.AdamW(backbone.parameters(), lr=0.1)
    for _ in range(5):
        backbone(images(backbone)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    now = {name.replace("base_layer.", ""): tensor for name, tensor in backbone.state_dict().items()}
    for name, tensor in plain.state_dict().items():
        assert torch.equal(now[name], tensor), name
    assert all(p.detach().abs().sum() > 0 for name, p in backbone.named_parameters() if name in adapters)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_number_that_is_put_in_has_a_gradient_once_b_is_not_0(name):
    backbone = BACKBONES[name]()
    lora().inject(backbone)
    learned(backbone)(images(backbone)).square().sum().backward()
    adapters = of_kind(backbone)["adapters"]
    assert adapters
    assert {name for name, p in backbone.named_parameters() if p.grad is not None and p.grad.any()} >= adapters


def test_their_number_is_r_times_what_enters_and_leaves_each_layer():
    backbone = torchvision(name="resnet18", size=32, channels=3, keep=None)
    convolutions = [m for m in backbone.modules() if isinstance(m, nn.Conv2d)]
    lora(rank=4).inject(backbone)
    want = sum(4 * (c.in_channels * c.kernel_size[0] ** 2 + c.out_channels) for c in convolutions)
    sizes = {name: p.numel() for name, p in backbone.named_parameters()}
    assert sum(sizes[name] for name in of_kind(backbone)["adapters"]) == want
    attention = mixed()
    lora(layers=["second"]).inject(attention)
    found = of_kind(attention)["adapters"]
    assert sum(p.numel() for name, p in attention.named_parameters() if name in found) == 2 * (8 + 24) + 2 * (8 + 8)


@pytest.mark.parametrize("settings", [{}, {"rslora": True}, {"dora": True}], ids=["lora", "rslora", "dora"])
def test_merged_it_is_the_plain_network_again_and_gives_the_same_features(settings):
    plain, backbone = mixed(), mixed()
    lora(**settings).inject(backbone)
    want = learned(backbone)(images(backbone)).detach()
    merge(backbone)
    assert str(backbone) == str(plain)
    assert list(backbone.state_dict()) == list(plain.state_dict())
    torch.testing.assert_close(backbone.eval()(images(backbone)).detach(), want, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(plain.eval()(images(plain)), want, atol=1e-3)


def test_what_was_open_before_is_open_after_as_a_schedule_says_what_learns():
    backbone = mixed()
    backbone.stages["first"][1].requires_grad_(False)  # by whoever made the model: it never opens
    lora().inject(backbone)
    closed = {name for name, p in backbone.named_parameters() if not p.requires_grad}
    assert closed == {"stages.first.1.weight", "stages.first.1.bias"}


# ---------------------------------------------------------------------- which layers


def test_without_a_choice_it_is_all_that_can_have_it_and_the_rest_is_told_with_the_reason():
    found = lora().inject(mixed())
    assert found.layers == ("first.0", "second.attention", "third.0")
    assert found.left_out == {"first.2": "convolutions in groups, of which B A is no update"}
    assert str(found).splitlines() == [
        "LoRA of rank 2, scaled by 3, in 3 layers of first, second, third",
        "  left out, convolutions in groups, of which B A is no update: first.2",
    ]
    assert lora(dora=True).inject(mixed()).left_out["second.attention"] == "no DoRA for torch's attention"


@pytest.mark.parametrize(
    ("layers", "chosen"),
    [
        (["first"], ("first.0",)),
        ("first.0", ("first.0",)),
        (["third", "first.0"], ("first.0", "third.0")),
        (r".*\.0", ("first.0", "third.0")),
        ([r"second\..*"], ("second.attention",)),
    ],
)
def test_a_choice_is_a_stage_a_layer_or_a_regular_expression(layers, chosen):
    assert lora(layers=layers).inject(mixed()).layers == chosen


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (["thrid"], r"lora\.layers names 'thrid', which is no convolution.*did you mean third\?"),
        (["first.1"], r"names 'first\.1', which is no convolution"),  # a norm
        (["first.2"], r"names 'first\.2': first\.2: convolutions in groups"),
        (["second.attention.out_proj"], r"out_proj: their weights are read by what holds them"),
        ([], r"must name a layer at least, got \[\]"),
        ("(", r"neither a layer nor a regular expression"),
    ],
)
def test_a_choice_that_would_learn_nothing_is_an_error_that_says_why(layers, message):
    with pytest.raises(UserError, match=message):
        lora(layers=layers).inject(mixed())


def test_a_layer_whose_weight_its_owner_reads_is_left_out_as_it_would_never_learn():
    class Swin(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = ShiftedWindowAttention(8, [2, 2], [0, 0], 2)
            self.after = nn.Linear(8, 8)

        def forward(self, x):
            return self.after(self.attention(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)

    stages = {"patches": nn.Conv2d(2, 8, 2, stride=2), "block": Swin()}
    found = lora().inject(Backbone(stages, pixels=PIXELS, keep=None))
    assert found.layers == ("patches", "block.after")
    assert set(found.left_out) == {"block.attention.qkv", "block.attention.proj"}


def test_layers_inside_of_torchs_encoder_are_left_out_as_its_inference_does_not_call_them():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

        def forward(self, x):
            return self.layer(x.flatten(2).transpose(1, 2))

    stages = {"patches": nn.Conv2d(2, 8, 2, stride=2), "encoder": Encoder()}
    assert lora().inject(Backbone(stages, pixels=PIXELS, keep=None)).layers == ("patches",)


def test_the_scale_is_in_the_text_of_a_layer_by_which_the_store_tells_stages():
    texts = []
    for alpha in (6.0, 8.0):
        backbone = mixed()
        lora(alpha=alpha).inject(backbone)
        texts.append([str(stage) for stage in backbone.stages.values()])
    assert all(one != other for one, other in zip(*texts, strict=True))


def test_without_peft_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"pip install 'headstart\[peft\]'"):
        lora().inject(mixed())
