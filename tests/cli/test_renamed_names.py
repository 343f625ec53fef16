"""Names of earlier versions are refused with the names of today."""

import re

import pytest

from headstart.system.old_names import KEYS, MODULES, name_now

MODES = {"store": "off", "rule": "bit", "open": "fresh", "inject": "lora", "prolong": "held", "prolonged": "x"}


@pytest.mark.parametrize("form", ["{}={}", "+{}={}", "++{}={}", "~{}", "{}.key={}", "{}@other={}"])
@pytest.mark.parametrize("key", KEYS)
def test_an_earlier_key_is_refused_in_every_form(real, key, form):
    code, out, err = real(form.format(key, MODES[key]))
    assert (code, out) == (2, "")
    assert err.startswith(f"headstart: error: {key} is called {KEYS[key]} now, got ")
    assert f"; try: {form.split('{')[0]}{KEYS[key]}" in err


def test_an_example_says_the_whole_override(real):
    assert real("store.max_gib=2") == (
        2, "", "headstart: error: store is called feature_cache now, got store.max_gib=2; "
        "try: feature_cache.max_gib=2\n",
    )  # fmt: skip


@pytest.mark.parametrize(("override", "now"), [("task=store", "feature_cache"), ("trainable=fresh", "new_stages")])
def test_an_earlier_value_is_refused(real, override, now):
    code, _, err = real(override)
    assert code == 2
    assert f"try: {override.partition('=')[0]}={now}" in err


def test_the_length_of_a_longer_run_is_asked_by_todays_name(real):
    code, _, err = real("resume=outputs/runs/a", "trainer.max_epochs=60", "prolong=held")
    assert code == 2
    assert "try: extended_lr=held" in err


@pytest.mark.parametrize("module", [module for module in MODULES if MODULES[module]])
def test_an_object_of_an_earlier_module_is_refused_as_a_target(module):
    from headstart.cli.checking.renamed_names import check_target
    from headstart.types import UserError

    target = f"headstart.{module}.Anything"
    with pytest.raises(UserError, match=re.escape(f"{target} is called {name_now(target)} now")):
        check_target("callbacks.mine", target)


def test_a_target_on_the_command_line_is_refused(real):
    code, _, err = real("+callbacks.mine._target_=headstart.callbacks.ema.EMA")
    assert code == 2
    assert "headstart.callbacks.ema.EMA is called headstart.callbacks.training.ema.EMA now" in err


GLOBAL = "# @package _global_\n"


@pytest.mark.parametrize(
    ("name", "text", "overrides", "told"),
    [
        ("mode/mine.yaml", GLOBAL + "mode: mine\nopen: fresh\n", ["mode=mine"], "write trainable=new_stages"),
        ("experiment/mine.yaml", GLOBAL + "store: {max_gib: 3}\n", ["experiment=mine"], "store is called"),
        (
            "experiment/mine.yaml", GLOBAL + "defaults:\n  - override /rule: bit\n", ["experiment=mine"],
            "rule is called recipe now",
        ),
        (
            "experiment/mine.yaml", GLOBAL + "defaults:\n  - override /task: store\n", ["experiment=mine"],
            "write task=feature_cache",
        ),
        (
            "study/mine.yaml", GLOBAL + "hydra: {mode: MULTIRUN, sweeper: {params: {store.views: '0,4'}}}\n",
            ["study=mine"], "write feature_cache.views=0,4",
        ),
        ("rule/mine.yaml", "_target_: my.rule\n", ["recipe=mine"], "the group rule is called recipe now; try: mv "),
        (
            "recipe/mine.yaml", "_target_: headstart.tasks.bit.bit_hyperrule\n", ["recipe=mine"],
            "headstart.tasks.bit.bit_hyperrule is called headstart.recipes.bit.bit_hyperrule now",
        ),
    ],
)  # fmt: skip
def test_earlier_names_in_a_users_yaml_are_refused_with_the_file(real, tmp_path, name, text, overrides, told):
    file = tmp_path / "my_conf" / name
    file.parent.mkdir(parents=True)
    file.write_text(text)
    code, out, err = real("--config-dir", str(tmp_path / "my_conf"), *overrides)
    assert (code, out) == (2, "")
    assert told in err
    assert "_target_" in text or str(tmp_path / "my_conf") in err


def test_a_config_of_ones_own_may_use_the_word(command):
    command.write("model/small.yaml", "_target_: stub_jobs.Model\ndepth: ${open}\nroot: null\n")
    assert command("+open=3") == 0
    assert command.cfg.model.depth == 3
