"""What is printed has nothing that a terminal obeys."""

import logging

import pytest

from headstart.cli.error_messages import one_line, show_trace
from headstart.system.credential_masking import mask_logs
from headstart.system.printing.terminal_escaping import printable, without_commands
from headstart.system.printing.terminal_printing import tell

OBEYED = ["\x1b[31mred", "\x1b]0;title\x07", "a\rb", "\x9b2J", "\u202eabc", "\u2066x", "\udcff", "a\u2028b", "\x7f"]


@pytest.mark.parametrize("text", OBEYED)
def test_what_a_terminal_obeys_is_written_out(text, capsys):
    assert without_commands(text).isprintable()
    tell(text, "next")
    first, second = capsys.readouterr().out.splitlines()
    assert (first, second) == (without_commands(text), "next")


@pytest.mark.parametrize("text", ["a\nb", "a\tb", "épée", "数字", "می\u200cخواهم", "🙂", "1\u00a0000", ""])
def test_other_texts_are_as_they_are(text):
    assert without_commands(text) == text


def test_an_error_is_one_line_whatever_it_holds():
    assert printable("a\nb\x1b\u200b") == "a\\nb\\x1b\\u200b"


def test_errors_of_libraries_and_their_traces_have_none_of_it(capsys):
    error = RuntimeError("cannot open \x1b]0;title\x07cats.png\nnext")
    assert one_line(error) == "RuntimeError: cannot open \\x1b]0;title\\x07cats.png next"
    show_trace(error)
    assert "\x1b" not in capsys.readouterr().err


def test_logs_have_none_of_it_either(caplog):
    before = logging.getLogRecordFactory()
    mask_logs()
    try:
        with caplog.at_level(logging.INFO):
            logging.getLogger("headstart.test").info("class %s\nnext", "\x1b[2Jcats")
    finally:
        logging.setLogRecordFactory(before)
    assert caplog.messages == ["class \\x1b[2Jcats\nnext"]
