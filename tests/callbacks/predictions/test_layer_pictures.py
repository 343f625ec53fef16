"""Pictures are drawn while a run goes on, and the run is the same without them."""

import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback
from torch import nn
from torch.optim.lr_scheduler import ConstantLR

import two_domains
from explained import untouched
from headstart.backbones.stages import Backbone
from headstart.callbacks.checkpoints.rng_states import random_states
from headstart.callbacks.predictions import layer_pictures as module_of_explain
from headstart.callbacks.predictions.layer_pictures import BEFORE, Explain
from headstart.callbacks.training.unfreeze import Unfreeze
from headstart.data.datasets.paired_domains import Domains
from headstart.explain.explained_network import Network
from headstart.explain.picture_protocol import Shown
from headstart.explain.pictures.changed_channels import BeforeAfter
from headstart.explain.pictures.first_filters import Filters
from headstart.explain.pictures.stage_changes import Changes
from headstart.modules.classifier import Classifier
from headstart.modules.compilation import compile_in_place
from headstart.modules.heads.linear_head import LinearHead
from headstart.types import UserError
from headstart.unfreeze.schedules.gradual import Gradual
from numbered import trainer

KINDS = {
    "filters": Filters(most=4),
    "changes": Changes(images=8, drifted=0.9),
    "before_after": BeforeAfter(stages=None, columns=4),
}


class Noisy:
    """Draws from every global generator, and asks for the labels where it is told to."""

    title = about = "noise"

    def __init__(self, *, reads_labels=False):
        self.reads_labels = reads_labels
        self.subjects = []

    def drawn(self, subject):
        self.subjects.append(subject)
        torch.rand(3), np.random.rand(3), random.random()
        x = subject.network.entering(subject.images.pixels).requires_grad_()
        (gradient,) = torch.autograd.grad(subject.network.logits(x).sum(), x)
        assert gradient.shape == x.shape
        for batch in subject.searched():
            assert len(batch.image) <= subject.batch_size
            if self.reads_labels:
                batch.label.sum()
        yield Shown("noise", np.zeros((2, 2, 3), np.uint8), "noise", "noise")


def convolutions(several=False):
    """A classifier that draws random numbers in each step, and whose BatchNorm moves in each."""
    torch.manual_seed(0)
    stages = {
        "stage1": nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5)),
        "stage2": nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
    }
    return Classifier(
        backbone=Backbone(stages, pixels=two_domains.PIXELS, keep=None),
        head=LinearHead(width=6, num_classes=2, init="random"), num_classes=2,
        optimizer=lambda groups, lr=0.1: torch.optim.SGD(groups, lr=lr),
        scheduler=lambda optimizer: ConstantLR(optimizer, factor=1.0, total_iters=1),
        stage_decay=1.0, layer_decay=1.0, label_smoothing=0.0, class_weights=None, scheduler_interval="step",
        scheduler_monitor="val/loss", multi_label=several,
    )  # fmt: skip


def watcher(folder, pictures=None, *, kind=Explain, **settings):
    usual = {"every_epochs": 1, "images": 3, "split": "val", "batch_size": 4}
    return kind(pictures=KINDS if pictures is None else pictures, folder=folder, **usual | settings)


def fit(folder, *callbacks, epochs=3, resume=None, module=None):
    module = convolutions() if module is None else module
    schedule = Unfreeze(Gradual(first_epoch=1, every_epochs=1))
    run = trainer(folder, max_epochs=epochs, callbacks=[schedule, *callbacks])
    run.fit(module, datamodule=two_domains.noise(0, 8), ckpt_path=resume)
    return module


def pictures(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(Path(folder).glob("*/*.png"))}


def same(first, second):
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items()) and first.keys() == second.keys()


def test_pictures_are_drawn_before_the_first_step_after_every_n_epochs_and_at_the_end(tmp_path):
    fit(tmp_path, watcher(tmp_path / "seen", {"filters": KINDS["filters"]}, every_epochs=2), epochs=5)
    steps = ["000000", "000006", "000012", "000015"]  # of three steps an epoch
    names = [f"filters/filters{which}-step{step}.png" for which in ("-before", "") for step in steps]
    assert list(pictures(tmp_path / "seen")) == names
    fit(tmp_path, watcher(tmp_path / "ends", {"filters": KINDS["filters"]}, every_epochs=None), epochs=2)
    assert [name[-10:] for name in pictures(tmp_path / "ends") if "before" not in name] == ["000000.png", "000006.png"]


