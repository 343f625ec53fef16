"""What is wrong with a run is an error before its source model is trained."""

import pytest

from composed import composed
from headstart.runs.training.early_checks import check_first
from headstart.types import UserError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no source model lies


def test_a_head_of_other_classes_cannot_go_on_from_the_sources():
    cfg = composed("mode=fine_tuning", "head.init=source", "source.characters=letters")
    with pytest.raises(UserError, match=r"needs the same classes; the source has A, .*target has 0, 1"):
        check_first(cfg, processes=1)
    check_first(composed("mode=fine_tuning", "head.init=source", "source.characters=digits"), processes=1)


def test_a_method_without_source_images_cannot_add_an_unknown_class_to_the_sources_head():
    cfg = composed(
        *("mode=fine_tuning", "head.init=source", "adaptation=shot", "source.characters=digits"),
        *("target.shots=null", "source.classes=['0', '1', '2']", "class_sets=open"),
    )
    with pytest.raises(UserError, match=r"the source has 0, 1, 2; the target has 0, 1, 2, unknown"):
        check_first(cfg, processes=1)
