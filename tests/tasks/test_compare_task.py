"""What a user finds after task=compare, and how sure the nearest source is."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from omegaconf import open_dict
from PIL import Image

from composed import TINY, composed
from headstart.cli import main
from headstart.runs.folder.run_naming import config_hash
from headstart.runs.relatedness import compared_sources
from headstart.runs.relatedness.compared_sources import picture_names, usable_measures
from headstart.runs.relatedness.data_relations import ITSELF, DataSample, advice, half_size, relations
from headstart.tasks import compare as module
from headstart.types import UserError

SMALL = [*TINY, "task=compare", "mode=scratch", "feature_cache=off", "compare.halves=5"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def sample(name, shift, seed, images=60):
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % 3
    means = np.random.default_rng(9).normal(size=(3, 4))
    return DataSample(name, means[labels] + shift + rng.normal(size=(images, 4)), labels, ("a", "b", "c"))


def test_a_source_that_lies_nearer_is_clearly_the_nearest():
    sources = [sample("far", 3, 1), sample("near", 1, 2)]
    found = relations(sample("target", 0, 0), sources, ["mmd", "frechet", "otdd"], halves=8, seed=0)
    for relation in found.values():
        assert (relation.nearest, relation.share) == ("near", 1.0)
        assert max(relation.values[ITSELF]) < min(relation.values["near"])
        assert list(relation.values) == ["far", "near", ITSELF]
    assert advice(found).startswith("near is clearly the nearest source by mmd, frechet, otdd (in 100 %")


def test_a_measure_at_its_end_tells_nothing():
    """Two sources that a line tells from the target have the A-distance 2, both."""
    sources = [sample("farther", 60, 1), sample("far", 30, 2)]
    found = relations(sample("target", 0, 0), sources, ["a_distance", "mmd"], halves=6, seed=0)
    assert found["a_distance"].values["far"] == found["a_distance"].values["farther"] == [2.0] * 6
    assert found["a_distance"].share == 0.5
    assert advice({"a_distance": found["a_distance"]}) == "None of a_distance tells which source is nearest."
    decided = found["a_distance"]._replace(nearest="far", share=0.9)
    assert advice({"a_distance": found["a_distance"], "mmd": decided}) == (
        "far is probably the nearest source by mmd (in 90 % of the half-samples or more; a_distance cannot tell)."
    )


def test_of_two_sources_that_do_not_differ_none_is_clearly_nearer():
    sources = [sample("one", 1, 1), sample("other", 1, 1)]
    found = relations(sample("target", 0, 0), sources, ["mmd"], halves=20, seed=0)
    assert found["mmd"].share < 0.95
    assert "clearly" not in advice(found)


def test_of_two_sources_that_do_not_differ_the_larger_is_not_nearer():
    """Each measure is smaller of more images; here a source has 1,000 and the other 40."""
    rng = np.random.default_rng(0)
    target, large, small = (
        DataSample(name, rng.normal(size=(images, 16)), rng.integers(0, 5, images), tuple("abcde"))
        for name, images in (("target", 100), ("large", 1000), ("small", 40))
    )
    found = relations(target, [large, small], ["a_distance", "mmd", "frechet"], halves=20, seed=0)
    assert half_size(target, [large, small]) == 20
    for relation in found.values():
        assert relation.share < 0.8
        of_none, of_itself = (np.mean(relation.values[name]) for name in ("large", ITSELF))
        assert abs(of_none - of_itself) < 3 * np.std(relation.values[ITSELF])


def test_measures_that_disagree_name_no_source():
    found = relations(sample("target", 0, 0), [sample("a", 3, 1), sample("b", 1, 2)], ["mmd"], halves=5, seed=0)
    turned = found["mmd"]._replace(nearest="a")
    assert "The measures disagree" in advice({"mmd": found["mmd"], "frechet": turned})


@pytest.mark.parametrize("name", ["a/b", "../up", ".hidden"])
def test_a_name_that_is_no_name_of_a_file_is_refused_before_anything_is_computed(name, capfd):
    assert main([*SMALL, f"compare.sources={{{name}:{{characters:letters}}}}"]) == 2
    assert "names in compare.sources become names of files" in capfd.readouterr().err


def test_another_model_that_is_not_there_is_refused_before_anything_is_computed(monkeypatch, capfd):
    monkeypatch.setattr(module, "frozen", lambda *_, **__: pytest.fail("features are computed"))
    assert main([*SMALL, "compare.other_run_dir=nowhere"]) == 2
    assert "run_dir must be the folder of a finished run (one with result.json), got nowhere" in capfd.readouterr().err


@pytest.mark.slow
def test_two_sources_by_command(capfd):
    sources = "compare.sources={letters:{characters:letters},digits:{characters:digits}}"
    assert main([*SMALL, sources]) == 0, capfd.readouterr().err
    (path,) = Path("outputs", "compare").glob("*/*/result.json")
    result, said = json.loads(path.read_text()), capfd.readouterr().out
    assert list(result["measures"]) == ["a_distance", "mmd", "frechet", "otdd"]
    assert list(result["measures"]["mmd"]["values"]) == ["letters", "digits", ITSELF]
    assert len(result["measures"]["mmd"]["values"]["digits"]) == 5
    assert result["classes"]["digits"]["source"] == [str(digit) for digit in range(10)]
    assert np.shape(result["classes"]["letters"]["distances"])[0] == 10
    assert result["advice"] in said
    pictures = {file.name for file in path.parent.glob("*.png")}
    assert pictures == {"distances.png", "classes_letters.png", "classes_digits.png"}
    assert result["layers"] is None


def test_a_model_and_itself_have_the_same_layers(capfd):
    assert main([*TINY, "mode=scratch", "trainer.max_epochs=1", "feature_cache=off", "callbacks.figures=null"]) == 0
    (run,) = Path("outputs", "runs").iterdir()
    both = [f"compare.run_dir='{run}'", f"compare.other_run_dir='{run}'", "compare.measures=[frechet]"]
    assert main([*SMALL, *both]) == 0, capfd.readouterr().err
    (path,) = Path("outputs", "compare").glob("*/*/result.json")
    layers = json.loads(path.read_text())["layers"]
    assert np.diag(layers["cka"]) == pytest.approx(1)
    assert layers["stages"] == layers["other_stages"] == ["stage1", "stage2", "stage3", "stage4"]
    assert (path.parent / "layers.png").is_file()


def test_without_pot_otdd_is_left_out_with_the_line_that_installs_it(monkeypatch, caplog):
    monkeypatch.setattr(compared_sources, "find_spec", lambda _: None)
    assert usable_measures(["mmd", "otdd"], {}) == ["mmd"]
    assert "pip install 'headstart[ot]'" in caplog.text
    with pytest.raises(UserError, match="needs POT"):
        usable_measures(["otdd"], {})


def test_of_several_labels_an_image_otdd_is_left_out_with_a_line(monkeypatch, caplog):
    monkeypatch.setattr(compared_sources, "find_spec", lambda _: "there")
    data = {"target": SimpleNamespace(), "tags": SimpleNamespace(multi_label=True)}
    assert usable_measures(["otdd", "mmd"], data) == ["mmd"]
    assert "which tags has none of" in caplog.text
    with pytest.raises(UserError, match=r"measures=\[otdd\] carries the labels of single classes"):
        usable_measures(["otdd"], data)
    assert usable_measures(["otdd"], {"target": SimpleNamespace()}) == ["otdd"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["mode=fine_tuning", "control=true"], "it needs a source, and control=false"),
        (["compare.sources={a:{colour:red}}"], "data@source, which has no 'colour'"),
        (["compare.sources={a:{}}", 'compare.candidates=["source:digits"]'], "both say which sources are compared"),
        (["compare.stage=stage9"], "got 'stage9'; did you mean stage4?"),
        (["compare.candidates=[]"], "compare.candidates"),
        (["compare.sources={target:{}}"], "must not be called 'target'"),
    ],
)
def test_what_cannot_be_compared_is_one_line(overrides, said, capfd):
    assert main([*SMALL, *overrides]) == 2
    assert said in capfd.readouterr().err


def candidates(*texts):
    return "compare.candidates=[" + ",".join(f'"{text}"' for text in texts) + "]"


def grey_photos(folder, images=12):
    """Class folders of noise."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for number in range(images):
            Image.fromarray(rng.integers(0, 256, (12, 12), dtype=np.uint8)).save(folder / name / f"{number}.png")


