"""Checkpoints of other projects give their backbone, in whichever form they hold it."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from headstart.backbones.weights.backbone_weights import Weights, load
from headstart.backbones.weights.tensors.tensor_file import tensors_in
from headstart.backbones.weights.tensors.tensor_matching import complete, matching
from headstart.backbones.zoo.small_cnn import small_cnn
from headstart.types import UserError


def cnn(seed=1):
    torch.manual_seed(seed)
    return small_cnn(width=4, size=32, channels=1, keep=None)


def given(path, *, prefix=None):
    """A fresh backbone with what a file has for it, and how it was matched."""
    backbone = cnn(seed=9)
    match = matching(tensors_in(path), backbone, prefix=prefix)
    load(backbone, Weights(backbone=complete(match, backbone, reset_from=None)))
    return backbone, match


def same(one, other):
    theirs = other.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in one.state_dict().items())


class Foreign(pl.LightningModule):
    """Another project's: its own name for the network, a loss with weights, another head, a copy on request."""

    def __init__(self, *, classes, rates, weights, copy=False):
        super().__init__()
        self.save_hyperparameters()
        self.net = cnn()
        self.classifier = nn.Linear(self.net.width, classes)
        self.criterion = nn.CrossEntropyLoss(weight=torch.tensor(weights))
        if copy:
            self.net_ema = AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(0.9))

    def training_step(self, batch, _):
        image, label = batch
        loss = self.criterion(self.classifier(self.net(image)), label)
        if hasattr(self, "net_ema"):
            self.net_ema.update_parameters(self.net)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]


def lightning_checkpoint(path, **settings):
    """What Lightning's own trainer saves of Foreign after some steps, with all that stands beside the weights."""
    module = Foreign(classes=7, rates={"head": 0.1, "net": [1, 2]}, weights=[1.0] * 7, **settings)
    data = [(torch.randint(0, 255, (1, 32, 32), dtype=torch.uint8), n % 7) for n in range(8)]
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[pl.callbacks.ModelCheckpoint(dirpath=path.parent / "theirs", save_last=True)],
    )  # fmt: skip
    trainer.fit(module, DataLoader(data, batch_size=4))
    trainer.save_checkpoint(path)
    return module


def test_a_checkpoint_that_lightnings_trainer_saved_gives_the_network_in_it(tmp_path):
    module = lightning_checkpoint(tmp_path / "theirs.ckpt")
    backbone, match = given(tmp_path / "theirs.ckpt")
    assert same(module.net, backbone)
    assert not same(cnn(), backbone)  # it has learned
    assert match.prefix == "net."
    assert set(match.left_over) == {"classifier.weight", "classifier.bias", "criterion.weight"}


def test_a_checkpoint_with_a_moving_average_wants_to_know_which(tmp_path):
    module = lightning_checkpoint(tmp_path / "theirs.ckpt", copy=True)
    with pytest.raises(UserError, match=r"2 times, behind net., net_ema.module.; choose one: weights.prefix=net."):
        given(tmp_path / "theirs.ckpt")
    average, match = given(tmp_path / "theirs.ckpt", prefix="net_ema")
    assert match.prefix == "net_ema.module."
    assert same(module.net_ema.module, average)
    assert not same(module.net, average)
    assert same(module.net, given(tmp_path / "theirs.ckpt", prefix="net")[0])


def test_a_network_saved_compiled_and_in_ddp_and_lightning_is_found(tmp_path):
    state = {f"model._orig_mod.module.backbone.{name}": t for name, t in cnn().state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3, "hyper_parameters": {"lr": 0.1}}, tmp_path / "x.ckpt")
    backbone, match = given(tmp_path / "x.ckpt")
    assert same(cnn(), backbone)
    assert match.prefix == "model.module.backbone."


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (("student", "teacher"), "behind student., teacher.; choose one: weights.prefix=student."),
        (("state_dict", "state_dict_ema"), "behind state_dict., state_dict_ema.; choose one"),  # timm's
        (("model", "model_ema"), "behind model., model_ema.; choose one"),
    ],
)
def test_two_networks_under_keys_of_their_own_are_an_error_until_one_is_chosen(tmp_path, keys, told):
    one, other = cnn(1), cnn(2)
    beside = {"optimizer": torch.optim.Adam(one.parameters()).state_dict(), "epoch": 3, "loss": torch.ones(())}
    content = dict(zip(keys, (one.state_dict(), other.state_dict()), strict=True))
    torch.save({**content, **beside}, tmp_path / "x.pth")
    with pytest.raises(UserError, match=re.escape(told)):
        given(tmp_path / "x.pth")
    for key, network in zip(keys, (one, other), strict=True):
        assert same(network, given(tmp_path / "x.pth", prefix=key)[0])


