"""Each representation is judged by the same classifier, chosen on val and measured on test."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from composed import TINY, composed
from headstart.cli import main
from headstart.runs.probing.frozen_features import frozen
from headstart.runs.weights import source_model
from headstart.tasks.few_images import VARIES, _directions

SMALL = [*TINY, "task=few_images", "mode=feature_extraction", "target.shots=3", "feature_cache=off"]
ALL = ["pixels", "pixels_pca", "features", "features_pca", "random_features"]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, sources):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(source_model, "SOURCES", sources)  # each source model is trained once


def result_of():
    (path,) = Path("outputs", "runs").glob("*/result.json")
    return json.loads(path.read_text())


def accuracies(train, val, test, c):
    """Val and test accuracy of scikit-learn's logistic regression on standardised numbers, C chosen on val."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scale = StandardScaler().fit(train[0])
    found = []
    for value in c:
        model = LogisticRegression(C=value, max_iter=5000, tol=1e-8).fit(scale.transform(train[0]), train[1])
        found.append([float(np.mean(model.predict(scale.transform(x)) == y)) for x, y in (val, test)])
    return max(found, key=lambda pair: pair[0])


@pytest.mark.slow
def test_pixels_and_features_are_judged_as_scikit_learn_judges_them(capfd):
    assert main([*SMALL, "few_images.logistic=[0.01,1]"]) == 0
    result, said = result_of(), capfd.readouterr().out
    assert (result["task"], result["baseline"], list(result["levels"])) == ("few_images", "pixels", ALL)
    assert result["sizes"]["train"] == 30
    cfg = composed("mode=feature_extraction", "target.shots=3", "feature_cache=off")
    model = frozen(cfg, None)
    splits = {}
    for split in ("train", "val", "test"):
        image = [model.parts.backbone.entering(b.image).flatten(1) for b in model.parts.data.plain_dataloader(split)]
        stored = model.features(split, ["stage4"])
        splits[split] = torch.cat(image).numpy(), stored.features["stage4"].numpy(), stored.label.numpy()
    for place, name in enumerate(("pixels", "features")):
        wanted = accuracies(*((one[place], one[2]) for one in splits.values()), c=[0.01, 1])
        got = [result["levels"][name][tag] for tag in ("val/accuracy", "test/accuracy")]
        assert got == pytest.approx(wanted, abs=0.004)  # an image or two where two classes are equally likely
    assert result["chosen"]["pixels"]["width"] == 32 * 32
    for name in ("pixels_pca", "features_pca"):
        assert 1 <= result["chosen"][name]["setting"]["components"] <= 29  # 30 images less their mean
    assert f"{result['levels']['features']['test/accuracy']:.3f}" in said
    assert result["metrics"]["val/accuracy"] == max(one["val/accuracy"] for one in result["levels"].values())


def test_the_classes_of_test_images_choose_nothing(monkeypatch):
    from headstart.tasks import few_images as module

    assert main([*SMALL, "few_images.representations=[pixels_pca]"]) == 0
    before = result_of()
    plain = module._pixels

    def shifted(model):
        read = plain(model)

        def other(split):
            found = read(split)
            return found._replace(labels=(found.labels + 1) % 10) if split == "test" else found

        return other

    monkeypatch.setattr(module, "_pixels", shifted)
    assert main([*SMALL, "few_images.representations=[pixels_pca]", "rerun=true"]) == 0
    after = result_of()
    assert after["chosen"]["pixels_pca"]["setting"] == before["chosen"]["pixels_pca"]["setting"]
    assert after["levels"]["pixels_pca"]["val/accuracy"] == before["levels"]["pixels_pca"]["val/accuracy"]
    assert after["levels"]["pixels_pca"]["test/accuracy"] < before["levels"]["pixels_pca"]["test/accuracy"]


def test_directions_without_variance_are_left_out():
    flat = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)) @ torch.eye(3, 40)  # 3 of 40 vary
    found = _directions(flat, 100)
    assert len(found.variance) == 3
    assert (found.share > VARIES).all()
    assert len(_directions(torch.ones(5, 4), 3).variance) == 1, "one at least"


@pytest.mark.slow
def test_a_sweep_over_images_ends_in_a_report_and_is_found_again(capfd):
    sweep = ["-m", *SMALL[:-2], "feature_cache=off", "target.shots=1,2,3"]
    sweep += ["few_images.representations=[pixels,features]"]
    assert main(sweep) == 0
    said = capfd.readouterr().out
    assert "val/accuracy over target.shots" in said
    assert "report: outputs" in said
    assert main(sweep) == 0
    assert "is finished" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["mode=scratch"], "mode=scratch reuses no source; try mode=feature_extraction"),
        (["few_images.stage=stage9"], "the stages are stage1, stage2, stage3, stage4, got 'stage9'"),
        (["few_images.representations=[pixel]"], "few_images.representations"),
        (["few_images.components=[]"], "few_images.components"),
        (["few_images.logistic=[0]"], "few_images.logistic"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(overrides, said, capfd):
    assert main([*SMALL, *overrides]) == 2
    assert said in capfd.readouterr().err
