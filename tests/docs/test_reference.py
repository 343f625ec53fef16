"""The generated reference has every option, every key with a meaning, and every public class."""

import sys
from functools import cache

import pytest

from headstart.system.files.conf_folder import conf_dir
from page_blocks import DOCS

CLASSES = """
from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge


class Thing:
    \"\"\"A thing with a_name and <brackets>.

    Args:
        width: Channels of the first stage,
            and of the second.
    \"\"\"

    def __init__(self, *, width: Annotated[int, Ge(1)] = 3) -> None: ...


class _Hidden: ...
"""


@cache
def generator():
    """The modules of docs/generator."""
    sys.path.insert(0, str(DOCS / "generator"))
    try:
        import class_reference
        import commented_yaml
        import config_reference
        import markdown_text
    finally:
        sys.path.remove(str(DOCS / "generator"))
    return config_reference, class_reference, commented_yaml, markdown_text


def test_every_key_of_every_option_has_a_meaning():
    config = generator()[0]
    plain = ("experiment", "study", "debug")  # their keys are explained where they belong
    nameless = [
        f"{group.name}/{option.name}: {row.path}"
        for group in config.documented_groups()
        if group.name not in plain
        for option in group.options
        for row in config.group_rows(group, option.name)
        if not row.meaning
    ]
    assert nameless == []


def test_every_key_of_the_top_level_has_a_meaning_and_a_type():
    assert [row.path for row in generator()[0].top_level_rows() if not (row.meaning and row.kind)] == []


def test_every_option_has_a_section():
    config = generator()[0]
    options = {(group.name, option.name) for group in config.documented_groups() for option in group.options}
    files = {
        (file.relative_to(conf_dir()).parts[0], file.stem)
        for file in conf_dir().rglob("*.yaml")
        if file.parent != conf_dir() and not file.parent.name.startswith("_")
    }
    assert {(group, name) for group, name in files if group not in ("hydra", "local")} == options


@pytest.mark.parametrize(
    ("path", "kind", "default"),
    [
        ("unfreeze.every_epochs", "a whole number at least 0", "2"),
        ("unfreeze.first_epoch", "a whole number at least 0 or null", "1"),
    ],
)
def test_a_row_has_the_type_of_the_signature_and_the_default_of_the_file(path, kind, default):
    config = generator()[0]
    (group,) = (group for group in config.documented_groups() if group.name == "unfreeze")
    (row,) = (row for row in config.group_rows(group, "gradual") if row.path == path)
    assert (row.kind, row.default) == (kind, default)
    assert row.meaning


def test_a_comment_beside_a_key_goes_before_one_above_it(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text(
        "# the file\n_target_: a.B\nlow: 1  # beside # it\nnode:\n  # above\n  high: {a: 1}\n  text: '# none'\n"
    )
    keys = {key.path: key.comment for key in generator()[2].commented_keys(file)}
    assert keys == {"_target_": "", "low": "beside # it", "node": "", "node.high": "above", "node.text": ""}
    assert generator()[2].head_comment(file) == ["the file"]


def test_a_docstring_gives_its_text_and_the_meaning_of_each_parameter():
    parsed = generator()[3].docstring(
        "A <b>.\n\nArgs:\n    width: Channels,\n        twice.\n    *rest: Others.\n\nRaises:\n    UserError: No."
    )
    assert parsed.text == "A &lt;b&gt;."
    assert parsed.parameters == {"width": "Channels, twice.", "rest": "Others."}
    assert parsed.sections == {"Raises": "UserError: No."}


def test_public_classes_are_found_and_private_ones_are_not(tmp_path):
    file = tmp_path / "things.py"
    file.write_text(CLASSES)
    assert [node.name for node in generator()[1].public_definitions(file)] == ["Thing"]


def test_the_reference_names_every_public_name_of_the_package():
    import headstart

    page = generator()[1].public_api_page()
    assert [name for name in headstart.__all__ if f"{{ #headstart.{name} }}" not in page] == []
