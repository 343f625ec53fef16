"""The command `headstart`."""

from headstart.cli.command import main

__all__ = ["main"]
