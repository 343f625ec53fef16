"""mode=feature_extraction as it comes, against scikit-learn's logistic regression on the same features."""

import json
import os
from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headstart.cli import main
from headstart.runs.probing.frozen_features import frozen
from headstart.runs.saved.finished_run import saved_run

DATA = Path(os.environ.get("HEADSTART_DATA", Path(__file__).parents[3] / "shared" / "data"))
WEIGHTS = DATA / "weights" / "mobilenet_v2-imagenet.pth"
COUNTS = (150, 100, 70, 50, 35, 25, 18, 13, 10, 8)  # training images of each digit
TESTED = 30  # of each

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not WEIGHTS.is_file(), reason="../shared/data with MobileNetV2's weights is not there"),
]


def usps_folder(folder):
    """Digits of USPS, a folder a class, the more frequent the smaller."""
    chance = np.random.default_rng(5)
    for digit, count in enumerate(COUNTS):
        for split, number in (("train", count), ("test", TESTED)):
            files = sorted((DATA / "usps" / split / str(digit)).glob("*.png"))
            place = folder / split / str(digit)
            place.mkdir(parents=True)
            for chosen in chance.choice(len(files), number, replace=False):
                copyfile(files[chosen], place / files[chosen].name)


def rightly(seed, root, *more):
    """(N,) each: whether headstart and scikit-learn are right about the test images, both trained on train alone."""
    run = ["data@target=image_folder", f"target.root={root}", "backbone=mobilenet_v2", "weights=file"]
    run += [f"weights.path={WEIGHTS}", "mode=feature_extraction", f"seed={seed}", "hydra.run.dir=run", *more]
    assert main([*run, "logger=csv", "rerun=true"]) == 0
    model = frozen(saved_run("run", "best").cfg, "run")
    stage = model.stages[-1]
    train, test = (model.features(split, [stage]) for split in ("train", "test"))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    theirs = make_pipeline(StandardScaler(), LogisticRegressionCV(Cs=10, cv=folds, max_iter=300, tol=1e-3))
    theirs.fit(train.features[stage].numpy(), train.label.numpy())
    with np.load("run/answers/test.npz") as answers:
        ours = answers["predicted"][0] == answers["label"]
    return ours, theirs.predict(test.features[stage].numpy()) == test.label.numpy()


@pytest.mark.parametrize("kind", ["ants_and_bees", "rare_digits"])
def test_it_is_not_lower_than_scikit_learn_by_more_than_half_a_point_beyond_the_interval(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if kind == "rare_digits":
        usps_folder(tmp_path / "usps")
        pairs = [rightly(seed, tmp_path / "usps", "backbone.size=96") for seed in range(3)]
    else:
        folders = "target.folders={train: train, test: val}"
        pairs = [rightly(seed, DATA / "hymenoptera", folders) for seed in range(3)]
    difference = np.mean([ours.astype(float) - theirs for ours, theirs in pairs], axis=0)  # of each image, over seeds
    half = 1.96 * difference.std(ddof=1) / len(difference) ** 0.5
    assert difference.mean() + half > -0.005, json.dumps([difference.mean(), half])
