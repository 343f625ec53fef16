"""How does a figure of matplotlib become an image?"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from headstart.explain.render import Seen


def painted(figure: Figure, *, dpi: int = 100) -> Seen:
    """A figure as an image (H, W, 3); it has no window."""
    figure.set_dpi(dpi)
    canvas: Any = FigureCanvasAgg(figure)  # its methods have no types
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])
