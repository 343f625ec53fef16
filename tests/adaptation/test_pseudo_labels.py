"""Self-training and SHOT equal their papers' equations; SHOT's labels are those of the whole target."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.special import log_softmax, softmax

from composed import TINY, composed, trained
from headstart.adaptation.adaptation import DevicePredictions, Side, linear_ramp
from headstart.adaptation.self_training import SelfTraining
from headstart.adaptation.shot import SHOT, centroid_labels, information
from headstart.cli import main
from headstart.runs.model_parts.assembly import assembled
from killed import command, said

N, D, C = 40, 6, 3
SOURCE = ["mode=fine_tuning", "head.init=source", "source.characters=digits", "target.shots=null"]
SOURCE += ["weights.require_better=false", "callbacks.figures=null", "trainer.limit_train_batches=5"]


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def side(logits, features=None, position=None):
    return Side(drawn(len(logits), D) if features is None else features, logits, None, position)


def itself(part):
    return part


def of_state(folder, name="last.ckpt"):
    return torch.load(folder / "checkpoints" / name, weights_only=True)["state_dict"]


# ---------------------------------------------------------------------- self-training


def test_the_linear_ramp_is_lees():
    assert [linear_ramp(p) for p in (0, 0.1, 0.35, 0.6, 1)] == pytest.approx([0, 0, 0.5, 1, 1])


@pytest.mark.parametrize("confidence", [0.0, 0.7])
def test_self_training_takes_the_likeliest_class_of_what_it_is_sure_of(confidence):
    logits = (2 * drawn(N, C)).requires_grad_()
    one = SelfTraining(weight=3, ramp="linear", confidence=confidence)
    term = one(source=side(logits[:0]), target=side(logits), head=None, strength=0.5)
    p = softmax(logits.detach().numpy(), axis=1).max(axis=1)
    assert term.item() == pytest.approx(0.5 * np.where(p >= confidence, -np.log(p), 0).mean(), rel=1e-5)
    assert one.metrics["used_share"].item() == pytest.approx((p >= confidence).mean())
    (gradient,) = torch.autograd.grad(term, logits)
    assert torch.equal(gradient.abs().sum(dim=1) > 0, torch.from_numpy(p >= confidence))


# ---------------------------------------------------------------------- SHOT


@pytest.mark.parametrize("logits", [[[200.0, 0.0, -200.0]], [[0.0, 0.0, -1e4]] * 2])
def test_a_class_whose_probability_is_nothing_has_a_finite_slope(logits):
    """Once a softmax underflows, 0 times the infinite slope of -p ln p was nan, and the run lost."""
    leaf = torch.tensor(logits, requires_grad=True)
    entropy, of_mean = information(leaf.softmax(dim=1))
    (entropy - of_mean).backward()
    assert leaf.grad.isfinite().all()
    np.testing.assert_allclose(leaf.grad[:, 2], 0, atol=1e-6)


def test_information_is_the_mean_of_entropies_and_the_entropy_of_the_mean():
    p = softmax(drawn(N, C).numpy(), axis=1)
    entropy, of_mean = information(torch.from_numpy(p))
    assert entropy.item() == pytest.approx(-(p * np.log(p)).sum(axis=1).mean(), rel=1e-5)
    assert of_mean.item() == pytest.approx(-(p.mean(axis=0) * np.log(p.mean(axis=0))).sum(), rel=1e-5)


def labels_by_hand(features, p):
    """Liang et al. 2020, eqs. 4 to 6, with scipy's cosine distance."""
    for _ in range(2):
        centroid = p.T @ features / p.sum(axis=0)[:, None]
        label = cdist(features, centroid, "cosine").argmin(axis=1)
        p = np.eye(p.shape[1])[label]
    return label


def test_pseudo_labels_are_those_of_the_nearest_centroid():
    features, p = drawn(N, D), (3 * drawn(N, C, seed=1)).softmax(dim=1)
    found = centroid_labels(features, p, itself)
    want = labels_by_hand(features.double().numpy(), p.double().numpy())
    assert np.array_equal(found, want)
    assert not np.array_equal(want, p.argmax(dim=1))


def test_two_devices_with_a_share_each_find_the_labels_of_the_whole():
    features, p = drawn(N, D), (3 * drawn(N, C, seed=1)).softmax(dim=1)
    meet, parts = Barrier(2), [None, None]

    def find(rank):
        def total(part):
            parts[rank] = part
            meet.wait()
            whole = parts[0] + parts[1]
            meet.wait()
            return whole

        return centroid_labels(features[rank::2], p[rank::2], total)

    with ThreadPoolExecutor(2) as devices:
        even, odd = devices.map(find, range(2))
    whole = centroid_labels(features, p, itself)
    assert torch.equal(whole[0::2], even)
    assert torch.equal(whole[1::2], odd)
    assert not torch.equal(even, centroid_labels(features[0::2], p[0::2], itself))  # alone, it would find others


