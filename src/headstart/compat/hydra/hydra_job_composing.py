"""The config of the job that runs now, composed again with other overrides.

Relies on: a job's `hydra.runtime.config_sources` says where its configs came from, each with `path`, `schema` and
`provider`, of which `main` is the folder of the primary config and `command-line` that of --config-dir.
"""

from __future__ import annotations

from hydra.core.config_search_path import SearchPathQuery
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

from headstart.compat.hydra.hydra_config_loader import DefaultsListLoader, config_search_path


class JobComposer:
    """Composes configs over the search path of the job that runs now."""

    def __init__(self) -> None:
        hydra = HydraConfig.get()
        sources = {source.provider: f"{source.schema}://{source.path}" for source in hydra.runtime.config_sources}
        search_path = config_search_path(sources["main"])
        if "command-line" in sources:
            search_path.prepend("command-line", sources["command-line"], SearchPathQuery("schema"))
        self.config_name = str(hydra.job.config_name)
        self.loader = DefaultsListLoader(search_path)
        self.parser = OverridesParser.create(config_loader=self.loader)

    def composed(self, overrides: list[str]) -> DictConfig:
        """The config of these overrides, without Hydra's own node.

        Args:
            overrides: As on the command line.

        Raises:
            Exception: What Hydra raises.
        """
        cfg = self.loader.load_configuration(
            self.config_name, overrides, run_mode=RunMode.RUN, validate_sweep_overrides=False
        )
        with open_dict(cfg):
            cfg.pop("hydra", None)
        return cfg

    def parsed(self, override: str) -> Override:
        """One override by Hydra's grammar.

        Args:
            override: As on the command line.

        Raises:
            Exception: What Hydra raises.
        """
        (parsed,) = self.parser.parse_overrides([override])
        return parsed

    def options(self, group: str) -> list[str]:
        """The options of a group.

        Args:
            group: As `backbone`.
        """
        names: list[str] = self.loader.get_group_options(group, ObjectType.CONFIG)
        return names


def quoted(text: str) -> str:
    """A text as a value of Hydra's grammar, whatever characters it has.

    Args:
        text: The value.
    """
    return QuotedString(text, Quote.single).with_quotes()
