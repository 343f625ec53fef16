"""Event files that are written without torch are read by TensorBoard's own reader."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch.utils.tensorboard import SummaryWriter

from headstart.compat.tensorboard_events import add_row, scalar, text, write_events


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def test_points_and_texts_are_read_as_they_were_written_and_replaced_by_the_next(tmp_path):
    write_events(
        tmp_path, [(0, scalar("val/accuracy", 0.25)), (4, scalar("val/accuracy", 0.5)), (0, text("plan", "a"))]
    )
    shown = read(tmp_path)
    assert [(event.step, event.value) for event in shown.Scalars("val/accuracy")] == [(0, 0.25), (4, 0.5)]
    assert shown.Tensors("plan/text_summary")[0].tensor_proto.string_val == [b"a"]
    (tmp_path / "notes.txt").write_text("mine")
    write_events(tmp_path, [(8, scalar("val/accuracy", 0.75))])
    assert [event.step for event in read(tmp_path).Scalars("val/accuracy")] == [8]
    assert len(list(tmp_path.iterdir())) == 2  # the events and the notes


def test_a_row_of_a_run_names_start_slope_and_asymptote_first_and_keeps_the_types_of_its_settings(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        settings = {"mode": "scratch", "seed": 3, "control": True, "optimizer.lr": 0.5}
        add_row(writer, settings, ["final/asymptote", "final/test/accuracy"])
    shown = read(tmp_path)

    def content(name):
        return HParamsPluginData.FromString(shown.SummaryMetadata(f"_hparams_/{name}").plugin_data.content)

    begun = content("session_start_info").session_start_info.hparams
    assert (begun["mode"].string_value, begun["seed"].number_value) == ("scratch", 3)
    assert (begun["control"].bool_value, begun["optimizer.lr"].number_value) == (True, 0.5)
    table = content("experiment").experiment
    assert [info.name for info in table.hparam_infos] == list(settings)
    assert [info.display_name for info in table.metric_infos] == ["start", "slope", "asymptote", "test/accuracy"]