def test_a_class_that_has_lost_all_its_images_labels_none():
    """Its centroid is nowhere, and is not taken for 0, which would be nearer than what lies behind all images."""
    features = torch.tensor([[1.0, 0.0], [-1.0, 0.1], [5.0, 0.0]])
    p = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    assert centroid_labels(features, p, itself).tolist() == [0, 0, 0]


def test_the_loss_of_shot_is_entropy_less_diversity_and_the_cross_entropy_with_its_labels():
    logits, features = 2 * drawn(N, C), drawn(N, D)
    one = SHOT(weight=1, ramp="constant", beta=0.3)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(3))
    one.look(
        DevicePredictions(features[order], logits[order], order, N, itself)
    )  # in any order, each label to its image
    label = labels_by_hand(features.double().numpy(), softmax(logits.double().numpy(), axis=1))
    assert np.array_equal(one.pseudo_label, label)
    taken = torch.tensor([7, 3, 30, 12])
    term = one(source=side(logits[:0]), target=side(logits[taken], position=taken), head=None, strength=0.5)
    p = softmax(logits[taken].numpy(), axis=1)
    entropy, of_mean = -(p * np.log(p)).sum(axis=1).mean(), -(p.mean(axis=0) * np.log(p.mean(axis=0))).sum()
    pseudo = -log_softmax(logits[taken].numpy(), axis=1)[np.arange(4), label[taken]].mean()
    assert term.item() == pytest.approx(0.5 * (entropy - of_mean + 0.3 * pseudo), rel=1e-5)


@pytest.mark.parametrize("method", ["shot", "adda"])
def test_the_head_stays_the_sources_and_the_last_epoch_is_kept(method, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = trained(f"adaptation={method}", *SOURCE, "trainer.max_epochs=2", folder=tmp_path / "run")
    assert result["best"]["epoch"] == 2
    state = of_state(tmp_path / "run", "best.ckpt")
    source = of_state(next(tmp_path.glob("outputs/source/*/")), "best.ckpt")
    assert torch.equal(state["head.linear.weight"], source["head.linear.weight"])  # printed digits in the same order
    moved = [name for name in source if name.startswith("backbone.") and not torch.equal(state[name], source[name])]
    assert "backbone.stages.stage1.0.weight" in moved
    if method == "adda":
        copies = {name: t for name, t in state.items() if name.startswith("adaptation.source_encoder.copy:")}
        assert copies
        for name, tensor in copies.items():  # running statistics, too
            assert torch.equal(tensor, source[f"backbone.stages.{name.partition('copy:')[2]}"]), name
    else:
        assert len(state["adaptation.pseudo_label"]) == assembled(composed(*SOURCE)).data.sizes["train"]


@pytest.mark.slow
@pytest.mark.parametrize("stop", [("on_train_batch_start", 7), ("on_train_batch_start", 5), ("on_train_end", 15)])
@pytest.mark.parametrize("method", ["shot", "adda", "tent"])
def test_a_killed_and_resumed_run_ends_as_the_uninterrupted_one(tmp_path, method, stop):
    """Killed inside an epoch, whose pseudo-labels are kept, and between two, where they are made anew."""
    run = [
        *TINY, *SOURCE, f"adaptation={method}", "trainer.max_epochs=3", "logger=csv", "target_labels=1",
        "callbacks.checkpoint.min_interval_s=0", "callbacks.checkpoint.every_steps=2",
        "+callbacks.stop._target_=resume_plugins.Stop", *(["mode=norm_only"] if method == "tent" else []),
    ]  # fmt: skip
    states = []
    for name, point in (("killed", stop), ("whole", None)):
        place = tmp_path / name
        place.mkdir()
        assert command(place, *run, stop=point) == (-9 if point else 0), said(place)
        if point:
            assert command(place, *run, "resume=auto") == 0, said(place)
        (folder,) = [path.parent for path in place.glob("outputs/runs/*/.hydra")]
        states.append((of_state(folder), (folder / "metrics.csv").read_text()))
    (killed, killed_csv), (whole, whole_csv) = states
    assert all(torch.equal(tensor, whole[name]) for name, tensor in killed.items())
    assert killed_csv == whole_csv


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["mode=scratch"], "try mode=fine_tuning head.init=source"),
        (["head.init=class_means"], "try mode=fine_tuning head.init=source"),
        (["weights.reset_from=2"], "weights.reset_from=null"),
        (["mix@module.mix=mixup"], "without labels, which module.mix needs"),
        (["regularizer=delta"], "try regularizer=l2_sp"),
        (["mode=feature_extraction"], "nothing else would learn"),
    ],
)
def test_what_shot_cannot_go_on_from_is_one_message(tmp_path, monkeypatch, capsys, overrides, told):
    monkeypatch.chdir(tmp_path)
    assert main([*TINY, *SOURCE, "adaptation=shot", *overrides]) != 0
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error
