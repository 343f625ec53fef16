"""Flags and overrides among the command's arguments."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from headstart.cli.checking.closest_name import hint, listed
from headstart.data.decoding.utf8_names import escaped
from headstart.types import UserError

# name -> what follows: "" nothing, "value", or a default for a value that may be left out
FLAGS = {
    "--help": "",
    "--version": "",
    "--trace": "",
    "--trust": "",
    "--pipe": "",
    "--run": "",
    "--multirun": "",
    "--cfg": "value",
    "--resolve": "",
    "--package": "value",
    "--info": "all",
    "--config-dir": "value",
    "--config-path": "value",
    "--config-name": "value",
    "--hydra-help": "",
    "--shell-completion": "",
}
SHORT = {
    "-h": "--help",
    "-r": "--run",
    "-m": "--multirun",
    "-c": "--cfg",
    "-p": "--package",
    "-i": "--info",
    "-cd": "--config-dir",
    "-cp": "--config-path",
    "-cn": "--config-name",
    "-sc": "--shell-completion",
}
CHOICES = {
    "--cfg": ("job", "hydra", "all"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
}
FOLDERS = ("--config-dir", "--config-path")
NAMED = ("tests.", "tests=")  # keys below which names are the user's own: Hydra wants them added
COMMANDS = ("--run", "--multirun", "--cfg", "--info", "--shell-completion")  # one at a time
OURS = ("--help", "--version", "--trace", "--trust", "--pipe")  # the others are Hydra's


@dataclass(frozen=True)
class Arguments:
    """The command line, taken apart."""

    flags: dict[str, str] = field(default_factory=dict)  # by long name; "" where nothing follows
    overrides: list[str] = field(default_factory=list)

    @property
    def composes(self) -> bool:
        """Whether this command composes a config that can be checked."""
        return not {"--hydra-help", "--shell-completion"} & set(self.flags)

    @property
    def runs(self) -> bool:
        """Whether jobs run, rather than something being shown."""
        return self.composes and not {"--cfg", "--info"} & set(self.flags)

    def for_hydra(self, overrides: list[str]) -> list[str]:
        """The arguments that Hydra gets: flags first, as its parser loses overrides that follow a flag."""
        flags = {name: value for name, value in self.flags.items() if name not in OURS}
        return [f"{name}={value}" if value else name for name, value in flags.items()] + overrides


def arguments(argv: list[str]) -> Arguments:
    """The flags and the overrides of a command line, in any order.

    Raises UserError for an unknown flag, a missing or impossible value, flags that exclude each other, or what is not
    UTF-8.
    """
    for word in [*argv, os.getcwd()]:  # noqa: PTH109  # both go into the config, and that into files
        if (shown := escaped(word)) != word:
            raise UserError(f"arguments and the working folder must be UTF-8, got {shown}; rename what is called so")
    flags: dict[str, str] = {}
    overrides: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            overrides.append(f"++{word}" if word.startswith(NAMED) else word)
            continue
        name, equals, value = word.partition("=")
        name = SHORT.get(name, name)
        if name not in FLAGS:
            valid = [*FLAGS, *SHORT]
            raise UserError(f"there is no flag {name}; the flags are {listed(FLAGS)}{hint(name, valid)}")
        follows = FLAGS[name]
        if follows == "value" and not equals:
            if not rest:
                raise UserError(f"{name} needs a value, got nothing; try: {name} {_example(name)}")
            value = rest.pop(0)
        elif follows not in ("", "value") and not equals:
            value = rest.pop(0) if rest and rest[0] in CHOICES[name] else follows
        elif not follows and equals:
            raise UserError(f"{name} takes no value, got {word}; try: {name}")
        _check_choice(name, value)
        flags[name] = _absolute(value) if name in FOLDERS else value
    _check_together(flags)
    return Arguments(flags, overrides)


def _example(name: str) -> str:
    return CHOICES[name][0] if name in CHOICES else "<folder>" if name in FOLDERS else "<name>"


def _check_choice(name: str, value: str) -> None:
    valid = CHOICES.get(name)
    if valid and value not in valid:
        raise UserError(f"{name} takes {listed(valid)}, got {value!r}{hint(value, valid, name + ' {}')}")


def _check_together(flags: dict[str, str]) -> None:
    commands = [name for name in COMMANDS if name in flags]
    if len(commands) > 1:
        raise UserError(f"only one of {listed(commands)} at a time; try: {commands[-1]} alone")
    if "--resolve" in flags and "--cfg" not in flags:
        raise UserError("--resolve says how --cfg shows the config, got it alone; try: --cfg job --resolve")
    folder = flags.get("--config-dir")
    if folder is not None and not Path(folder).is_dir():
        raise UserError(f"--config-dir must be a folder of YAML files, got {folder}; try: ls {folder}")


def _absolute(folder: str) -> str:
    # Hydra takes --config-path relative to the file of this package; a user means the working folder
    if "://" in folder:
        return folder
    path = Path(folder)
    return str((path.expanduser() if folder.startswith("~") else path).absolute())
