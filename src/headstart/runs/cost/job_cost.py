"""The cost model: what a job computes, counted, and the seconds that a device of known speed takes for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from headstart.runs.cost.image_sets import ImageSet


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a job computes, the feature cache's filling left out.

    Args:
        steps: Optimizer steps.
        batches: Batches of the steps, of validation and of test, on one device.
        train_images: Images of all steps.
        looked_images: Images of all validations, of the test and of the measurement before the first step.
        train_flops: Floating point operations of all steps, forward and backward.
        look_flops: Those of looking at images.
        read_images: Images that are read and decoded.
        evaluations: Validations.
    """

    steps: int
    batches: int
    train_images: int
    looked_images: int
    train_flops: float
    look_flops: float
    read_images: int
    evaluations: int


@dataclass(frozen=True, kw_only=True)
class Fill:
    """Images that pass frozen stages once, and whose outputs are kept.

    Args:
        row_bytes: Key of a cut -> bytes of one image's output there.
        images: That pass.
        flops: Of one image.
    """

    row_bytes: dict[str, int]
    images: ImageSet
    flops: float


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast a device is.

    Args:
        train_flops_s: Floating point operations a second in training steps.
        look_flops_s: The same in forward passes.
        batch_s: Seconds of a batch besides: Lightning, the optimizer, logging.
        read_s: Seconds in which one process reads and decodes an image.
        job_s: Seconds of a job besides: what is made before the first step.
        source: Where these figures are from, as a phrase.
    """

    train_flops_s: float
    look_flops_s: float
    batch_s: float
    read_s: float
    job_s: float
    source: str


@dataclass(frozen=True, kw_only=True)
class DeviceMemory:
    """Bytes that training takes on each device, besides those of the process and of libraries.

    Args:
        weights: Parameters and buffers.
        gradients: Of what is trainable.
        optimizer: Its state.
        activations: Saved for the backward pass of a batch, in float32, and the batch itself.
    """

    weights: float
    gradients: float
    optimizer: float
    activations: float

    @property
    def all(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.activations


@dataclass(frozen=True, kw_only=True)
class JobCost:
    """The cost of one job, as if nothing of it were there yet.

    Args:
        key: Two jobs with the same key are one.
        backbone: What its backbone is called.
        work: Counted; None where the run's length is known in seconds alone.
        fills: Of the feature cache.
        cache_limit: Bytes that the feature cache may take; 0 where there is none.
        checkpoint_bytes: Of the checkpoints that stay.
        memory: Of each device.
        devices: That share each batch.
        on_gpu: Whether they are GPUs, which compute while the CPU reads.
        readers: Processes that read images for each device, 1 at least.
        limit_s: Seconds after which the run ends at the latest.
        speed: Of a device; None where no time is asked for.
        source: The cost of its source model; None where none is trained.
    """

    key: str
    backbone: str
    work: Work | None
    fills: tuple[Fill, ...]
    cache_limit: int
    checkpoint_bytes: int
    memory: DeviceMemory
    devices: int
    on_gpu: bool
    readers: int
    limit_s: float
    speed: Speed | None
    source: JobCost | None = field(default=None)

    @property
    def seconds(self) -> float:
        """Without the feature cache's filling and the source model; 0 where the speed is not known."""
        if self.speed is None:
            return 0.0
        if self.work is None:
            return self.speed.job_s + self.limit_s
        computing = self.work.train_flops / self.speed.train_flops_s + self.work.look_flops / self.speed.look_flops_s
        reading = self.work.read_images * self.speed.read_s / self.readers
        passes = self._together(computing / self.devices, reading / self.devices)
        return self.speed.job_s + min(self.limit_s, passes + self.work.batches * self.speed.batch_s)

    def fill_seconds(self, images: int, flops: float) -> float:
        """Seconds in which images pass frozen stages, `flops` each; 0 where the speed is not known."""
        if self.speed is None:
            return 0.0
        reading = images * self.speed.read_s / self.readers
        return self._together(images * flops / self.speed.look_flops_s, reading) / self.devices

    def _together(self, computing: float, reading: float) -> float:
        """A GPU computes while processes read; on the CPU both take its cores."""
        return max(computing, reading) if self.on_gpu and self.readers > 1 else computing + reading
