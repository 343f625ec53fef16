"""Pause of Python's garbage collector while modules are imported.

While the modules are imported: a million objects come into being, and stay. To look through them again and again
takes a fifth of the time that importing torch and Lightning takes.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_rests = False


@contextmanager
def resting() -> Iterator[None]:
    """The collector rests until `look_again`, where most is still to be imported and nobody has switched it off."""
    global _rests
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    _rests = True
    try:
        yield
    finally:
        look_again()
        gc.unfreeze()  # or what Python takes apart at its end would count as leaked


def look_again() -> None:
    """The collector looks again, but not at what is there by now; nothing happens where it does not rest."""
    global _rests
    if _rests:
        gc.freeze()
        gc.enable()
        _rests = False
