"""Which pixels can a unit of a stage see?"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import matplotlib
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from headstart.explain.explained_network import Network, maps
from headstart.explain.map_rendering import drawing, photo
from headstart.explain.picture_protocol import Shown, Subject, UnfitError
from headstart.types import UserError

Place = tuple[int, int]  # row, column of a stage's map

# functions whose gradient is cut somewhere: there it passes for all that. Others multiply, and NaN times 0 is NaN
CUTTING = {
    *("relu", "relu6", "hardtanh", "hardswish", "hardsigmoid", "threshold", "hardshrink", "softshrink"),
    *("clamp", "clamp_min", "clamp_max", "clip"),
}
POOLING = {"max_pool2d", "max_pool2d_with_indices", "adaptive_max_pool2d", "adaptive_max_pool2d_with_indices"}
GROWN = (1, 2, 4, 8, 16, 32)  # times the network's own size: images that are tried until a field lies inside
LONGEST = 1024  # pixels of their longer side, or 4 times the network's own


class Box(NamedTuple):
    """Pixels of an image: rows top to bottom - 1, columns left to right - 1."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    def of(self, image: Tensor) -> Tensor:
        """The part (C, height, width) of an image (C, H, W)."""
        return image[:, self.top : self.bottom, self.left : self.right]


class Extent(NamedTuple):
    """What the unit in the middle of a stage sees.

    height, width: pixels; where the network takes larger images, not cut by the border. stride: pixels from one unit's
    field to the next; None: the stage has no places. share: of the pixels of an image of the network's own size, seen
    by the unit. whole: all of it, however large the image is, as far as was tried. cut: the border did cut the field,
    of all images that the network takes.
    """

    height: int
    width: int
    stride: int | None
    share: float
    whole: bool
    cut: bool


class ReceptiveFields:
    """Boxes on an image: what the unit in the middle of each stage can see, and a line of figures for each.

    stages: null = all.
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
        found = extents(network, subject.progress(chosen, title="receptive fields", total=len(chosen)))
        fields = Fields(network)
        boxes = [fields.box(stage, None) for stage in chosen]
        lines = [f"{stage}: {told(found[stage])}" for stage in chosen]
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


def told(extent: Extent) -> str:
    """A stage's figures in words: 99 x 99 pixels, stride 8, 20 % of the image."""
    more = " at least" if extent.cut else ""
    seen = "the whole image" if extent.whole else f"{extent.height} x {extent.width} pixels{more}"
    stride = f", stride {extent.stride}" if extent.stride else ""
    if extent.whole:
        return seen + stride
    percent = 100 * extent.share
    return f"{seen}{stride}, {f'{percent:.0f}' if percent >= 10 else f'{percent:.2g}'} % of the image"


def field(network: Network, stage: str, place: Place | None, *, channel: int | None = None) -> Box:
    """The smallest box around the pixels that a unit sees; of several units `Fields` is faster.

    See Fields.mask for what place and channel mean, and for the errors.
    """
    return Fields(network).box(stage, place, channel=channel)


def extents(network: Network, stages: Iterable[str]) -> dict[str, Extent]:
    """Of each stage what the unit in its middle sees.

    A field that meets the border of the image is measured again on wider and higher images, where the network takes
    them. Raises UserError and UnfitError as Fields.mask does.
    """
    size = network.backbone.pixels.size
    own = Fields(network)
    lengths = [size * times for times in GROWN if times <= 4 or size * times <= LONGEST]
    grown: dict[tuple[int, int], Fields | None] = {(size, size): own}

    def measured(stage: str, axis: int) -> tuple[int, int] | None:
        """Pixels and stride along rows (0) or columns (1), None where no image is large enough."""
        for length in lengths:
            shape = (length, size) if axis == 0 else (size, length)
            if shape not in grown:
                grown[shape] = own.larger(shape)
            fields = grown[shape]
            if fields is None:
                return None
            try:
                inside = _inside(fields, stage, axis)
            except UnfitError:  # of that size, it takes none
                grown[shape] = None
                return None
            if inside is not None:
                return inside
        return None

    found = {}
    for stage in stages:
        mask, places = own.mask(stage, None), own.places(stage)
        along = [measured(stage, axis) for axis in (0, 1)]
        box = _around(mask)
        stride = max((one[1] for one in along if one is not None), default=0) or (places and round(size / places[0]))
        found[stage] = Extent(
            height=along[0][0] if along[0] else box.height,
            width=along[1][0] if along[1] else box.width,
            stride=stride if places and max(places) > 1 else None,
            share=float(mask.double().mean()),
            whole=along == [None, None] and bool(mask.all()),
            cut=places is not None and None in along,
        )
    return found


