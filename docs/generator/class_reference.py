"""Reference pages of the code: each public class and function with its signature and docstring, read without import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from markdown_text import cell, code, docstring, inline

import headstart
from headstart.cli.checking.callable_parameters import signature
from headstart.cli.checking.code_definitions import definition
from headstart.cli.checking.value_types import Anything, expected

PACKAGE = Path(headstart.__file__).parent
Definition = ast.ClassDef | ast.FunctionDef


def class_pages() -> dict[str, str]:
    """The pages by their path in the site: the public names of `headstart`, and one for each room."""
    pages = {"reference/python.md": public_api_page()}
    rooms = sorted(path for path in PACKAGE.iterdir() if (path / "__init__.py").is_file())
    for room in rooms:
        sections = [text for file in sorted(room.rglob("*.py")) if (text := _module_section(file))]
        if sections:
            first = inline(_first_line(room / "__init__.py"))
            head = f"# {room.name}\n\n{first}" if first else f"# {room.name}"
            pages[f"reference/classes/{room.name}.md"] = "\n\n".join([head, *sections]) + "\n"
    types = _module_section(PACKAGE / "types.py")
    pages["reference/classes/types.md"] = f"# types\n\n{types}\n"
    return pages


def public_definitions(file: Path) -> Iterator[Definition]:
    """The public classes and functions that a file defines."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node


def _module_section(file: Path) -> str:
    name = ".".join(("headstart", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    if any(part.startswith("_") for part in name.split(".")):
        return ""
    found = [_definition_section(f"{name}.{node.name}", node, "###") for node in public_definitions(file)]
    if not found:
        return ""
    return "\n\n".join([f"## {name}", inline(_first_line(file)), *found])


def _first_line(file: Path) -> str:
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    return (text or "").partition("\n")[0]


def public_api_page() -> str:
    """The page of the names that `import headstart` gives."""
    parts = [
        "# Python\n\nThe names that `import headstart` gives. All other modules are documented by room, "
        "and may change with a version."
    ]
    for name in headstart.__all__:
        found = definition(f"headstart.{name}")
        if found is not None and isinstance(found.node, Definition):
            parts.append(_definition_section(f"headstart.{name}", found.node, "##"))
    return "\n\n".join(parts) + "\n"


def _definition_section(dotted: str, node: Definition, level: str) -> str:
    about = docstring(ast.get_docstring(node))
    kind = "class" if isinstance(node, ast.ClassDef) else "function"
    parts = [f"{level} {kind} `{node.name}` {{ #{dotted} }}", f"```python\n{_signature_text(node)}\n```", about.text]
    if isinstance(node, ast.ClassDef):
        for line in node.body:
            if isinstance(line, ast.FunctionDef) and line.name == "__init__":
                init = docstring(ast.get_docstring(line))
                about.parameters |= init.parameters
        parts.append(_parameter_table(dotted, about.parameters))
        parts.append(_methods(node))
    else:
        rows = [f"| {code(name)} | {text.replace('|', chr(92) + '|')} |" for name, text in about.parameters.items()]
        parts.append("\n".join(["| parameter | meaning |\n|---|---|", *rows]) if rows else "")
    parts += [f"**{name}**: {text}" for name, text in about.sections.items()]
    return "\n\n".join(part for part in parts if part)


def _signature_text(node: Definition) -> str:
    if isinstance(node, ast.FunctionDef):
        result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        line = f"{node.name}({ast.unparse(node.args)}){result}"
    else:
        bases = ", ".join(ast.unparse(base) for base in node.bases)
        line = f"class {node.name}({bases})" if bases else f"class {node.name}"
    return line if len(line) <= 100 else line.replace("(", "(\n    ", 1).replace(", *, ", ",\n    *,\n    ", 1)


def _parameter_table(dotted: str, meanings: dict[str, str]) -> str:
    known = signature(dotted)
    if known is None or not known.parameters:
        return ""
    rows = []
    for name, parameter in known.parameters.items():
        kind = "" if isinstance(parameter.kind, Anything) else expected(parameter.kind)
        default = "(needed)" if parameter.default is None else ast.unparse(parameter.default)
        meaning = meanings.get(name, "").replace("|", "\\|")
        rows.append(f"| {code(name)} | {meaning} | {cell(kind)} | {code(default)} |")
    return "\n".join(["| parameter | meaning | type and range | default |\n|---|---|---|---|", *rows])


def _methods(node: ast.ClassDef) -> str:
    lines = []
    for line in node.body:
        if isinstance(line, ast.FunctionDef) and not line.name.startswith("_"):
            text = docstring(ast.get_docstring(line)).text.partition("\n\n")[0].replace("\n", " ")
            if text:
                lines.append(f"- `{line.name}`: {text}")
    return "\n".join(lines)
