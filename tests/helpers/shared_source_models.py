"""Source models that the tests of one process share: one of the same recipe is trained once and copied afterwards.

A source model of drawn characters takes as long as the run that starts from it. Only data sets that the config alone
determines are shared; a test that looks at the training itself is marked `own_source`.
"""

import json
import shutil
import sys
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from omegaconf import OmegaConf

MODULE = "headstart.runs.weights.source_model"
DRAWN = ("headstart.data.datasets.printed_characters.", "headstart.data.datasets.digits.")


class SharedSourceModels:
    """Stands before the function that trains a source model, from when the package is imported.

    Args:
        folder: Where the models are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.active = True

    def install(self) -> None:
        """Wrap the package's function, once, if it has been imported."""
        module = sys.modules.get(MODULE)
        if module is None or getattr(module._trained, "shares", False):
            return
        train = module._trained

        def trained(recipe, folder, digest, cfg):
            if not self.active or not recipe.target["_target_"].startswith(DRAWN) or folder.exists():
                return train(recipe, folder, digest, cfg)
            text = OmegaConf.to_yaml(cfg.trainer) + OmegaConf.to_yaml(cfg.logger) + OmegaConf.to_yaml(recipe)
            shared = self.folder / f"{sha256(text.encode()).hexdigest()}" / folder.name
            if not shared.exists():
                train(recipe, folder, digest, cfg)
                shutil.copytree(folder, shared)
            else:
                shutil.copytree(shared, folder)
            return json.loads((folder / "result.json").read_text(encoding="utf-8"))

        trained.shares = True  # type: ignore[attr-defined]
        module._trained = trained  # type: ignore[attr-defined]


_HELD = TemporaryDirectory(prefix="headstart-source-models-")
SHARED = SharedSourceModels(Path(_HELD.name))
