"""TensorBoard's event files, written without torch and without TensorFlow."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.text.plugin_data_pb2 import TextPluginData
from tensorboard.summary.writer.record_writer import RecordWriter

# tags that HPARAMS shows first; TensorBoard takes its columns from any one of the runs, so that all name all of them
START, SLOPE, ASYMPTOTE = BENEFITS = ("final/start", "final/slope", "final/asymptote")
PREFIX = "events.out.tfevents."  # of the names of files that TensorBoard reads


def write_events(folder: Path, summaries: Iterable[tuple[int, Any]]) -> Path:
    """Write summaries to the only event file of a folder, in place of those that lie there.

    Relies on: `tensorboard.summary.writer.record_writer`, which TensorBoard has for its own writers.

    Args:
        folder: It is made where it is not there.
        summaries: Step and summary, in their order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    earlier = list(folder.glob(f"{PREFIX}*"))
    file = folder / f"{PREFIX}{time.time_ns() // 1_000_000:013d}.{socket.gethostname()}.{os.getpid()}"
    partial = folder / f".{file.name}.partial"
    now = time.time()
    with partial.open("wb") as stream:
        writer = RecordWriter(stream)
        writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        for step, summary in summaries:
            writer.write(Event(wall_time=now, step=step, summary=summary).SerializeToString())
        writer.flush()
    partial.replace(file)
    for path in earlier:
        if path != file:
            path.unlink()
    return file


def scalar(tag: str, value: float) -> Any:
    """A point of a curve.

    Args:
        tag: Of the curve.
        value: Of the point.
    """
    return Summary(value=[Summary.Value(tag=tag, simple_value=value)])


def text(tag: str, content: str) -> Any:
    """A text in Markdown.

    Args:
        tag: Of the text.
        content: It.
    """
    plugin = SummaryMetadata.PluginData(plugin_name="text", content=TextPluginData(version=0).SerializeToString())
    tensor = TensorProto(
        dtype="DT_STRING",
        string_val=[content.encode()],
        tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
    )
    metadata_ = SummaryMetadata(plugin_data=plugin)
    return Summary(value=[Summary.Value(tag=f"{tag}/text_summary", metadata=metadata_, tensor=tensor)])


def band_chart(category: str, title: str, tags: tuple[str, str, str]) -> Any:
    """A chart of Custom Scalars: a line and a band around it, of each run that has the tags.

    Args:
        category: Of the chart.
        title: Of the chart.
        tags: Of the line, of the band's lower and of its upper end.
    """
    value, lower, upper = tags
    series = layout_pb2.MarginChartContent.Series(value=value, lower=lower, upper=upper)
    chart = layout_pb2.Chart(title=title, margin=layout_pb2.MarginChartContent(series=[series]))
    layout = layout_pb2.Layout(category=[layout_pb2.Category(title=category, chart=[chart])])
    tensor = TensorProto(dtype="DT_STRING", string_val=[layout.SerializeToString()], tensor_shape=TensorShapeProto())
    plugin = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="custom_scalars"))
    return Summary(value=[Summary.Value(tag="custom_scalars__config__", tensor=tensor, metadata=plugin)])


def add_row(writer: Any, settings: Mapping[str, bool | float | str], metrics: Sequence[str]) -> None:
    """Write a row of HPARAMS beside what a run logs.

    Relies on: `torch.utils.tensorboard.SummaryWriter._get_file_writer`, as Lightning's own logger does.

    Args:
        writer: The run's SummaryWriter.
        settings: Of the run.
        metrics: Tags of its scalars.
    """
    columns = {key: type(value) for key, value in settings.items()}
    for summary in hparams(settings, columns, [*BENEFITS, *(tag for tag in metrics if tag not in BENEFITS)]):
        writer._get_file_writer().add_summary(summary)


def hparams(
    settings: Mapping[str, bool | float | str], columns: Mapping[str, type], metrics: Sequence[str]
) -> tuple[Any, ...]:
    """A row of HPARAMS, and the columns of the whole table.

    Args:
        settings: Of this row.
        columns: Of the table, settings and their types in their order.
        metrics: Tags of scalars, which are columns too.
    """
    begin = plugin_data_pb2.SessionStartInfo()
    for key, value in settings.items():
        if isinstance(value, bool):
            begin.hparams[key].bool_value = value
        elif isinstance(value, str):
            begin.hparams[key].string_value = value
        else:
            begin.hparams[key].number_value = value
    kinds = {bool: "DATA_TYPE_BOOL", str: "DATA_TYPE_STRING"}
    infos = [
        api_pb2.HParamInfo(name=key, type=api_pb2.DataType.Value(kinds.get(kind, "DATA_TYPE_FLOAT64")))
        for key, kind in columns.items()
    ]
    shown = [
        api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=tag.removeprefix("final/")) for tag in metrics
    ]
    table = api_pb2.Experiment(hparam_infos=infos, metric_infos=shown)
    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.Status.Value("STATUS_SUCCESS"))
    return (
        _hparams(metadata.EXPERIMENT_TAG, experiment=table),
        _hparams(metadata.SESSION_START_INFO_TAG, session_start_info=begin),
        _hparams(metadata.SESSION_END_INFO_TAG, session_end_info=end),
    )


def _hparams(tag: str, **content: Any) -> Any:
    data = plugin_data_pb2.HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION, **content)
    plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME, content=data.SerializeToString())
    return Summary(value=[Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin))])
