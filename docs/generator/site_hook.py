"""Hook of MkDocs: adds the generated reference, and the files of the repository that the pages show."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT / "src", Path(__file__).parent):  # MkDocs loads a hook by its path
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from class_reference import class_pages  # noqa: E402
from config_reference import config_pages  # noqa: E402
from mkdocs.structure.files import File, Files  # noqa: E402

PICTURES = ROOT / "src" / "headstart" / "report" / "rendering" / "html"


def on_config(config: Any) -> Any:
    """The navigation with the generated pages in it, below the entry `Reference`."""
    for entry in config["nav"]:
        if "Reference" in entry:
            entry["Reference"] += [
                {
                    "Configuration": [
                        _titled(path)
                        for path in sorted(config_pages(), key=lambda path: ("top_level" not in path, path))
                    ]
                },
                {"Python": "reference/python.md"},
                {"Classes": [_titled(path) for path in class_pages() if "/classes/" in path]},
            ]
    return config


def on_files(files: Files, config: Any) -> Files:
    """All files of the site: those of docs/, the reference, and the pictures of the report."""
    for path, text in {**config_pages(), **class_pages()}.items():
        files.append(File.generated(config, path, content=text))
    for picture in sorted(PICTURES.glob("benefit_*.svg")):
        files.append(File.generated(config, f"images/{picture.name}", abs_src_path=str(picture)))
    return files


def _titled(path: str) -> dict[str, str]:
    name = Path(path).stem
    return {"Top level" if name == "top_level" else name: path}
