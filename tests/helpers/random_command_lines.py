"""Command lines that are wrong, odd or right by chance: every key of every option, with values of every kind."""

from __future__ import annotations

import random
import string
from dataclasses import dataclass

from omegaconf import DictConfig, ListConfig, OmegaConf

from headstart.cli.config_composing import Composer

NUMBERS = (
    "0", "-0.0", "1", "2", "-1", "0.5", "-0.5", "1.5", "1e-3", "1e-320", "1e30", "-1e30", "1e309", "-1e309",
    "1000000", "1000000000", "4294967296", "9223372036854775808", "1" + "0" * 400, "nan", "NaN", "inf", "-inf",
    "+inf", ".nan", ".inf", "1_000", "0x10", "0b1", "1e", "1.2.3", "--1", "١٢",
)  # fmt: skip
WORDS = (
    "true", "false", "True", "yes", "off", "null", "None", "none", "???", "", "''", '""', "' '", "x", "auto",
    "last", "min", "max", "val/loss", "val/nothing", "cpu", "résumé", "数字", "🙂", "e\u0301", "\u202eabc",
    "\u200b", "a\u00a0b", "a\nb", "a\tb", "a\rb", "a\x1b[31mb", "a\x07b", "\udcff\udcfe", "a" * 5000, "..", "/",
    "~", "~nobody", "/dev/null", "/no/such/folder", "a b", "  ", "a,b", "a=b", "a:b", "#a", "%s", "%(x)s", "{}",
    "{x}", "-", "--help", "@", "a@b",
)  # fmt: skip
QUOTING = (
    "'", '"', "\\", "\\\\", "'a", 'a"', "'a'b", '"a\'', "\\'a\\'", "\\{", "[", "]", "[1", "1]", "{", "}", "{a",
    "{a:", "(", ")", "[[[[", "$", "${", "${}", "${}}", "$HOME", "`a`", "a;b", "a|b", "a&b", "*",
    "[" * 60 + "]" * 60, "!!python/name:os", "&a", "*a", "|", ">", "? a", "- a",
)  # fmt: skip
NESTED = (
    "[]", "[1,2]", "[null]", "[nan]", "[x,y]", "[[]]", "{}", "{a: 1}", "{a: {b: 1}}", "{1: 2}", "{null: 1}",
    "{'': 1}", "{_target_: os.system}", "{_target_: no.such.Thing}", "{_target_: 3}", "{_target_: ''}",
    "{_target_: torch.nn.ReLU}", "{_partial_: true}", "{_target_: builtins.dict, _args_: 3}", "{lr: 1}",
    "{trainable: all}",
)  # fmt: skip
RESOLVED = (
    "${seed}", "${optimizer.lr}", "${no.such}", "${nothing:1}", "${oc.env:HOME}", "${oc.env:NO_SUCH_VARIABLE}",
    "${oc.decode:1}", "${hydra:runtime.cwd}", "${hydra:no.such}", "${now:%Y}", "${.}", "${..}", "${trainer}",
    "${${seed}}", "${run_dir}", "a${seed}b", "${oc.select:no.such,3}", "${study_name:}", "${run_name:}",
    "${target.batch_size}",
)  # fmt: skip
FUNCTIONS = (
    "range(1,3)", "range(3,1)", "range(0,1000000000)", "range(1,2,0)", "choice()", "choice(1)", "choice(1,2)",
    "interval(0,1)", "interval(1,0)", "glob(*)", "glob(no*such)", "shuffle(1,2)", "sort(2,1)", "tag(a,1)",
    "int(x)", "int(1.5)", "str(1)", "float(nan)", "bool(x)", "bool(1)", "json_str({a:1})", "nothing(1)",
    "extend_list(1)", "int([1,2])", "cast(1)",
)  # fmt: skip
KINDS = (NUMBERS, NUMBERS, NUMBERS, WORDS, WORDS, QUOTING, NESTED, RESOLVED, FUNCTIONS)
PREFIXES = ("",) * 12 + ("+", "+", "~", "++", "++", "~~", "+~", "+++", "@", "!", " ")