def test_source_data_sets_of_several_kinds_are_compared_in_one_command(capfd):
    grey_photos(Path("my photos"))
    photos = "data@source=image_folder source.root='my photos'"
    texts = ["source:printed source.per_class=4", "source.characters=digits", photos]
    chosen = ["compare.measures=[mmd,frechet]", candidates(*texts)]
    assert main([*SMALL, *chosen]) == 0, capfd.readouterr().err
    (path,) = Path("outputs", "compare").glob("*/*/result.json")
    found, said = json.loads(path.read_text()), capfd.readouterr().out
    assert list(found["measures"]["mmd"]["values"]) == [*texts, ITSELF]
    assert list(found["images"]) == ["target", *texts]
    assert found["images"]["source.characters=digits"] == 80  # source.per_class=8, as the command says it
    assert found["images"][texts[0]] > 100
    assert 8 <= found["images"][photos] <= 24
    assert found["classes"][photos]["source"] == ["a", "b"]
    assert found["advice"]
    assert found["advice"] in said
    assert {file.name for file in path.parent.glob("classes_*.png")} == {
        f"classes_{re.sub(r'[^A-Za-z0-9=,.+@_-]', '_', text)[:60]}.png" for text in texts
    }
    far = found["measures"]["mmd"]["values"]
    assert np.mean(far[photos]) != np.mean(far["source.characters=digits"])