def test_no_number_of_the_run_changes_whatever_a_kind_draws(tmp_path):
    alone = fit(tmp_path)
    after = random_states(torch.device("cpu"))
    noisy = Noisy()
    torch.manual_seed(5)
    with_it = fit(tmp_path, watcher(tmp_path, {"changes": KINDS["changes"], "noise": noisy}))
    assert len(noisy.subjects) == 4
    assert same(alone.state_dict(), with_it.state_dict())
    assert same(after, random_states(torch.device("cpu")))


@pytest.mark.parametrize("several", [False, True])
def test_of_several_labels_each_class_has_a_probability_of_its_own_else_they_sum_to_1(several, tmp_path):
    data = two_domains.noise(0, 8)
    data.setup("fit")
    subject = watcher(tmp_path)._subject(SimpleNamespace(datamodule=data, global_step=0), convolutions(several))
    with subject.network.at_rest(), torch.no_grad():
        x = subject.network.entering(subject.images.pixels)
        logits, found = subject.network.logits(x), subject.network.probabilities(x)
    torch.testing.assert_close(found, logits.sigmoid() if several else logits.softmax(dim=1))


class Watched(Explain):
    """Looks at all that a drawing might change."""

    drawings = 0

    def _draw(self, run, module):
        for weight in module.parameters():
            weight.grad = torch.full_like(weight, 2.0)
        before = [weight.requires_grad for weight in module.parameters()], [one.training for one in module.modules()]
        assert len(set(before[0])) > 1 or run.current_epoch > 1, "some is frozen, some is open"
        with untouched(Network(module.backbone, module.head)):
            super()._draw(run, module)
        after = [weight.requires_grad for weight in module.parameters()], [one.training for one in module.modules()]
        assert before == after
        for weight in module.parameters():
            assert torch.equal(weight.grad, torch.full_like(weight, 2.0))
            weight.grad = None
        self.drawings += 1


def test_what_is_open_modes_gradients_weights_and_hooks_are_as_they_were(tmp_path):
    watched = watcher(tmp_path, {**KINDS, "noise": Noisy()}, kind=Watched)
    fit(tmp_path, watched)
    assert watched.drawings == 4


class Dies(Callback):
    """Keeps a checkpoint at the end of an epoch, and the process dies before the next begins."""

    def __init__(self, folder, epoch):
        self.file, self.epoch = folder / "kept.ckpt", epoch

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            trainer.save_checkpoint(self.file)

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch + 1:
            raise RuntimeError("killed")


def test_a_resumed_run_draws_what_the_uninterrupted_one_does(tmp_path):
    kinds = {name: KINDS[name] for name in ("filters", "changes")}
    fit(tmp_path, watcher(tmp_path / "whole", kinds))
    with pytest.raises(RuntimeError, match="killed"):
        fit(tmp_path, Dies(tmp_path, 1), watcher(tmp_path / "parts", kinds))
    assert (tmp_path / "parts" / BEFORE).exists()
    assert len(pictures(tmp_path / "parts")) < len(pictures(tmp_path / "whole"))
    fit(tmp_path, watcher(tmp_path / "parts", kinds), resume=tmp_path / "kept.ckpt")
    assert pictures(tmp_path / "parts") == pictures(tmp_path / "whole")
    assert not (tmp_path / "parts" / BEFORE).exists(), "only who goes on needs it"


