"""Is the model before its first step measured whatever its weights are made of, and only where it is asked for?"""

import math

import pytest

from composed import figures, trained

FEW = [
    "data@target=printed", "target.characters=digits", "target.per_class=10", "target.val_per_class=10",
    "target.test_per_class=1", "mode=scratch", "head.init=class_means", "trainer.max_epochs=1",
    "callbacks.figures=null", "logger=csv",
]  # fmt: skip


def val_accuracies(folder):
    """Of each validation; the first is before the first step."""
    return [row["val/accuracy"] for row in figures(folder) if "val/accuracy" in row]


def test_a_run_with_weights_of_16_bits_begins_with_the_class_means_of_one_with_32(tmp_path):
    long = trained(*FEW, folder=tmp_path / "long")
    # float32 images too, as chance makes of uint8 ones
    short = trained(*FEW, "trainer.precision=bf16-true", "augment@target.augment=flip", folder=tmp_path / "short")
    assert long["start_class_means"] > 0.2
    assert short["start_class_means"] == pytest.approx(long["start_class_means"], abs=0.07)  # 7 of 100 images
    assert 0 <= short["metrics"]["test/accuracy"] <= 1


def test_the_closed_form_start_is_left_out_on_demand_and_changes_nothing_else(tmp_path):
    random = [*FEW, "head.init=random"]
    asked = trained(*random, folder=tmp_path / "asked")
    spared = trained(*random, "start_class_means=false", folder=tmp_path / "spared")
    assert asked["start_class_means"] > 0.2
    assert math.isnan(spared["start_class_means"])
    assert spared["weights_hash"] == asked["weights_hash"]
    assert val_accuracies(tmp_path / "spared") == val_accuracies(tmp_path / "asked")


def test_a_head_that_begins_in_closed_form_is_measured_in_any_case(tmp_path):
    begun = trained(*FEW, "start_class_means=false", folder=tmp_path)
    assert begun["start_class_means"] == pytest.approx(val_accuracies(tmp_path)[0])
    assert begun["start_class_means"] > 0.2