def test_a_candidate_has_the_distance_of_the_same_data_as_the_only_source():
    alone = ["compare.measures=[mmd]", "source.characters=letters"]
    assert main([*SMALL, *alone]) == 0
    assert main([*SMALL, alone[0], candidates("source.characters=letters")]) == 0
    values = [
        next(iter(json.loads(path.read_text())["measures"]["mmd"]["values"].values()))
        for path in Path("outputs", "compare").glob("*/*/result.json")
    ]
    assert len(values) == 2
    assert values[0] == values[1]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["resnet18"], "resnet18 is no override"),
        (["source:prnted"], "did you mean source:printed?"),
        (["mode=fine_tuning"], "mode=fine_tuning is no setting of a source data set"),
        (["source.colour=red"], "cannot be composed"),
        (["source.characters=runes"], "characters must be one of"),
        (["data@source=image_folder"], "source.root is needed"),
        (["data@source=image_folder source.root=nowhere"], "there is none at nowhere"),
        (["source.per_class=1 source.characters=digits source.classes=[1,2]"], "8 training images"),
        (["source:digits", "source:digits"], "twice"),
    ],
)
def test_a_wrong_candidate_is_one_line_before_the_model_is_made(texts, said, monkeypatch, capfd):
    monkeypatch.setattr(module, "frozen", lambda *_, **__: pytest.fail("the model is made"))
    assert main([*SMALL, candidates("source.characters=digits", *texts)]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "error" in line]
    assert said in line
    assert "source.characters=digits'" not in line


def test_pictures_of_texts_that_differ_in_odd_letters_alone_have_two_names():
    names = picture_names(["source.root='a b'", "source.root='a c'", "source.root='a/b'", "x" * 80, "x" * 81])
    assert len(set(names.values())) == 5
    assert all(re.fullmatch(r"[\w=.@,+-]+", name) for name in names.values())


def test_a_comparison_of_before_there_were_candidates_keeps_its_hash():
    cfg = composed("task=compare", "mode=scratch")
    before = cfg.copy()
    with open_dict(before):
        del before.compare["candidates"]
    assert config_hash(cfg) == config_hash(before)
    assert config_hash(composed("task=compare", "mode=scratch", candidates("source:digits"))) != config_hash(cfg)
