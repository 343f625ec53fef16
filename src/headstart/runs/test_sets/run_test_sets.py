"""Named test sets of a config, made and set up: the data of each, and what corrupts them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from headstart.callbacks.predictions.named_test_sets import ImagePass, NamedTestSet
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.data.data_protocols import has_contents, is_multi_label
from headstart.data.datasets.corrupted_images import Corrupted
from headstart.data.datasets.image_datamodule import ImageDataModule
from headstart.data.datasets.whole_dataset import ALL
from headstart.data.transforms.corruptions.corruption_kinds import ALL as ALL_KINDS
from headstart.data.transforms.corruptions.corruption_kinds import KINDS, SEVERITIES
from headstart.evaluation.class_indices import class_indices
from headstart.runs.saved.other_data import EvaluatedData, other_data
from headstart.runs.saved.settings_added_later import with_later
from headstart.runs.test_sets.named_test_settings import NamedTestSettings
from headstart.system.credential_masking import masked_in
from headstart.types import Pixels, UserError

log = logging.getLogger(__name__)
TESTS = "tests"  # the key of the config
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
OWN: dict[str, Any] = {field.name: field.default for field in fields(NamedTestSettings)}
DRAWING = ("shots", "val_shots", "fraction", "fold")  # settings of the target that leave images out


class TargetFacts(NamedTuple):
    """What a run's test sets depend on.

    Attributes:
        target: The node of its target.
        class_names: Its classes.
        several: Whether it tells several labels of an image.
        pixels: Of its backbone.
        seed: Of its images.
    """

    target: DictConfig
    class_names: tuple[str, ...]
    several: bool
    pixels: Pixels
    seed: int


def run_test_sets(nodes: Mapping[Any, Any] | None, run: TargetFacts, *, own: Callable[[], Any]) -> list[NamedTestSet]:
    """The named test sets of a run, their data set up, their classes found among the run's.

    A test set that names data has all images of them, or those of its `split`. Settings without a `_target_` change
    those of the run's target. One that names no data has the run's own test images.

    Args:
        nodes: Name -> settings; None of a run without any.
        run: What is tested.
        own: Gives the run's own data, of which the test split is taken; called where a test set names no other data.

    Raises:
        UserError: A setting, a folder or a class does not fit; the message begins with tests.<name>.
    """
    if not nodes:
        return []
    made = _Maker(run, own)
    return [made.named(str(name), node) for name, node in nodes.items() if node is not None]


def warn_of_training_images(sets: Sequence[NamedTestSet], data: Any) -> None:
    """Log a warning for each test set of other data that holds training images, compared by their content.

    Args:
        sets: The test sets.
        data: The run's data, set up.
    """
    others = [
        test_set for test_set in sets if has_contents(test_set.passes[0].data) and set(test_set.settings) - set(OWN)
    ]
    if not others or not has_contents(data):
        return
    trained = set(data.contents("train"))
    for test_set in others:
        contents = test_set.passes[0].data.contents(test_set.passes[0].split)
        if known := sum(content in trained for content in contents):
            log.warning(
                "%s.%s: %d of its %d images are training images as well: its figures are too good; leave them out",
                TESTS, test_set.name, known, len(contents),
            )  # fmt: skip


def settings_of(node: Any) -> Any:
    """The settings of a test set as a result file has them, without credentials."""
    return masked_in(OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else node)


class _Maker:
    """Makes the test sets of one run."""

    def __init__(self, run: TargetFacts, own: Callable[[], Any]) -> None:
        self._run, self._own = run, own

    def named(self, name: str, node: Any) -> NamedTestSet:
        setting = f"{TESTS}.{name}"
        if not NAME.fullmatch(name):
            raise UserError(f"a test set's name has letters, digits, _ and - alone, got {TESTS}.{name}")
        if not isinstance(node, Mapping | DictConfig):
            raise UserError(f"{setting} must be a mapping of settings, got {node}; try {setting}.root=<folder>")
        try:
            return self._named(name, setting, node)
        except UserError as error:
            message = str(error)
            raise UserError(message if message.startswith(setting) else f"{setting}: {message}") from error

    def _named(self, name: str, setting: str, node: Any) -> NamedTestSet:
        own = OWN | {key: node[key] for key in OWN if key in node}
        rest = {str(key): node[key] for key in node if key not in OWN}
        if not rest and not own["corruption"]:
            raise UserError(
                f"{setting} needs data or a corruption, as {setting}.root=<folder> {setting}.corruption=all"
            )
        if not rest and own["split"]:
            raise UserError(f"{setting}.split is for other data, and this test set has the run's own test images")
        passes = self._passes(setting, own, self._found(setting, rest, own["split"]))
        for image_pass in passes:
            image_pass.data.setup("test")
        data, run = passes[0].data, self._run
        if is_multi_label(data) and not run.several:
            raise UserError("the run tells one class an image, and these data may have several labels an image")
        if not data.sizes.get(passes[0].split, 1):
            raise UserError(f"no image of {passes[0].split} is there to test on")
        known = run.class_names
        places = class_indices(tuple(data.class_names), known, lambda unknown: _refusal(data, known, unknown))
        return NamedTestSet(name, passes, places, settings_of(node), run.several)

    def _found(self, setting: str, rest: dict[str, Any], split: str | None) -> EvaluatedData:
        """The images before any corruption."""
        if not rest:
            return EvaluatedData(self._own(), "test", "test")
        node = dict(rest)
        if "_target_" not in rest:
            base: Any = OmegaConf.to_container(self._run.target, resolve=True)
            node = {**base, **{key: None for key in DRAWING if key in base}, **rest}
        node = with_later(node)  # corruption and severity are those of the test set, which the data have by name too

        def make(plain: DictConfig) -> Any:
            try:
                return instantiate(plain, pixels=self._run.pixels, seed=self._run.seed)
            except TypeError as error:  # a setting that these data do not have
                raise UserError(str(error)) from error

        return other_data(OmegaConf.create(node), make=make, split=split, setting=f"{setting}.split")

    def _passes(self, setting: str, own: Mapping[str, Any], evaluated: EvaluatedData) -> list[ImagePass]:
        if not own["corruption"]:
            return [ImagePass(evaluated.data, evaluated.split, "", 0)]
        kinds = list(ALL_KINDS) if own["corruption"] == "all" else _listed(own["corruption"])
        severities = _listed(own["severity"])
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            raise UserError(f"{setting}.corruption must be all or of {', '.join(KINDS)}, got {unknown[0]}")
        if wrong := [severity for severity in severities if severity not in SEVERITIES] or not severities:
            raise UserError(f"{setting}.severity must be 1 to 5, got {wrong if severities else 'none'}")
        if not isinstance(evaluated.data, ImageDataModule):
            raise UserError(f"{setting}.corruption needs a data set of headstart, got {type(evaluated.data).__name__}")
        return [
            ImagePass(
                Corrupted(evaluated.data, split=evaluated.split, kind=kind, severity=severity), ALL, kind, severity
            )
            for kind in kinds
            for severity in severities
        ]


def _listed(value: Any) -> list[Any]:
    return [value] if isinstance(value, str | int) else list(value)


def _refusal(data: Any, known: tuple[str, ...], unknown: Any) -> UserError:
    return UserError(
        f"the run's classes are {', '.join(known)}; those of these data are {', '.join(data.class_names)}; the run "
        f"does not know {', '.join(unknown)}: rename them, or leave them out"
    )


def differing_tests(asked: Mapping[Any, Any] | None, result: Mapping[str, Any]) -> list[str]:
    """Names of the test sets that are asked for and that a finished run was not tested on as they are now.

    Args:
        asked: Name -> settings.
        result: The content of the run's result.json.
    """
    stored = result.get(TESTS)
    known = stored if isinstance(stored, dict) else {}
    return [
        str(name)
        for name, node in (asked or {}).items()
        if node is not None and (known.get(str(name)) or {}).get("settings") != settings_of(node)
    ]
