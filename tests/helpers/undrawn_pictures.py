"""Pictures at the end of a run, a third of a small run's time: drawn in the tests that are marked `pictures` alone.

Runs in other processes draw them all.
"""

import sys

MODULE = "headstart.callbacks.predictions.prediction_pictures"


class UndrawnPictures:
    """Stands before the hook that draws, from when the package is imported."""

    def __init__(self) -> None:
        self.active = True

    def install(self) -> None:
        """Wrap the callback's hook, once, if its module has been imported."""
        module = sys.modules.get(MODULE)
        if module is None or getattr(module.Figures.on_test_end, "leaves_out", False):
            return
        draw = module.Figures.on_test_end

        def on_test_end(callback, trainer, pl_module):
            if not self.active:
                draw(callback, trainer, pl_module)

        on_test_end.leaves_out = True  # type: ignore[attr-defined]
        module.Figures.on_test_end = on_test_end


UNDRAWN = UndrawnPictures()
