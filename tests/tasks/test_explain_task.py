"""task=explain draws the model and the images that were asked for, and says plainly what it cannot draw."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from composed import TINY
from headstart.cli import main
from headstart.explain.picture_protocol import Shown
from headstart.tasks import explain as task
from photos import CLASSES, three_classes


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with photos of three classes, and a run that has learned from them, from a source of its own."""
    folder = tmp_path_factory.mktemp("explain")
    three_classes(folder, 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run = [*TINY, "mode=fine_tuning", "data@target=image_folder", "target.root=photos", "target.num_workers=0"]
        assert main([*run, "optimizer.lr=0.01", "trainer.max_epochs=3"]) == 0
    (made,) = (folder / "outputs" / "runs").iterdir()
    (folder / "run").symlink_to(made)  # the log's handler has it open
    return folder


@pytest.fixture(autouse=True)
def here(place, monkeypatch):
    monkeypatch.chdir(place)
    yield
    shutil.rmtree("run/explain", ignore_errors=True)


class Asked:
    """A kind of one's own that shows what it was given."""

    title, about = "Asked", "What was asked."
    seen: list = []  # noqa: RUF012 - of all of them, for the tests

    def __init__(self, *, side=4):
        self.side = side

    def drawn(self, subject):
        self.seen.append(subject)
        self.before = subject.before()  # asked while the command runs, and there again afterwards
        yield Shown("one", np.zeros((self.side, self.side, 3), np.uint8), "black", "A black square.")


@pytest.fixture
def asked(place, monkeypatch):
    """The subject that a command gives, by a kind that lies outside the package."""
    monkeypatch.setattr(Asked, "seen", [])
    conf = place / "conf" / "picture"
    conf.mkdir(parents=True, exist_ok=True)
    (conf / "asked.yaml").write_text(f"# What was asked\nasked:\n  _target_: {__name__}.Asked\n  side: 4\n")
    sys.modules.setdefault(__name__, sys.modules[Asked.__module__])

    def command(*overrides, kinds="[asked]"):
        code = main(["--config-dir", "conf", "task=explain", f"picture={kinds}", *overrides])
        return code, Asked.seen[-1] if Asked.seen else None

    return command


def of_run(*overrides):
    return ["task=explain", "explain.run_dir=run", *overrides]


def weights(checkpoint):
    return torch.load(f"run/checkpoints/{checkpoint}.ckpt", weights_only=True)["state_dict"]


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_the_network_is_that_of_the_checkpoint_and_before_is_the_source_s(asked, checkpoint):
    code, subject = asked("explain.run_dir=run", f"explain.checkpoint={checkpoint}")
    assert code == 0
    want = weights(checkpoint)
    for name, tensor in subject.network.backbone.state_dict().items():
        assert torch.equal(tensor, want[f"backbone.{name}"])
    assert torch.equal(subject.network.head.linear.weight, want["head.linear.weight"])
    (source,) = Path("outputs/source").glob("*/checkpoints/best.ckpt")
    began = torch.load(source, weights_only=True)["state_dict"]
    before = subject.before().backbone.state_dict()
    assert all(torch.equal(before[name], began[f"backbone.{name}"]) for name in before)


def test_the_images_are_the_first_of_the_split_and_all_of_it_is_searched(asked):
    code, subject = asked("explain.run_dir=run", "explain.split=val", "explain.count=2", "explain.batch_size=2")
    assert code == 0
    batches = list(subject.searched())
    assert max(len(batch.image) for batch in batches) == 2
    pixels, label = torch.cat([batch.image for batch in batches]), torch.cat([batch.label for batch in batches])
    assert torch.equal(subject.images.pixels, pixels[:2])
    assert torch.equal(subject.images.label, label[:2])
    assert subject.images.pixels.dtype == torch.uint8
    names = subject.searched_names()
    assert len(names) == len(pixels) == len(set(names))
    assert subject.images.names == names[:2]
    assert [CLASSES.index(name.split("/")[-2]) for name in names] == label.tolist()
    assert subject.class_names == CLASSES


def test_own_files_have_the_class_of_their_folder_where_it_is_one(asked, tmp_path):
    code, subject = asked("explain.run_dir=run", "explain.images=photos", "explain.count=12")
    assert code == 0
    assert subject.images.names[0] == "photos/dark/0.png"
    assert subject.images.label.tolist() == [0] * 10 + [1] * 2
    for name in ("a", "b"):
        shutil.copy("photos/ramp/3.png", tmp_path / f"{name}.png")
    code, subject = asked("explain.run_dir=run", f"explain.images='{tmp_path}/*.png'")
    assert (code, len(subject.images), subject.images.label) == (0, 2, None)


def test_files_are_looked_at_without_the_runs_own_data(asked, tmp_path):
    shutil.copy("photos/ramp/3.png", tmp_path / "a.png")
    Path("photos").rename("elsewhere")
    try:
        code, subject = asked("explain.run_dir=run", f"explain.images={tmp_path}/a.png")
        assert (code, len(subject.images)) == (0, 1)
    finally:
        Path("elsewhere").rename("photos")


@pytest.fixture
def others(tmp_path):
    """The photos in classes of which one is gone, and those of another one beside them."""
    shutil.copytree("photos", tmp_path / "fewer", ignore=shutil.ignore_patterns("dark"))
    shutil.copytree("photos/dark", tmp_path / "fewer" / "ramp", dirs_exist_ok=True)
    shutil.copytree("photos/dark", tmp_path / "more" / "night")
    shutil.copytree("photos/light", tmp_path / "more" / "light")
    return tmp_path


def test_other_data_have_their_classes_as_the_model_numbers_them(asked, others, capsys):
    other = ["explain.run_dir=run", "data@explain.data=image_folder", "explain.split=train"]
    code, subject = asked(*other, f"explain.data.root={others}/fewer")
    assert code == 0
    (batch,) = subject.searched()
    want = [CLASSES.index(name.split("/")[-2]) for name in subject.searched_names()]
    assert batch.label.tolist() == want
    assert subject.images.label.tolist() == want[:8]
    assert 0 not in want
    assert asked(*other, f"explain.data.root={others}/more")[0] == 2
    assert "explain.data has others: night; explain.images=<folder> takes" in capsys.readouterr().err


def test_without_a_run_the_head_tells_the_classes_apart_by_their_means(asked, capsys):
    given = [*TINY, "mode=scratch", "data@target=image_folder", "target.root=photos", "target.num_workers=0"]
    code, subject = asked(*given, "explain.split=train", "explain.count=20")
    assert code == 0
    assert "closed form" in capsys.readouterr().err
    with subject.network.at_rest():
        x = subject.network.entering(subject.images.pixels)
        right = subject.network.logits(x).argmax(dim=1) == subject.images.label
    assert right.float().mean() > 0.6
    assert subject.before() is None
    (page,) = Path("outputs/explain").glob("small_cnn-*/gallery.html")
    assert "random weights" in page.read_text()
    shutil.rmtree(page.parent)


def test_a_run_s_folder_gets_the_pictures_and_nothing_else_changes():
    before = {path: path.stat().st_mtime_ns for path in Path("run").rglob("*") if path.is_file()}
    assert main(of_run("picture=[filters,grad_cam]", "explain.count=2")) == 0
    after = {path: path.stat().st_mtime_ns for path in Path("run").rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before
    new = sorted(str(path.relative_to("run/explain")) for path in after.keys() - before.keys())
    events = [name for name in new if name.startswith("events.out.tfevents.")]
    assert len(events) == 1
    assert [name for name in new if name not in (*events, ".explain.lock")] == [
        "filters/filters-before.png", "filters/filters.png", "gallery.html", "grad_cam/001.png", "grad_cam/002.png",
    ]  # fmt: skip
    page = Path("run/explain/gallery.html").read_text()
    assert page.count("<img width") + page.count('<img class="crisp" width') == 2 + 2 + 2
    tags = EventAccumulator("run/explain", size_guidance={"images": 0}).Reload().Tags()["images"]
    assert set(tags) == {f"explain/{name.removesuffix('.png')}" for name in new if name.endswith(".png")}


def test_a_second_command_replaces_what_it_draws_again_and_its_events_do_not_pile_up():
    assert main(of_run("picture=[grad_cam]", "explain.count=3")) == 0
    assert main(of_run("picture=[grad_cam,filters]", "explain.count=1")) == 0
    assert sorted(path.name for path in Path("run/explain/grad_cam").iterdir()) == ["001.png"]
    assert len(list(Path("run/explain").glob("events*"))) == 1


def test_a_kind_that_does_not_apply_is_left_out_with_the_reason_and_none_is_an_error(capsys):
    assert main(of_run("picture=[attention_rollout,filters]")) == 0
    assert "picture attention_rollout left out: " in capsys.readouterr().err
    page = Path("run/explain/gallery.html").read_text()
    assert "this network has none; gradient, integrated_gradients, smooth_grad and occlusion apply" in page
    shutil.rmtree("run/explain")
    assert main(of_run("picture=[attention_rollout]")) == 2
    assert "occlusion apply to every network" in capsys.readouterr().err
    assert not Path("run/explain/gallery.html").exists()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["explain.run_dir=photos"], "run_dir must be the folder of a finished run"),
        (["explain.run_dir=run", "explain.images=nowhere/*.png"], "explain.images must be a folder with images"),
        (["explain.run_dir=run", "picture=[]"], "picture must name one kind at least"),
        (["explain.run_dir=run", "picture=[oclusion]"], "occlusion"),
        (["explain.run_dir=run", "picture=[grad_cam]", "picture.grad_cam.stage=stage9"], "did you mean stage"),
        (["explain.run_dir=run", "explain.count=0"], "explain.count"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(overrides, said, capsys):
    assert main(["task=explain", *overrides]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_of_several_ranks_the_first_draws(asked, monkeypatch):
    monkeypatch.setattr(task.rank_environment, "rank", lambda: 1)  # type: ignore[attr-defined]
    assert asked("explain.run_dir=run") == (0, None)


@pytest.mark.slow
def test_the_default_pictures_are_drawn_of_a_small_network(capsys):
    assert main(of_run("explain.count=1")) == 0
    page = Path("run/explain/gallery.html").read_text()
    left_out = [line for line in capsys.readouterr().err.splitlines() if "left out: " in line]
    assert [text.split()[1] for text in left_out] == ["attention_rollout"]
    for title in ("Filters of the first", "Occlusion", "Grad-CAM", "What training changed", "Nearest neighbours"):
        assert title in page
