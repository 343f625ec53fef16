"""The network with the weights that training began from."""

from __future__ import annotations

from headstart.explain.explained_network import Network
from headstart.explain.picture_protocol import Subject, UnfitError


def initial_network(subject: Subject, *, kind: str) -> Network:
    """The network before training. Raises UnfitError where it is not known; kind: who asks."""
    before = subject.before()
    if before is None:
        raise UnfitError(
            f"{kind} compares a network with what its training began with, and that is not known here; explain a "
            "finished run, as in task=explain explain.run_dir=outputs/demo/<run>, or train with callbacks=explain"
        )
    return before