def test_weights_from_before_are_kept_only_where_a_kind_asks_for_them(tmp_path):
    class Asks(Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            self.kept = (tmp_path / BEFORE).exists()

    for kinds, want in (({"noise": Noisy()}, False), ({"changes": KINDS["changes"]}, True)):
        asks = Asks()
        fit(tmp_path, watcher(tmp_path, kinds), asks, epochs=1)
        assert asks.kept is want


def test_what_training_began_with_that_nobody_kept_is_said_once_and_the_run_goes_on(tmp_path, caplog):
    whole = fit(tmp_path, Dies(tmp_path, 5), epochs=6)
    with pytest.raises(RuntimeError, match="killed"):
        fit(tmp_path, Dies(tmp_path, 1), epochs=6)
    resumed = fit(tmp_path, watcher(tmp_path / "seen"), epochs=6, resume=tmp_path / "kept.ckpt")
    assert same(whole.state_dict(), resumed.state_dict())
    assert {name.partition("/")[0] for name in pictures(tmp_path / "seen")} == {"filters"}
    assert [record.message.partition(":")[0] for record in caplog.records if "left out" in record.message] == [
        "picture changes left out", "picture before_after left out",
    ]  # fmt: skip


def test_what_an_earlier_run_drew_in_the_same_folder_is_gone(tmp_path):
    fit(tmp_path, watcher(tmp_path / "seen", {"filters": KINDS["filters"]}), epochs=3)
    (tmp_path / "seen" / "filters" / "mine.png").write_bytes(b"")
    fit(tmp_path, watcher(tmp_path / "seen", {"filters": KINDS["filters"]}, every_epochs=None), epochs=1)
    steps = {name.rpartition("step")[2] for name in pictures(tmp_path / "seen")}
    assert steps == {"000000.png", "000003.png", "filters/mine.png"}


def test_an_adaptation_shows_the_targets_images_and_no_label_of_them(tmp_path, caplog):
    data = Domains(source=two_domains.noise(0, 4), target=two_domains.noise(1, 4))
    curious, modest = Noisy(reads_labels=True), Noisy()
    watching = watcher(tmp_path, {"curious": curious, "modest": modest})
    trainer(tmp_path, max_epochs=2, callbacks=[watching]).fit(two_domains.classifier("coral"), datamodule=data)
    seen = modest.subjects[0].images
    assert seen.label is None
    assert torch.equal(seen.pixels, next(iter(data.hidden.plain_dataloader("val", positions=np.arange(3)))).image)
    assert not (tmp_path / "curious").exists()
    assert len(list((tmp_path / "modest").glob("*.png"))) == 3
    warned = [record.message for record in caplog.records if "left out" in record.message]
    assert len(warned) == 1
    assert "labels are out of reach" in warned[0]


def test_of_a_labelled_target_the_labels_are_those_of_its_images(tmp_path):
    noisy = Noisy(reads_labels=True)
    fit(tmp_path, watcher(tmp_path, {"noise": noisy}), epochs=1)
    data = two_domains.noise(0, 8)
    batch = next(iter(data.plain_dataloader("val", positions=np.arange(3))))
    assert torch.equal(noisy.subjects[0].images.label, batch.label)
    assert torch.equal(noisy.subjects[0].images.pixels, batch.image)
    assert noisy.subjects[0].images.names == ("val/0", "val/1", "val/2")


def test_shards_are_told_once_and_left_out(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module_of_explain, "is_sharded", lambda _: True)
    fit(tmp_path, watcher(tmp_path / "seen"))
    assert not (tmp_path / "seen").exists() or not pictures(tmp_path / "seen")
    assert [record.message for record in caplog.records if "whole weights" in record.message] == [
        "pictures need whole weights on each device; with trainer=fsdp callbacks.explain draws nothing"
    ]


@pytest.mark.slow
def test_compiled_stages_are_drawn_uncompiled_and_train_as_before(tmp_path):
    compiled = []
    for watching in ([], [watcher(tmp_path / "seen", {"noise": Noisy()})]):  # a picture that runs all stages
        module, graphs = convolutions(), []

        def backend(graph, inputs, graphs=graphs):
            graphs.append(graph)
            return graph.forward

        compile_in_place(module.stages, backend=backend)
        fit(tmp_path, *watching, module=module)
        compiled.append((module.state_dict(), len(graphs)))
        torch.compiler.reset()
    assert compiled[0][1] == compiled[1][1] > 0
    assert same(compiled[0][0], compiled[1][0])
    fit(tmp_path, watcher(tmp_path / "plain", {"noise": Noisy()}))
    assert pictures(tmp_path / "plain").keys() == pictures(tmp_path / "seen").keys()


def test_without_a_kind_the_error_shows_how_one_is_chosen(tmp_path):
    with pytest.raises(UserError, match=r"picture@callbacks\.explain\.pictures=\[filters\]"):
        watcher(tmp_path, {"filters": None})
