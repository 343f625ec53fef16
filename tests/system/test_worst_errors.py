"""The file of a run's most confident errors, also where a stranger has written it."""

import json

import pytest

from headstart.system.worst_errors import (
    FILE,
    MOST_BYTES,
    WorstError,
    WorstErrors,
    read_worst_errors,
    write_worst_errors,
)

WEBP = b"RIFF\x1a\0\0\0WEBPVP8L\r\0\0\0/\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0"  # one pixel
WORST = WorstErrors(90, 7, (WorstError(2**64 - 1, "<b>cat as dog 0.9", "<b>cat", "dog", 0.9, WEBP),))


def test_what_is_written_is_read(tmp_path):
    write_worst_errors(tmp_path / "answers", WORST)
    assert read_worst_errors(tmp_path / "answers") == WORST
    assert WORST.errors[0].url.startswith("data:image/webp;base64,UklGR")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"format": 2}',
        '{"format": 1, "errors": 3}',
        "[" * 100_000,
        '{"format": 1, "errors": [{}]}',
    ],
)
def test_a_file_that_is_no_such_list_is_none(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    assert read_worst_errors(tmp_path) is None


@pytest.mark.parametrize("webp", [b"<svg onload=alert(1)>", b"", b"RIFF....WEBP" + bytes(MOST_BYTES)])
def test_what_is_no_small_picture_is_passed_over(tmp_path, webp):
    write_worst_errors(tmp_path, WorstErrors(9, 2, (WorstError(None, "m", "a", "b", None, webp), *WORST.errors)))
    read = read_worst_errors(tmp_path)
    assert read is not None
    assert read.errors == WORST.errors


def test_text_that_is_no_base64_is_passed_over(tmp_path):
    write_worst_errors(tmp_path, WORST)
    content = json.loads((tmp_path / FILE).read_text())
    content["errors"][0]["webp"] = '"><script>'
    (tmp_path / FILE).write_text(json.dumps(content))
    assert read_worst_errors(tmp_path) == WorstErrors(90, 7, ())
