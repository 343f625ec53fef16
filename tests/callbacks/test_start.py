"""Is the model before its first step measured whatever its weights are made of?"""

import pytest

from composed import trained

FEW = [
    "data@target=printed", "target.characters=digits", "target.per_class=10", "target.val_per_class=10",
    "target.test_per_class=1", "mode=scratch", "head.init=class_means", "trainer.max_epochs=1",
    "callbacks.figures=null", "logger=csv",
]  # fmt: skip


def test_a_run_with_weights_of_16_bits_begins_with_the_class_means_of_one_with_32(tmp_path):
    long = trained(*FEW, folder=tmp_path / "long")
    # float32 images too, as chance makes of uint8 ones
    short = trained(*FEW, "trainer.precision=bf16-true", "augment@target.augment=flip", folder=tmp_path / "short")
    assert long["start_class_means"] > 0.2
    assert short["start_class_means"] == pytest.approx(long["start_class_means"], abs=0.07)  # 7 of 100 images
    assert 0 <= short["metrics"]["test/accuracy"] <= 1
