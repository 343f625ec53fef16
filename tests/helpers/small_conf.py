"""A small conf/ in a test's folder, whose task is a function of the tests."""

from collections.abc import Mapping
from pathlib import Path


def small_config(*groups: str, settings: str = "") -> str:
    """The text of config.yaml: task=fit, no experiment or study, runs in outputs/<study>/<run>.

    Args:
        groups: Further lines of the defaults list, `model: small`.
        settings: Further top-level settings, a line each.
    """
    chosen = "".join(f"{{{group}}}, " for group in groups)
    return f"""
defaults: [_self_, {{task: fit}}, {chosen}{{experiment: null}}, {{study: null}},
           override hydra/job_logging: none, override hydra/hydra_logging: none]
seed: 0
rerun: false
{settings}
hydra:
  job: {{name: headstart, chdir: false}}
  run: {{dir: "outputs/${{study_name:}}/${{run_name:}}"}}
  sweep: {{dir: "outputs/${{study_name:}}", subdir: "${{run_name:}}"}}
"""


def task_option(name: str, node: str) -> str:
    """The text of task/<name>.yaml.

    Args:
        name: Of the task.
        node: Its settings as YAML in one line, with its _target_.
    """
    return f"# @package _global_\ntask: {name}\n{name}: {node}\n"


def write_conf(conf: Path, texts: Mapping[str, str]) -> None:
    """Write the files of a conf/.

    Args:
        conf: The folder.
        texts: The content of each, by its path in the folder.
    """
    for name, text in texts.items():
        file = conf / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
