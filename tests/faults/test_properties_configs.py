"""What our command makes of overrides is what Hydra makes of them, and a path is what the shell said."""

import os

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import assume, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from cached_composing import cached_composing
from composed import CONF
from fuzzed import thorough
from headstart.cli.command_arguments import arguments
from headstart.cli.command_check import checked

pytestmark = pytest.mark.faults

rates = st.floats(1e-6, 1).map(lambda rate: f"{rate:.6g}")
counts = st.integers(1, 50).map(str)
flags = st.booleans().map(lambda flag: str(flag).lower())
CHOICES = {  # groups of which any option goes with any other
    "mode": ("scratch", "gradual", "feature_extraction", "fine_tuning", "bias_only"),
    "optimizer": ("adam", "adamw", "sgd", "rmsprop"),
    "scheduler": ("constant", "cosine", "one_cycle", "plateau", "warmup_cosine"),
    "backbone": ("small_cnn", "lenet", "resnet18"),
    "data@target": ("digits", "all_digits", "printed_digits"),
    "data@source": ("printed", "printed_digits"),
    "unfreeze": ("gradual", "steps", "chain_thaw", "lp_ft"),
    "regularizer": ("l2_sp", "bss"),
    "mix@module.mix": ("mixup", "cutmix"),
    "experiment": ("digits_with_head",),
}
VALUES = {  # keys that each of these configs has
    "seed": counts,
    "rerun": flags,
    "optimizer.lr": rates,
    "trainer.max_epochs": counts,
    "target.batch_size": counts,
    "target.shots": counts,
    "module.label_smoothing": st.floats(0, 0.9).map(str),
    "callbacks.checkpoint.every_steps": counts | st.just("null"),
    "++optimizer.weight_decay": rates,
    "+trainer.min_epochs": counts,
    "callbacks.figures.wrong": counts,
    "~callbacks.figures": st.just(None),
    "~debug": st.just(None),
    "start_images": counts | st.just("null"),
    "hydra.job.name": st.just("mine"),
    "target.augment": st.just("{_target_: torch.nn.Identity}"),
}
choices = st.sampled_from(sorted(CHOICES)).flatmap(lambda key: st.tuples(st.just(key), st.sampled_from(CHOICES[key])))
values = st.sampled_from(sorted(VALUES)).flatmap(lambda key: st.tuples(st.just(key), VALUES[key]))
lines = st.lists(choices | values, max_size=8, unique_by=lambda pair: pair[0].lstrip("+~")).filter(
    lambda pairs: (
        not {"~callbacks.figures", "callbacks.figures.wrong"} <= {key for key, _ in pairs}
        and not {("data@target", "printed_digits"), ("target.shots", True)}
        <= {*pairs, *((key, True) for key, _ in pairs)}
    )
)


def written(pairs):
    return [key if value is None else f"{key}={value}" for key, value in pairs]


@pytest.fixture(autouse=True, scope="module")
def cached():
    with cached_composing():
        yield


def jobs_own(cfg):
    """A config without what Hydra says about this process."""
    return OmegaConf.to_container(OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"]), resolve=False)


@given(lines)
@thorough(400)
def test_overrides_give_what_hydra_composes(pairs):
    overrides = written(pairs)
    with initialize_config_dir(str(CONF), version_base="1.3", job_name="headstart"):
        want = compose("config", overrides=overrides)
    assert jobs_own(checked(arguments(overrides)).cfg) == jobs_own(want)


@given(lines, st.randoms(use_true_random=False))
@thorough(200)
def test_overrides_of_different_keys_have_no_order(pairs, chance):
    shuffled = chance.sample(pairs, len(pairs))
    assert jobs_own(checked(arguments(written(shuffled))).cfg) == jobs_own(checked(arguments(written(pairs))).cfg)


@given(lines, st.lists(counts, min_size=2, max_size=4, unique=True))
@thorough(100)
def test_the_first_job_of_a_sweep_is_the_run_of_its_values(pairs, seeds):
    fixed = [one for one in written(pairs) if not one.startswith("seed=")]
    swept = checked(arguments(["-m", *fixed, f"seed={','.join(seeds)}"]))
    assert swept.multirun
    assert jobs_own(swept.cfg) == jobs_own(checked(arguments([*fixed, f"seed={seeds[0]}"])).cfg)


# what a file may be called, but for what the command reads as something else: a quoted text, an interpolation, null
paths = st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=12).filter(
    lambda text: "${" not in text and text not in ("null", "???") and text.strip() and not text.startswith("~")
)


@given(paths)
@thorough(2000)
def test_a_path_is_what_the_shell_said_whatever_characters_it_has(path):
    assume(not (len(path) > 1 and path[0] == path[-1] and path[0] in "'\""))
    cfg = checked(arguments(["data@target=image_folder", f"target.root={path}"])).cfg
    assert cfg.target.root == path


@given(st.text(st.characters(exclude_characters="\0/~", codec="utf-8"), min_size=1, max_size=8))
@thorough(200)
def test_a_path_below_the_home_folder_is_found_there(name):
    assume(name.strip() and "${" not in name)
    cfg = checked(arguments(["data@target=image_folder", f"target.root=~/{name}"])).cfg
    assert cfg.target.root == os.path.expanduser("~/" + name)  # noqa: PTH111 - a Path would drop a dot
