"""Images of the most confident errors of each arm, as the page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headstart.report.analysis.adaptation_comparison import AdaptationSection
from headstart.report.analysis.run_measures import MeasuredRun
from headstart.report.analysis.study_records import StudySection
from headstart.report.analysis.worst_of_arm import RunErrors, errors_of_best, right_elsewhere
from headstart.report.stored_runs.study_runs import FinishedRun

MOST_BYTES = 512 * 1024  # of all images of a page


@dataclass(frozen=True)
class ShownError:
    """One image and what was said of it."""

    url: str
    true: str  # empty where an image has no single class: then `mistake` says it
    predicted: str
    confidence: str
    mistake: str
    others: str  # what the other runs of the setting say


@dataclass(frozen=True)
class ErrorGallery:
    """The errors of one arm."""

    label: str
    sentence: str
    errors: tuple[ShownError, ...]


class PageRoom:
    """How many bytes of images a page may still hold.

    Args:
        left: Bytes.
    """

    def __init__(self, left: int = MOST_BYTES) -> None:
        self.left = left

    def take(self, size: int) -> bool:
        """Whether there is room for so many bytes, which is then taken."""
        fits = size <= self.left
        self.left -= size if fits else 0
        return fits


def arm_galleries(section: StudySection, room: PageRoom) -> list[ErrorGallery]:
    """A gallery for each arm of a setting, of its best run by val.

    Args:
        section: The setting.
        room: Of the page.
    """
    runs = [run for arm in section.all_arms for run in arm.runs]
    return [
        _gallery(arm.label, errors_of_best([run.run for run in arm.runs]), "the best run by val", runs, room)
        for arm in section.all_arms
    ]


def method_galleries(section: AdaptationSection, room: PageRoom) -> list[ErrorGallery]:
    """A gallery for each adaptation method, of its first seed: no label of the target may say which run is best.

    Args:
        section: The methods.
        room: Of the page.
    """
    firsts = [(method.label, min(method.arm.runs, key=lambda run: run.seed)) for method in section.all_methods]
    return [_gallery(label, errors_of_best([run]), "the first seed", (), room) for label, run in firsts]


def run_gallery(run: FinishedRun, room: PageRoom) -> ErrorGallery:
    """The gallery of one run.

    Args:
        run: The run.
        room: Of the page.
    """
    return _gallery("The best run", errors_of_best([run]), run.folder.name, (), room)


def _gallery(label: str, found: RunErrors, which: str, runs: Sequence[MeasuredRun], room: PageRoom) -> ErrorGallery:
    run, worst = found.run, found.worst
    told = f"Seed {run.seed}, {which}"
    if worst is None:
        why = "it was run by an earlier version, or with callbacks.figures.wrong=0, or answers/ is no longer there"
        return ErrorGallery(label, f"{told}: its folder holds no images of its errors; {why}.", ())
    if not worst.wrong:
        return ErrorGallery(label, f"{told}: no error in {worst.images:,} test images.", ())
    told = f"{told}: {worst.wrong:,} of {worst.images:,} test images are wrong"
    if not room.take(sum(len(error.url) for error in worst.errors)):
        return ErrorGallery(label, f"{told}. Their images are not shown: the page has room for those above alone.", ())
    errors = tuple(
        ShownError(
            url=error.url,
            true=error.true,
            predicted=error.predicted,
            confidence="" if error.confidence is None else f"{error.confidence:.2f}",
            mistake=error.mistake,
            others=_others(error.image, run, runs),
        )
        for error in worst.errors
    )
    return ErrorGallery(label, f"{told}; these {len(errors)} are the most confident.", errors)


def _others(image: int | None, run: FinishedRun, runs: Sequence[MeasuredRun]) -> str:
    right, tested = (0, 0) if image is None else right_elsewhere(image, run.folder, runs)
    return f"{right} of {tested} other runs are right" if tested else ""
