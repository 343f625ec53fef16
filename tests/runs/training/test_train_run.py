"""A run is what its mode says, is measured from step 0, and is reproducible."""

import csv
import json
import math

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from composed import composed, trained
from headstart.runs.model_parts.assembly import assembled
from headstart.runs.weights.source_model import source_weights

pytestmark = pytest.mark.pictures
MODES = ("scratch", "feature_extraction", "fine_tuning", "gradual")
ALL_LOGS = ["logger=tensorboard", "callbacks.figures.wrong=25"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(autouse=True)
def here(place, monkeypatch):
    monkeypatch.chdir(place)  # where outputs/source is


@pytest.fixture(scope="module")
def runs(place):
    """One run of each mode."""
    first = ["+callbacks.first._target_=first_weights.FirstWeights", "+callbacks.first.folder=${run_dir}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return {
            mode: trained(f"mode={mode}", *first, *(ALL_LOGS if mode == "gradual" else []), folder=place / mode)
            for mode in MODES
        }


def rows(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def curve(folder, name="val/accuracy"):
    return [(float(row["step"]), float(row[name])) for row in rows(folder) if row.get(name)]


def weights(folder, name):
    return torch.load(folder / "checkpoints" / name, weights_only=True)["state_dict"]


def source_state(cfg):
    nodes = {key: value for key, value in cfg.weights.items() if key != "_target_"}
    return source_weights(cfg=cfg, **nodes).backbone


@pytest.mark.parametrize(
    ("mode", "frozen"),
    [
        ("scratch", set()),
        ("feature_extraction", {"stage1", "stage2", "stage3", "stage4"}),
        ("fine_tuning", set()),
        ("gradual", {"stage1", "stage2"}),  # 4 epochs: stage4 opens in epoch 1, stage3 in epoch 3
    ],
)
def test_what_a_mode_freezes_is_the_source_s_to_the_bit_and_all_that_it_opens_has_moved(runs, place, mode, frozen):
    last = weights(place / mode, "last.ckpt")
    cfg = composed(f"mode={mode}")
    if mode == "scratch":
        torch.manual_seed(cfg.seed)
        before = {f"backbone.{key}": t for key, t in assembled(cfg).backbone.state_dict().items()}
    else:
        before = {f"backbone.{key}": t for key, t in source_state(cfg).items()}
    for name, tensor in before.items():
        stage = name.split(".")[2]
        assert torch.equal(tensor, last[name]) == (stage in frozen), name


def test_the_head_learns_in_every_mode(runs, place):
    for mode in MODES:
        first = torch.load(place / mode / "first.pt", weights_only=True)
        last = weights(place / mode, "last.ckpt")
        assert not torch.equal(first["head.linear.weight"], last["head.linear.weight"]), mode
        if runs[mode]["best_before_training"]:
            assert torch.equal(first["head.linear.weight"], weights(place / mode, "best.ckpt")["head.linear.weight"])


@pytest.mark.parametrize("mode", MODES)
def test_the_first_measurement_is_before_the_first_step_and_one_follows_each_epoch(runs, place, mode):
    result = runs[mode]
    assert [point["step"] for point in result["evaluations"]] == [
        0,
        4,
        8,
        12,
        16,
    ]  # 50 images in batches of 16
    assert [point["examples"] for point in result["evaluations"]] == [0, 50, 100, 150, 200]
    assert [point["epoch"] for point in result["evaluations"]] == [0, 1, 2, 3, 4]
    assert [step for step, _ in curve(place / mode)] == [0, 4, 8, 12, 16]
    assert (result["steps"], result["examples"]) == (16, 200)
    seconds = [point["wall_s"] for point in result["evaluations"]]
    assert seconds == sorted(seconds)


def test_a_head_of_class_means_starts_where_the_closed_form_measured_and_a_random_one_at_chance(runs, place):
    for mode in ("fine_tuning", "gradual"):
        assert curve(place / mode)[0][1] == pytest.approx(runs[mode]["start_class_means"])
    # its own head standardises; what is measured is that of all arms
    assert runs["feature_extraction"]["start_class_means"] == pytest.approx(runs["fine_tuning"]["start_class_means"])
    assert curve(place / "scratch")[0][1] < 0.25
    assert runs["scratch"]["start_class_means"] > 0.3  # even random features tell digits apart


@pytest.mark.parametrize("mode", MODES)
def test_the_best_checkpoint_is_the_best_on_val_of_equals_that_of_the_lowest_loss_and_the_test_is_of_it(
    runs, place, mode
):
    points = curve(place / mode)
    best = max(value for _, value in points)
    assert runs[mode]["best"]["val/accuracy"] == pytest.approx(best)
    equals = [(loss, -step) for (step, value), (_, loss) in zip(points, curve(place / mode, "val/loss"), strict=True)
              if value == best]  # fmt: skip
    assert runs[mode]["best"]["step"] == -min(equals)[1]
    assert runs[mode]["best_before_training"] == (runs[mode]["best"]["step"] == 0)
    assert runs[mode]["metrics"]["val/accuracy"] == pytest.approx(best)
    assert len(curve(place / mode, "test/accuracy")) == 1

    parts = assembled(composed(f"mode={mode}"))
    parts.data.setup("test")
    parts.module.load_state_dict(weights(place / mode, "best.ckpt"))
    parts.module.eval()
    with torch.no_grad():
        hits = [parts.module(b.image).argmax(1) == b.label for b in parts.data.plain_dataloader("test")]
    assert runs[mode]["metrics"]["test/accuracy"] == pytest.approx(torch.cat(hits).float().mean().item())


def test_the_same_seed_gives_the_same_figures_to_the_last_digit_and_another_seed_others(runs, place):
    again = trained("mode=gradual", folder=place / "again")
    other = trained("mode=gradual", "seed=1", folder=place / "other")
    assert (place / "again" / "metrics.csv").read_bytes() == (place / "gradual" / "metrics.csv").read_bytes()
    assert again["weights_hash"] == runs["gradual"]["weights_hash"]
    assert other["weights_hash"] != again["weights_hash"]


def test_a_folder_used_again_holds_the_new_run_alone(runs, place):
    folder = place / "again_in_place"
    trained("mode=scratch", "logger=tensorboard", folder=folder)
    trained("mode=scratch", "logger=tensorboard", "trainer.max_epochs=2", folder=folder)
    assert [step for step, _ in curve(folder)] == [0, 4, 8]
    assert all(tag != 16 for tag in [event.step for event in board(folder).Scalars("val/accuracy")])


def board(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    return events


def test_tensorboard_has_curves_rates_open_stages_pictures_and_hparams(runs, place):
    seen = board(place / "gradual")
    tags = seen.Tags()
    curves = {
        "train/loss",
        "train/accuracy",
        "val/accuracy",
        "val/f1",
        "val/calibration_error",
        "test/accuracy",
    }
    assert curves <= set(tags["scalars"])
    assert {"test/confusion", "test/abstention", "test/wrong"} <= set(tags["images"])
    assert [event.step for event in seen.Scalars("val/accuracy")] == [0, 4, 8, 12, 16]
    open_at = {event.step: event.value for event in seen.Scalars("stages/trainable")}
    assert [open_at[step] for step in (0, 4, 8, 12)] == [0, 1, 1, 2]
    trainable = {event.step: event.value for event in seen.Scalars("stages/trainable_parameters")}
    head = 32 * 10 + 10
    assert trainable[0] == head
    assert trainable[4] == head + 16 * 32 * 9 + 2 * 32
    assert "_hparams_/session_start_info" in seen.summary_metadata
    start, asymptote = (seen.Scalars(f"final/{name}")[0].value for name in ("start", "asymptote"))
    assert start == pytest.approx(runs["gradual"]["start_class_means"])
    assert asymptote == pytest.approx(sum(event.value for event in seen.Scalars("val/accuracy")[-3:]) / 3)
    assert seen.Scalars("final/test/accuracy")[0].value == pytest.approx(runs["gradual"]["metrics"]["test/accuracy"])


def test_the_rates_of_the_stages_follow_the_decay_the_cosine_and_what_is_open(runs, place):
    seen = board(place / "gradual")
    lr = {part: {e.step: e.value for e in seen.Scalars(f"lr/{part}")} for part in ("head", "stage4", "stage3")}
    for step in (4, 8, 12):
        assert lr["head"][step] == pytest.approx(2e-3 * (1 + math.cos(math.pi * step / 16)) / 2, rel=1e-5)
        assert lr["stage4"][step] == pytest.approx(lr["head"][step] / 2, rel=1e-5)
    assert lr["stage4"][0] == 0
    assert lr["stage3"][8] == 0
    assert lr["stage3"][12] == pytest.approx(lr["head"][12] / 4, rel=1e-5)


def test_result_json_is_what_train_returns_and_names_its_source(runs, place):
    written = json.loads((place / "gradual" / "result.json").read_text())
    assert written == json.loads(json.dumps(runs["gradual"]))
    assert written["mode"] == "gradual"
    assert written["seed"] == 0
    assert written["sizes"] == {"train": 50, "val": 1027, "test": 720}
    assert written["source"]["naive"].keys() == {"majority", "class_means", "logistic_regression"}
    assert runs["scratch"]["source"] is None
    assert written["versions"]["torch"] == torch.__version__


def test_the_first_stages_alone_can_be_reused(place):
    result = trained("mode=feature_extraction", "backbone.keep=2", folder=place / "keep")
    last = weights(place / "keep", "last.ckpt")
    assert {key.split(".")[2] for key in last if key.startswith("backbone.")} == {"stage1", "stage2"}
    assert last["head.linear.weight"].shape == (10, 8)
    assert result["source"]["hash"] == json.loads((place / "gradual" / "result.json").read_text())["source"]["hash"]


def test_the_source_s_head_comes_along_where_the_classes_are_the_same(place):
    cfg = ["experiment=digits_with_head", "mode=feature_extraction", "optimizer.lr=1e-30"]  # it does not move
    trained(*cfg, folder=place / "head")
    nodes = {key: value for key, value in composed(*cfg).weights.items() if key != "_target_"}
    head = source_weights(cfg=composed(*cfg), **nodes).head
    assert torch.equal(weights(place / "head", "last.ckpt")["head.linear.weight"], head["linear.weight"])
    first = curve(place / "head")[0][1]
    parts = assembled(composed(*cfg))
    parts.backbone.load_state_dict(source_state(composed(*cfg)))
    parts.head.load_state_dict(dict(head))
    parts.module.eval()
    parts.data.setup("fit")
    with torch.no_grad():
        hits = [parts.module(b.image).argmax(1) == b.label for b in parts.data.plain_dataloader("val")]
    assert first == pytest.approx(torch.cat(hits).float().mean().item())


def test_from_scratch_there_is_no_source_head_and_the_head_starts_random(place):
    result = trained("experiment=digits_with_head", "mode=scratch", "trainer.max_epochs=1", folder=place / "none")
    assert result["source"] is None


def test_a_run_without_checkpoints_reports_its_last_validation(place):
    result = trained(
        "mode=scratch", "callbacks.checkpoint=null", "trainer.max_epochs=3", "trainer.check_val_every_n_epoch=2",
        folder=place / "kept-nothing",
    )  # fmt: skip
    measured = curve(place / "kept-nothing")
    assert [step for step, _ in measured] == [0, 8, 12]  # 4 steps an epoch; the end is measured
    assert result["metrics"]["val/accuracy"] == pytest.approx(measured[-1][1])
    assert result["best"] == {}
    assert not list((place / "kept-nothing").rglob("*.ckpt"))


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_epoch_s_figures_are_of_all_its_images_once(place, split):
    """Batches are of unequal sizes; the loss of the stored weights is the mean over images, computed here by hand."""
    trained(
        "mode=scratch", "trainer.max_epochs=1", "optimizer=sgd", "optimizer.lr=1e-12", "target.batch_size=16",
        "optimizer.weight_decay=0", "trainer.deterministic=true", folder=place / f"mean-{split}",
    )  # fmt: skip
    cfg = composed("mode=scratch", "target.batch_size=16")
    parts = assembled(cfg)
    parts.data.setup("fit")
    parts.module.load_state_dict(weights(place / f"mean-{split}", "last.ckpt"))
    parts.module.eval()
    with torch.no_grad():
        answers = [(parts.module(b.image), b.label) for b in parts.data.plain_dataloader(split)]
    logits, label = (torch.cat(part) for part in zip(*answers, strict=True))
    loss = torch.nn.functional.cross_entropy(logits, label).item()
    if split == "val":
        assert curve(place / "mean-val", "val/loss")[-1][1] == pytest.approx(loss, rel=1e-4)
        right = (logits.argmax(1) == label).float().mean().item()
        assert curve(place / "mean-val")[-1][1] == pytest.approx(right)
    else:  # BatchNorm uses each batch's own statistics while it trains, so only the count is certain
        reached = curve(place / "mean-train", "train/accuracy")
        assert len(reached) == 1
        assert reached[0][1] * len(label) == pytest.approx(round(reached[0][1] * len(label)), abs=1e-4)


def test_a_run_keeps_the_answers_of_its_start_in_closed_form(runs, place):
    """What the report compares starts by, image by image, is the figure in result.json."""
    import numpy as np

    found = np.load(place / "gradual" / "answers" / "val.npz", allow_pickle=False)
    right = found["closed_form"] == found["label"]
    assert right.mean() == pytest.approx(runs["gradual"]["start_class_means"])
