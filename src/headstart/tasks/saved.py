"""What was the config of a job that has its folder already?"""

from __future__ import annotations

from pathlib import Path

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from omegaconf import DictConfig, OmegaConf, open_dict

from headstart.tasks.names import register
from headstart.types import UserError


def saved_job(folder: Path) -> DictConfig:
    """The config of <folder>/.hydra/config.yaml, its interpolations as they were in the job that wrote it.

    For that, Hydra's own config becomes that of the job, `${run_dir:}` this folder wherever it was moved to.
    `${study_name:}` is what the environment says, as in the job; `${now:...}` is now.
    Raises UserError where the folder has no such files.
    """
    own, hydra = (folder / ".hydra" / name for name in ("config.yaml", "hydra.yaml"))
    if missing := [path for path in (own, hydra) if not path.is_file()]:
        raise UserError(
            f"expected the folder of a run, with .hydra/config.yaml and .hydra/hydra.yaml, got {folder} without "
            f"{missing[0].relative_to(folder)}; try: ls -a {folder}"
        )
    setup_globals()  # ${hydra:...}, ${now:...}
    register()
    schema = OmegaConf.structured(HydraConf)  # HydraConfig takes no plain hydra node
    OmegaConf.set_struct(schema, False)  # hydra.env and what plugins add
    config = OmegaConf.merge({"hydra": schema}, OmegaConf.load(own), OmegaConf.load(hydra))
    assert isinstance(config, DictConfig)
    config.hydra.runtime.output_dir = str(folder.absolute())
    HydraConfig.instance().set_config(config)
    cfg = config.copy()
    with open_dict(cfg):
        del cfg["hydra"]
    OmegaConf.set_struct(cfg, True)  # as Hydra gives it to a job: a name that is not there is an error
    return cfg
