"""Picture of receptive fields: boxes of what the middle unit of each stage sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from headstart.explain.picture_protocol import Shown, Subject
from headstart.explain.receptive_fields.receptive_search import FieldFinder
from headstart.explain.receptive_fields.receptive_size import FieldExtent, extents
from headstart.explain.rendering.map_rendering import drawing, photo


class ReceptiveFields:
    """Boxes on an image around what the middle unit of each stage can see, with size, stride and share.

    Args:
        stages: Names of stages; None means all.
    """

    title = "Receptive fields"
    about = (
        "The box of a colour holds all pixels that can change the unit in the middle of that stage's maps. What is "
        "outside cannot. Attention, squeeze-and-excitation and pooling over the whole map see the whole image."
    )

    def __init__(self, *, stages: Sequence[str] | None) -> None:
        self.stages = stages

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """One image with the boxes of all stages."""
        network = subject.network
        chosen = network.chosen(self.stages)
        of_stages = extents(network, subject.progress(chosen, title="receptive fields", total=len(chosen)))
        finder = FieldFinder(network)
        boxes = [finder.box(stage, None) for stage in chosen]
        lines = [f"{stage}: {described(of_stages[stage])}" for stage in chosen]
        colours = [matplotlib.colormaps["turbo"]((n + 0.5) / len(chosen)) for n in range(len(chosen))]

        size = network.backbone.pixels.size
        figure = Figure(figsize=(8, 4.2), dpi=100, layout="constrained")
        axes = figure.subplots()
        axes.imshow(photo(subject.images.pixels[0]), extent=(0, size, size, 0))
        axes.set_axis_off()
        for nth, (box, colour, line) in enumerate(zip(boxes, colours, lines, strict=True)):
            equal = boxes[:nth].count(box)
            axes.add_patch(
                Rectangle(
                    (box.left, box.top), box.width, box.height, fill=False, edgecolor=colour, lw=3, clip_on=False,
                    label=line, linestyle=(0, (4, 4 * equal)) if equal else "solid",  # earlier boxes show in the gaps
                )
            )  # fmt: skip
        figure.legend(loc="outside right upper", frameon=False, fontsize=9)
        yield Shown(
            "receptive-fields",
            drawing(figure),
            f"On {subject.images.names[0]}, {size} x {size} pixels. {'; '.join(lines)}.",
            f"{len(boxes)} boxes around the middle of an image, the larger the deeper the stage.",
        )


def described(extent: FieldExtent) -> str:
    """A stage's field as text: 99 x 99 pixels, stride 8, 20 % of the image."""
    more = " at least" if extent.cut else ""
    size = "the whole image" if extent.whole else f"{extent.height} x {extent.width} pixels{more}"
    stride = f", stride {extent.stride}" if extent.stride else ""
    if extent.whole:
        return size + stride
    percent = 100 * extent.share
    return f"{size}{stride}, {f'{percent:.0f}' if percent >= 10 else f'{percent:.2g}'} % of the image"
