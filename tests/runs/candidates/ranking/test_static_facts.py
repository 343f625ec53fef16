"""What is known of a candidate without the target."""

import json
from types import SimpleNamespace

import pytest
import torch

from headstart.runs.candidates.ranking.static_facts import IMAGENET, OWN_VAL, static_facts


def backbone(zoo=None):
    return SimpleNamespace(parameters=lambda: [torch.zeros(3, 4), torch.zeros(5)], zoo=zoo)


def test_the_published_accuracy_is_torchvisions():
    """https://docs.pytorch.org/vision/stable/models.html: ResNet18_Weights.IMAGENET1K_V1, acc@1 69.758."""
    found = static_facts(backbone(("torchvision", "resnet18")), {"model": "resnet18", "name": "IMAGENET1K_V1"}, None)
    assert found == (17, pytest.approx(0.69758), IMAGENET)


def test_torchvisions_file_is_known_by_its_hash_whatever_it_is_called():
    # resnet18-f37072fd.pth: the first digits of its SHA-256
    found = static_facts(backbone(), {"file": "mine.pth", "sha256": "f37072fd" + "0" * 56}, None)
    assert (found.accuracy, found.accuracy_on) == (pytest.approx(0.69758), IMAGENET)
    assert static_facts(backbone(), {"file": "mine.pth", "sha256": "0" * 64}, None).accuracy is None


def test_a_source_of_ones_own_and_a_run_have_their_val_accuracy(tmp_path):
    developed = static_facts(backbone(), {"metrics": {"val/accuracy": 0.8, "test/accuracy": 0.7}}, None)
    assert (developed.accuracy, developed.accuracy_on) == (0.8, OWN_VAL)
    (tmp_path / "result.json").write_text(json.dumps({"format": 1, "metrics": {"val/accuracy": 0.9}}))
    ran = static_facts(backbone(), {"sha256": "f37072fd" + "0" * 56}, tmp_path)
    assert (ran.accuracy, ran.accuracy_on) == (0.9, OWN_VAL)


def test_of_timms_models_nothing_is_published_offline():
    facts = {"model": "vit_tiny", "name": "augreg", "sha256": "0" * 64}
    assert static_facts(backbone(("timm", "vit_tiny")), facts, None).accuracy is None