@dataclass(frozen=True)
class Setting:
    """A key of a config, and the options that must be chosen for it to be there."""

    key: str
    options: tuple[str, ...]


def settings(composer: Composer) -> list[Setting]:
    """All keys of the config and of each option of each group, each with the first option that has it."""
    settings_by_key: dict[str, Setting] = {}
    for options in [(), *((option,) for option in _all_options(composer))]:
        try:
            cfg = composer.composed(list(options)).cfg
        except Exception:  # an option that goes with another one only
            continue
        for key in _keys(cfg, ""):
            settings_by_key.setdefault(key, Setting(key, options))
    return list(settings_by_key.values())


def random_command_line(chance: random.Random, known: list[Setting], groups: dict[str, list[str]]) -> list[str]:
    """The arguments of one command: mostly one odd override, at times up to three and a flag."""
    lines: list[str] = []
    for _ in range(chance.choice((1, 1, 1, 1, 2, 3))):
        lines += _override_of_group(chance, groups) if chance.random() < 0.15 else _override(chance, known)
    if chance.random() < 0.1:
        lines.insert(chance.randrange(len(lines) + 1), "-m")
    if chance.random() < 0.02:
        lines.append(
            chance.choice(("--cfg", "--trce", "-x", "--", "--config-dir=/no", "-m=1", "", "=", "=1", "~", "+"))
        )
    return list(dict.fromkeys(lines))


def _override(chance: random.Random, known: list[Setting]) -> list[str]:
    setting = chance.choice(known)
    key = setting.key if chance.random() < 0.8 else misspelt(chance, setting.key)
    return [*setting.options, _written(chance, key, chance.choice(chance.choice(KINDS)))]


def _override_of_group(chance: random.Random, groups: dict[str, list[str]]) -> list[str]:
    group = chance.choice(list(groups))
    value = chance.choice((*groups[group], *groups[group], *chance.choice(KINDS)))
    key = group if chance.random() < 0.7 else misspelt(chance, group)
    if chance.random() < 0.2:
        value = misspelt(chance, value) if value else value
    return [_written(chance, key, value)]


def _written(chance: random.Random, key: str, value: str) -> str:
    prefix = chance.choice(PREFIXES)
    if prefix == "~" and chance.random() < 0.7:
        return f"~{key}"
    return key if chance.random() < 0.01 else f"{prefix}{key}={value}"


def misspelt(chance: random.Random, key: str) -> str:
    """The key with a slip of a hand in it, or with more or less of a path than it has."""
    at = chance.randrange(len(key))
    return chance.choice(
        (
            key[:at] + key[at + 1 :],
            key[:at] + key[at] + key[at:],
            key[:at] + chance.choice(string.ascii_lowercase) + key[at + 1 :],
            key[: max(0, at - 1)] + key[max(0, at - 1) : at + 1][::-1] + key[at + 1 :],
            key.upper(),
            key
            + chance.choice((".x", ".0", "[0]", ".", "..", "@", "@x", "/x", ":", "é", " ", "_", ".x.y.z", "\n", "-")),
            chance.choice((".", "/", "_", "hydra.", "hydra/", "x.", "é", "$", "${", "'", '"')) + key,
            key.rpartition(".")[0] or "x",
            key.partition(".")[2] or "x.y",
            key.replace(".", "/"),
        )
    )


def _all_options(composer: Composer) -> list[str]:
    keys = composer.composed([]).choices
    places = {key.partition("@")[0]: key for key in keys}
    return [
        f"{places[group]}={option}" if group in places else f"+{group}@{group}_here={option}"
        for group in composer.groups()
        for option in composer.options(group)
    ]


def _keys(node: DictConfig | ListConfig, path: str) -> list[str]:
    keys = []
    for key in node if isinstance(node, DictConfig) else range(len(node)):
        name = f"{path}.{key}" if path else str(key)
        keys.append(name)
        if OmegaConf.is_missing(node, key) or OmegaConf.is_interpolation(node, key):
            continue
        if isinstance(node[key], DictConfig | ListConfig):
            keys += _keys(node[key], name)
    return keys