def _inside(fields: Fields, stage: str, axis: int) -> tuple[int, int] | None:
    """Size and stride along an axis of the unit in the middle, None where its field meets the border."""
    places = fields.places(stage)
    box = fields.box(stage, None)
    begin, end = (box.top, box.bottom) if axis == 0 else (box.left, box.right)
    if places is None or begin == 0 or end == fields.shape[axis]:
        return None
    row, column = places[0] // 2, places[1] // 2
    beside = (row - 1, column) if axis == 0 else (row, column - 1)
    shift = 0
    if min(beside) >= 0:
        other = fields.box(stage, beside)
        shift = end - (other.bottom if axis == 0 else other.right)  # its end is not cut by the border
    return end - begin, shift or round(fields.shape[axis] / places[axis])  # in a window of attention all see the same


class Fields:
    """The receptive fields of a network's units on images of a size, found by letting NaN flow back from them.

    On a copy of the backbone, in float64 on the CPU, where torch multiplies matrices and no transform (Winograd's)
    mixes neighbours: NaN times any weight is NaN, and 0 elsewhere stays 0, so that exactly the pixels that a path
    leads to become NaN. One forward pass serves all units, each takes a backward pass.
    What attention leaves out by adding a large negative number counts as seen: so do the windows at the border of
    a shifted Swin stage.

    shape: height and width of the images, None = the network's own.
    """

    def __init__(self, network: Network, *, shape: tuple[int, int] | None = None) -> None:
        pixels = network.backbone.pixels
        self.shape = (pixels.size, pixels.size) if shape is None else shape
        self._network = network
        self._copies: dict[str, nn.Module] = {}  # made when they are reached: a stage `fc` can be large
        chance = torch.Generator().manual_seed(0)  # no constant image: norms divide by its deviation
        self._image = torch.randn(1, pixels.channels, *self.shape, dtype=torch.float64, generator=chance)
        self._last = self._image.requires_grad_()
        self._found: dict[str, Tensor] = {}
        self._boxes: dict[tuple[str, Place | None, int | None], Box] = {}

    def larger(self, shape: tuple[int, int]) -> Fields:
        """The same network's fields on images of another height and width; it is not copied again."""
        others = Fields(self._network, shape=shape)
        others._copies = self._copies
        return others

    def places(self, stage: str) -> tuple[int, int] | None:
        """Rows and columns of a stage's maps, None where it has none. Errors as for mask."""
        reached = self._reached(stage)
        return (reached.shape[2], reached.shape[3]) if reached.ndim == 4 else None

    def mask(self, stage: str, place: Place | None, *, channel: int | None = None) -> Tensor:
        """Bool (H, W): the pixels that can change a unit.

        place: row and column in the stage's maps, None = the middle; a stage without places has one unit a channel.
        channel: None = all channels of the place together; one alone may see less, where channels come by several ways.
        Raises UserError where there is no such stage or place, UnfitError where no gradient leads from it to the
        image, or the network does not take images of that size.
        """
        reached = self._reached(stage)
        seed = torch.zeros_like(reached)
        channels: slice | int = slice(None) if channel is None else channel
        if reached.ndim == 4:
            rows, columns = reached.shape[2:]
            row, column = (rows // 2, columns // 2) if place is None else place
            if not (0 <= row < rows and 0 <= column < columns):
                raise UserError(
                    f"the places of {stage} are rows 0 to {rows - 1} and columns 0 to {columns - 1}, got {place}"
                )
            seed[0, channels, row, column] = torch.nan
        elif reached.ndim == 2:
            seed[0, channels] = torch.nan
        else:
            seed[0, ..., channels] = torch.nan
        (grad,) = torch.autograd.grad(reached, self._image, seed, retain_graph=True, allow_unused=True)
        if grad is None:
            raise UnfitError(f"receptive fields need gradients, and none leads from {stage} to the image")
        return grad[0].isnan().any(dim=0)

    def box(self, stage: str, place: Place | None, *, channel: int | None = None) -> Box:
        """The smallest box around the mask; of no height and width, where a unit sees but padding."""
        key = (stage, place, channel)
        if key not in self._boxes:
            self._boxes[key] = _around(self.mask(stage, place, channel=channel))
        return self._boxes[key]

    def _reached(self, stage: str) -> Tensor:
        self._network.check(stage)
        with torch.inference_mode(False), torch.enable_grad():
            while stage not in self._found:
                name = self._network.stages[len(self._found)]
                if name not in self._copies:
                    self._copies[name] = _copied(self._network.backbone.stages[name])
                try:
                    with _Open():
                        self._last = self._copies[name](self._last)
                except (RuntimeError, AssertionError, ValueError, IndexError) as error:
                    said = " ".join(str(error).splitlines()[:1])
                    raise UnfitError(
                        f"receptive fields need a network that takes float64 images of {self.shape[0]} x "
                        f"{self.shape[1]} pixels, and {name} does not ({type(error).__name__}: {said})"
                    ) from error
                if not self._last.requires_grad:
                    raise UnfitError(f"receptive fields need gradients, and none leads from {name} to the image")
                placed = maps(self._last)
                self._found[name] = self._last if placed is None else placed
        return self._found[stage]


def _copied(stage: nn.Module) -> nn.Module:
    """In float64 on the CPU, where nothing learns and rows lie in memory as torch's own convolutions want them."""
    own = copy.deepcopy(stage).cpu().double().eval().requires_grad_(False)
    return own.to(memory_format=torch.contiguous_format)


def _around(mask: Tensor) -> Box:
    rows, columns = mask.any(dim=1).nonzero()[:, 0], mask.any(dim=0).nonzero()[:, 0]
    if len(rows) == 0:
        return Box(0, 0, 0, 0)
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


class _Open(TorchFunctionMode):
    """Values as they are, but gradients pass activation functions everywhere, and reach all that a maximum is of."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        given = args[0] if args else kwargs.get("input")
        if not (isinstance(given, Tensor) and given.is_floating_point()):
            return func(*args, **kwargs)
        if name.strip("_") in CUTTING:  # functional.threshold calls itself _threshold
            inplace = name.endswith("_") or kwargs.get("inplace", False) or _positional_inplace(name, args)
            rest = args[1:] if args else ()
            if not args:
                kwargs.pop("input")
            change = func(given.detach().clone(), *rest, **kwargs) - given.detach()
            return given.add_(change) if inplace else given + change
        if name in POOLING:
            return _spread(func, args, kwargs)
        if name in ("maximum", "minimum") and isinstance(other := (args[1:] or [kwargs.get("other")])[0], Tensor):
            both = given + other
            return func(given.detach(), other.detach()) + (both - both.detach())
        return func(*args, **kwargs)


def _positional_inplace(name: str, args: tuple[Any, ...]) -> bool:
    """Whether functional.relu(x, True) and its like change x; for others a further argument means something else."""
    at = {"relu": 1, "relu6": 1, "hardswish": 1, "hardsigmoid": 1, "hardtanh": 3, "threshold": 3}.get(name)
    return at is not None and len(args) > at and args[at] is True


def _spread(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What max pooling gives, with the gradient of a sum over each window."""
    adaptive = "adaptive" in func.__name__
    names = ("input", "output_size") if adaptive else ("input", "kernel_size", "stride", "padding", "dilation")
    given = dict(zip(names, args, strict=False)) | kwargs
    x: Tensor = given["input"]
    answer = func(*(one.detach() if one is x else one for one in args), **{**kwargs, **_detached(kwargs)})
    value: Tensor = answer[0] if isinstance(answer, tuple) else answer
    if adaptive:
        total = F.adaptive_avg_pool2d(x, (value.shape[-2], value.shape[-1]))
    else:
        total = _sums(
            x,
            kernel=_pair(given["kernel_size"]),
            stride=_pair(given.get("stride") or given["kernel_size"]),
            padding=_pair(given.get("padding", 0)),
            dilation=_pair(given.get("dilation", 1)),
            size=(value.shape[-2], value.shape[-1]),
        )
    opened = value + (total - total.detach())
    return (opened, *answer[1:]) if isinstance(answer, tuple) else opened


def _detached(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"input": kwargs["input"].detach()} if "input" in kwargs else {}


def _sums(x: Tensor, *, kernel: Place, stride: Place, padding: Place, dilation: Place, size: Place) -> Tensor:
    """Sums over the windows of a pooling, (..., H, W) -> (..., *size); by a convolution, as it knows dilation."""
    planes = x.reshape(-1, 1, *x.shape[-2:])
    beyond = [
        max(0, (size[n] - 1) * stride[n] + dilation[n] * (kernel[n] - 1) + 1 - x.shape[n - 2] - padding[n])
        for n in (0, 1)
    ]  # of the last window, where ceil_mode lets it begin
    planes = F.pad(planes, (padding[1], beyond[1], padding[0], beyond[0]))
    found = F.conv2d(planes, planes.new_ones(1, 1, *kernel), stride=stride, dilation=dilation)
    return found[..., : size[0], : size[1]].reshape(*x.shape[:-2], *size)


def _pair(value: Any) -> Place:
    if isinstance(value, int):
        return (value, value)
    first, *others = value
    return (int(first), int(others[0] if others else first))