def test_a_teacher_behind_wrappers_is_found_by_its_first_word(tmp_path):
    """As DINO saves both: the student in DDP, each with a backbone and a head."""
    one, other = cnn(1).state_dict(), cnn(2).state_dict()
    head = {"head.mlp.0.weight": torch.ones(2, 2)}
    student = {f"module.backbone.{name}": t for name, t in one.items()} | {f"module.{n}": t for n, t in head.items()}
    teacher = {f"backbone.{name}": t for name, t in other.items()} | head
    torch.save({"student": student, "teacher": teacher, "dino_loss": {"center": torch.ones(1, 2)}}, tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"behind student.module.backbone., teacher.backbone."):
        given(tmp_path / "x.pth")
    backbone, match = given(tmp_path / "x.pth", prefix="teacher")
    assert (match.prefix, len(match.left_over)) == ("teacher.backbone.", len(student) + 1)
    assert same(cnn(2), backbone)


def test_a_copy_without_counters_is_no_less_a_copy(tmp_path):
    """Which of two has BatchNorm's counters must not decide between a model and its average."""
    own = cnn().state_dict()
    average = {name: t for name, t in own.items() if not name.endswith("num_batches_tracked")}
    torch.save({"model": own, "ema": average}, tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"2 times, behind ema., model.|2 times, behind model., ema."):
        given(tmp_path / "x.pth")


def test_what_stands_beside_one_network_changes_no_name_of_it(tmp_path):
    """So that a prefix that worked goes on to work."""
    state = {f"model.{name}": t for name, t in cnn().state_dict().items()}
    beside = {
        "hyper_parameters": {"class_weights": torch.ones(3)}, "optimizer_states": [],
        "callbacks": {"ema": {"n": torch.ones(2)}}, "criterion": {"weight": torch.ones(3)},
        "rng_state": {"cpu": torch.get_rng_state()},
    }  # fmt: skip
    torch.save({"state_dict": state, **beside}, tmp_path / "x.ckpt")
    assert list(tensors_in(tmp_path / "x.ckpt")) == list(state)
    assert given(tmp_path / "x.ckpt", prefix="model")[1].left_over == ()


def test_bfloat16_becomes_float32_without_a_change_of_value(tmp_path):
    half = {name: (t.bfloat16() if t.is_floating_point() else t).contiguous() for name, t in cnn().state_dict().items()}
    save_file(half, tmp_path / "x.safetensors")
    backbone, _ = given(tmp_path / "x.safetensors")
    for name, tensor in backbone.state_dict().items():
        assert tensor.dtype == (torch.float32 if half[name].is_floating_point() else torch.int64)
        assert torch.equal(tensor, half[name].to(tensor.dtype))


def test_safetensors_are_known_by_what_is_in_them(tmp_path):
    save_file({name: t.contiguous() for name, t in cnn().state_dict().items()}, tmp_path / "download")
    assert same(cnn(), given(tmp_path / "download")[0])


def test_quantized_weights_are_refused(tmp_path):
    state = cnn().state_dict()
    state["stages.stage1.0.weight"] = state["stages.stage1.0.weight"].to(torch.int8)
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"stage1.0.weight is torch.int8 in the file.*is it quantized"):
        given(tmp_path / "x.pth")


class Settings:
    """Something that another project keeps in its checkpoints."""

    ran = False

    def __setstate__(self, state):
        Settings.ran = True


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_with_a_foreign_class_is_refused_by_its_name_and_not_run(tmp_path, zipped):
    content = {"state_dict": cnn().state_dict(), "hyper_parameters": {"settings": Settings(), "at": Path("x")}}
    vars(content["hyper_parameters"]["settings"])["x"] = 1
    torch.save(content, tmp_path / "x.ckpt", _use_new_zipfile_serialization=zipped)
    told = r"it asks for pathlib\S*, \S*test_foreign_checkpoints.Settings" if zipped else "Unsupported global.*Settings"
    with pytest.raises(UserError, match=rf"would run code from the file \({told}.*save its tensors alone"):
        given(tmp_path / "x.ckpt")
    assert not Settings.ran


def test_files_of_other_kinds_are_named(tmp_path):
    np.savez(tmp_path / "x.npz", **{"resnet/root_block/conv2d": np.zeros(3)})
    with pytest.raises(UserError, match=r"it is an archive of numpy's \(.npz\)"):
        tensors_in(tmp_path / "x.npz")
    with (tmp_path / "x.pkl").open("wb") as stream:
        pickle.dump({"a": 1}, stream)
    with pytest.raises(UserError, match=r"cannot read|must hold a state_dict|would run code"):
        tensors_in(tmp_path / "x.pkl")
    torch.save([torch.ones(2)], tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"must hold a state_dict, .*; it has list;"):
        tensors_in(tmp_path / "x.pth")


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_program_is_named(tmp_path):
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), tmp_path / "x.pt")
    with pytest.raises(UserError, match="it is a TorchScript program"):
        tensors_in(tmp_path / "x.pt")
