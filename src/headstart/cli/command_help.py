"""The text of `headstart --help`."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap

from headstart.cli.config_groups import Group, groups
from headstart.system.files.conf_folder import conf_dir

WIDTH = 100  # columns
INDENT = 24  # where descriptions begin

USAGE = """\
headstart: did starting from a source model help on the target task, and which way of reusing it is best?

usage: headstart [flags] [group=option ...] [key=value ...]

Every value of the config can be set: optimizer.lr=1e-3. +key=value adds one that is not there yet.
With -m, commas try several: mode=scratch,gradual. headstart --cfg job shows the whole config."""

FLAGS = [
    ("-m, --multirun", "one run for each combination of values with commas, then a report"),
    ("--cfg job", "show the config of this command instead of running it; also hydra, all"),
    ("--resolve", "with --cfg: interpolations replaced by their values"),
    ("--package KEY", "with --cfg: only this part"),
    ("--config-dir FOLDER", "a folder of your own groups and options"),
    ("--trace", "where something fails, show the full trace"),
    ("--trust", "use the config in a run's folder although it is not your own: it may run code"),
    ("--pipe", "let pipe:<command> in the addresses of data run that command of the shell"),
    ("--info", "how Hydra composed the config"),
    ("--hydra-help", "Hydra's own flags, --shell-completion among them"),
    ("--version", "the version of headstart"),
]

EXAMPLES = [
    ("headstart -m study=demo", "compare every way of reuse over five seeds; the report comes at the end"),
    ("headstart mode=gradual data@target=digits target.shots=10 optimizer.lr=1e-3 seed=1", "one run"),
    ("headstart -m mode=scratch,gradual seed=0,1 target.shots=5,20", "eight runs and one report"),
]


def help_text(config_dir: str | None = None) -> str:
    """The help: usage, groups with their options, flags, examples. config_dir: the user's own folder."""
    folders = [conf_dir()] + ([Path(config_dir)] if config_dir is not None else [])
    known = groups(folders)
    tasks = [group for group in known if group.name == "task"]
    others = [group for group in known if group.name != "task"]
    parts = ["\n".join(line for text in USAGE.split("\n") for line in wrap(text, WIDTH) or [""])]
    parts += ["Tasks (* = default)\n" + "\n".join(_listed(group) for group in tasks)]
    parts += ["Groups (* = default)\n" + "\n".join(_listed(group) for group in others)]
    parts += ["Flags\n" + "\n".join(_row(name, about) for name, about in FLAGS)]
    parts += ["Examples\n" + "\n".join(f"  {command}\n{'':6}{about}" for command, about in EXAMPLES)]
    return "\n\n".join(parts)


def _listed(group: Group) -> str:
    heads = [
        f"{key}={'' if default == 'null' or len(group.keys) == 1 else f'  (* {default})'}"
        for key, default in zip(group.keys, group.defaults, strict=True)
    ]
    usual = group.defaults if len(group.keys) == 1 else ()  # used twice: each key says its own default
    rows = [_row(f"  {'*' if option.name in usual else ' '} {option.name}", option.about) for option in group.options]
    return "\n".join(["  " + ",  ".join(heads), *rows])


def _row(name: str, about: str) -> str:
    lines = wrap(about, WIDTH - INDENT) or [""]
    head = f"  {name}"
    if len(head) >= INDENT:
        lines = ["", *lines]
    return "\n".join([f"{head:<{INDENT}}{lines[0]}".rstrip(), *(f"{'':<{INDENT}}{line}" for line in lines[1:])])
