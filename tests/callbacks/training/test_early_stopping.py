"""callbacks=early_stopping ends a run where the monitored metric has not improved for so many validations."""

from composed import figures, trained


def test_a_run_at_rate_0_ends_after_its_patience_and_is_finished(tmp_path):
    more = ("trainer.max_epochs=6", "optimizer.lr=0", "callbacks.early_stopping.patience=2")
    result = trained("mode=feature_extraction", "callbacks=early_stopping", *more, folder=tmp_path / "run")
    assert result["state"] == "finished"
    validations = [row for row in figures(tmp_path / "run") if "val/accuracy" in row]
    assert [row["epoch"] for row in validations] == [0, 1, 2, 3]  # before training, the first, two no better
