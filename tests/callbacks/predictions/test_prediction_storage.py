"""Stored predictions agree with the logged metrics, and are stored only where they may be."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

import answer_ranks
from answer_ranks import SIZES, fit
from composed import composed, figures, trained
from headstart.callbacks.predictions.prediction_storage import ImagePredictions
from headstart.data.data_protocols import has_contents
from headstart.data.datasets.webdataset import WebDataset
from headstart.modules.metrics.multi_label_metrics import average_precisions
from headstart.runs.model_parts.assembly import assembled
from two_processes import run_both

RUN = ["mode=scratch", "callbacks.figures=null", "logger=csv"]


def kept(folder, split="val"):
    with np.load(folder / "answers" / f"{split}.npz", allow_pickle=False) as file:
        return dict(file)


def measured(folder, split="val"):
    """The rows of metrics.csv that an evaluation on the split has left."""
    return [row for row in figures(folder) if f"{split}/loss" in row]


@pytest.mark.parametrize("averaged", [False, True])
def test_each_evaluation_s_answers_give_its_figures(tmp_path, averaged):
    run = tmp_path / "run"
    result = trained(*RUN, *(["callbacks=ema", "callbacks.figures=null"] if averaged else []), folder=run)
    found, rows = kept(run), measured(run)
    assert found["step"].tolist() == [row["step"] for row in rows] == [0, 4, 8, 12, 16]
    right = (found["predicted"] == found["label"]).mean(axis=1)
    assert right.tolist() == pytest.approx([row["val/accuracy"] for row in rows], abs=1e-6)
    loss = found["loss"].astype(np.float64).mean(axis=1)
    assert loss.tolist() == pytest.approx([row["val/loss"] for row in rows], rel=2**-11)  # float16 has 11 bits
    assert len(set(right)) > 2  # it has learned something, so that a mix-up of evaluations would be seen

    tested, (row,) = kept(run, "test"), measured(run, "test")
    assert tested["step"].tolist() == [result["best"]["step"]]
    assert (tested["predicted"][0] == tested["label"]).mean() == pytest.approx(row["test/accuracy"], abs=1e-6)
    assert tested["loss"].astype(np.float64).mean() == pytest.approx(row["test/loss"], rel=2**-11)


def test_images_are_numbered_by_their_digest_in_the_split_s_order_beside_their_labels(tmp_path):
    trained(*RUN, "trainer.max_epochs=1", "trainer.limit_val_batches=3", folder=tmp_path / "run")
    data = assembled(composed(*RUN)).data
    data.setup("fit")
    for split in ("val", "test"):
        found = kept(tmp_path / "run", split)
        count = len(found["image"])
        assert count == (3 * 64 if split == "val" else data.sizes["test"])  # only the first ones were measured
        bytes_of = [bytes.fromhex(one)[:8] for one in data.contents(split)[:count]]
        assert found["image"].tolist() == [int.from_bytes(one, "big") for one in bytes_of]
        assert found["image"].dtype == np.uint64
        assert found["label"].tolist() == data.splits[split].label[:count].tolist()
        assert {name: found[name].dtype for name in ("predicted", "loss", "step")} == {
            "predicted": np.uint8, "loss": np.float16, "step": np.int64,
        }  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "run" / "answers").iterdir()) == ["test.npz", "val.npz"]


@pytest.mark.slow
def test_two_processes_leave_the_answers_of_one(tmp_path):
    fit(tmp_path / "one", ranks=1)
    run_both(answer_ranks.__file__, tmp_path / "two", seconds=300)
    for split in ("val", "test"):
        one, two = kept(tmp_path / "one", split), kept(tmp_path / "two", split)
        assert one.keys() == two.keys()
        assert len(one["image"]) == SIZES[split]
        for name in ("image", "label", "step", "predicted"):
            assert np.array_equal(one[name], two[name]), name
        np.testing.assert_allclose(one["loss"], two["loss"], rtol=2e-3)


# ------------------------------------------------------------------ without a run of the command


class Trained(ImagePredictions):
    """Tells the closed form when training begins."""

    def on_train_start(self, trainer, pl_module):
        self.set_closed_form(self.closed_form)  # type: ignore[attr-defined]


@pytest.mark.parametrize("whole", [True, False])
def test_the_closed_form_stands_beside_the_val_images_that_were_measured(tmp_path, whole):
    answers = Trained(folder=tmp_path / "answers")
    answers.closed_form = torch.randn(SIZES["val"] if whole else 32, 2)  # type: ignore[attr-defined]
    fit(tmp_path, ranks=1, answers=answers, limit_val_batches=1)
    found = kept(tmp_path)
    assert len(found["image"]) == 32 < SIZES["val"]
    assert np.array_equal(found["closed_form"], answers.closed_form.argmax(dim=1).numpy()[:32])  # type: ignore[attr-defined]
    assert "seen_by_trials" not in found
    assert "closed_form" not in kept(tmp_path, "test")


def test_the_images_that_trials_were_validated_on_are_marked(tmp_path):
    fit(tmp_path / "trial", ranks=1, max_epochs=1)
    images = kept(tmp_path / "trial")["image"]
    answers = ImagePredictions(folder=tmp_path / "run" / "answers")
    answers.set_seen_by_trials(images[[0, 2]])
    fit(tmp_path / "run", ranks=1, answers=answers, max_epochs=1)
    found = kept(tmp_path / "run")
    assert found["image"].tolist() == images.tolist()
    assert found["seen_by_trials"].nonzero()[0].tolist() == [0, 2]
    assert "seen_by_trials" not in kept(tmp_path / "run", "test")


def test_a_loss_beyond_float16_is_its_largest_number_and_nan_stays_nan(tmp_path):
    big = torch.tensor([[0.0, 1e6], [0.0, 1.0], [math.nan, 0.0]])

    class Big(ImagePredictions):
        def on_validation_batch_end(self, trainer, module, outputs, batch, *rest):
            changed = outputs | {"logits": big}
            batch = batch._replace(label=batch.label[:3] * 0, position=batch.position[:3])
            super().on_validation_batch_end(trainer, module, changed, batch, *rest)

    fit(tmp_path, ranks=1, answers=Big(folder=tmp_path / "answers"), limit_val_batches=1)
    loss = kept(tmp_path)["loss"][0]
    assert loss[0] == np.float16(65504)
    assert loss[1] == pytest.approx(cross_entropy(big[1], torch.tensor(0)).item(), rel=1e-3)
    assert math.isnan(loss[2])


def test_of_several_labels_the_logits_of_the_start_and_of_the_last_evaluations_are_kept(tmp_path):
    fit(tmp_path, ranks=1, several=True, max_epochs=45)
    found, rows = kept(tmp_path), figures(tmp_path)
    assert found["step"].tolist() == [0, *(3 * epoch for epoch in range(41, 46))]  # 46 evaluations: the last 5
    assert found["logits"].shape == (6, SIZES["val"], 2)
    assert (found["logits"].dtype, found["label"].dtype) == (np.float16, np.uint8)
    of_step = {row["step"]: row for row in rows if "val/map" in row}
    for step, logits, loss in zip(found["step"], found["logits"], found["loss"], strict=True):
        logits, label = torch.from_numpy(logits).float(), torch.from_numpy(found["label"])
        assert average_precisions(logits, label).nanmean() == pytest.approx(of_step[step]["val/map"], abs=1e-6)
        want = binary_cross_entropy_with_logits(logits, label.float(), reduction="none").mean(dim=1)
        np.testing.assert_allclose(loss, want, rtol=2e-3)
        assert loss.astype(np.float64).mean() == pytest.approx(of_step[step]["val/loss"], rel=2**-10)
    assert kept(tmp_path, "test")["logits"].shape == (1, SIZES["test"], 2)


@pytest.mark.parametrize("evaluations", [*range(1, 45), 99, 100, 101])
def test_thinning_out_as_evaluations_come_leaves_what_thinning_out_at_the_end_would(tmp_path, evaluations):
    answers = ImagePredictions(folder=tmp_path)
    for number in range(evaluations):
        answers._said.append(number)
        answers._steps.append(number)
        answers._count += 1
        answers._thin_out()
    last = max(3, math.ceil(evaluations / 10))
    assert answers._steps == answers._said == sorted({0, *range(evaluations)[-last:]})


def test_data_that_do_not_say_what_their_images_contain_leave_no_answers(tmp_path):
    class Unsaid:
        contents = WebDataset.contents

    data = fit(tmp_path, ranks=1, mixin=Unsaid)
    assert not has_contents(data)
    assert measured(tmp_path)
    assert not (tmp_path / "answers").exists()


def test_batches_without_positions_and_hidden_labels_leave_no_answers(tmp_path):
    class NoPositions(ImagePredictions):
        def on_validation_batch_end(self, trainer, module, outputs, batch, *rest):
            super().on_validation_batch_end(trainer, module, outputs, batch._replace(position=None), *rest)

    class Hidden:
        def __getattr__(self, name):
            raise AssertionError("labels that are hidden were read")

    class NoLabels(ImagePredictions):
        def on_validation_batch_end(self, trainer, module, outputs, batch, *rest):
            super().on_validation_batch_end(trainer, module, outputs, batch._replace(label=Hidden()), *rest)

    for kind in (NoPositions, NoLabels):
        folder = tmp_path / kind.__name__
        fit(folder, ranks=1, answers=kind(folder=folder / "answers"))
        assert [path.name for path in (folder / "answers").iterdir()] == ["test.npz"]


def test_in_a_run_that_adapts_val_is_the_source_s_and_test_the_target_s(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = [
        "adaptation=dann", "mode=scratch", "target.shots=null", "source.characters=digits", "trainer.max_epochs=1",
        "trainer.limit_train_batches=2", "callbacks.figures=null", "logger=csv",
    ]  # fmt: skip
    trained(*given, folder=tmp_path / "run")
    data = assembled(composed(*given)).data
    for split, of in (("val", data._source), ("test", data._target)):
        found, (*_, row) = kept(tmp_path / "run", split), measured(tmp_path / "run", split)
        assert sorted(found["image"]) == sorted(int(one[:16], 16) for one in of.contents(split))
        assert found["image"].tolist() == [int(one[:16], 16) for one in data.contents(split)]
        right = (found["predicted"][-1] == found["label"]).mean()
        assert right == pytest.approx(row[f"{split}/accuracy"], abs=1e-6)
