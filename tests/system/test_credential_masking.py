"""What is written down holds no credentials of addresses and no values of environment variables."""

import logging
import sys

import pytest

from headstart.system import credential_masking
from headstart.system.credential_masking import mask_logs, masked, masked_in, remember, usable, without_credentials
from headstart.types import UserError


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    monkeypatch.setattr(credential_masking, "_values", {})


@pytest.mark.parametrize(("text", "want"), [
    ("https://user:pass@host/x.tar", "https://***@host/x.tar"),
    ("https://user@host", "https://***@host"),
    ("https://:pass@host:8080/x", "https://***@host:8080/x"),
    ("s3://AKIA12:ab/cd+e=f@bucket/key", "s3://***@bucket/key"),
    ("https://a:p@ss@host/x", "https://***@host/x"),
    ("https://a:b@h1/x,https://c:d@h2/y", "https://***@h1/x,https://***@h2/y"),
    ("target.urls=[https://a:b@h/{0..3}.tar,'ftp://c:d@h/']", "target.urls=[https://***@h/{0..3}.tar,'ftp://***@h/']"),
    ("https://h/x?token=abc&size=3", "https://h/x?token=***&size=3"),
    ("https://h/x?size=3&sig=a%2Fb", "https://h/x?size=3&sig=***"),
    ("https://h/?X-Amz-Credential=A&X-Amz-Signature=B&X-Amz-Date=1", "https://h/?X-Amz-Credential=***&X-Amz-Signature=***&X-Amz-Date=1"),
    ("https://h/x#access_token=abc", "https://h/x#access_token=***"),
    ("https://h/x?api_key=abc", "https://h/x?api_key=***"),
    ("https://h/x?PASSWORD=abc;next", "https://h/x?PASSWORD=***;next"),
    # what is none stays
    ("https://host:8080/a@b", "https://host:8080/a@b"),
    ("hf://org/name@main/file.bin", "hf://org/name@main/file.bin"),
    ("https://host/name@v1.2/x", "https://host/name@v1.2/x"),
    ("https://h/x?size=3", "https://h/x?size=3"),
    ("somebody@host and token=5", "somebody@host and token=5"),
    ("data@target=digits", "data@target=digits"),
])  # fmt: skip
def test_credentials_in_addresses_are_three_stars_and_all_else_stays(text, want):
    assert without_credentials(text) == want
    assert without_credentials(want) == want


def test_the_value_of_a_variable_that_a_config_reads_is_the_interpolation_again(monkeypatch):
    monkeypatch.setenv("MY_SECRET", "tr0ub4dor")
    monkeypatch.setenv("SHORT", "abc")
    monkeypatch.setenv("COUNT", "1234567.5")
    monkeypatch.setenv("HEADSTART_DATA", "/data/all")
    monkeypatch.setenv("UNREAD", "something else")
    text = "/x/tr0ub4dor abc 1234567.5 /data/all something else"
    assert masked(text) == text
    remember("a: ${oc.env:MY_SECRET}\nb: ${oc.env:SHORT}\nc: ${oc.env:COUNT,1}\nd: '${oc.env:HEADSTART_DATA,data}'")
    assert masked(text) == "/x/${oc.env:MY_SECRET} abc 1234567.5 /data/all something else"
    held = {"name": "tr0ub4dor", "a": ["tr0ub4dor", 1, None, ("https://u:p@h",)], "b": {"tr0ub4dor": 2.5}}
    assert masked_in(held, without=frozenset({"name"})) == {
        "name": "tr0ub4dor", "a": ["${oc.env:MY_SECRET}", 1, None, ["https://***@h"]], "b": {"tr0ub4dor": 2.5},
    }  # fmt: skip


def test_logs_are_masked_whoever_writes_them_traces_included(monkeypatch, caplog):
    monkeypatch.setenv("MY_SECRET", "tr0ub4dor")
    remember("${oc.env:MY_SECRET}")
    before = logging.getLogRecordFactory()
    try:
        mask_logs()
        mask_logs()
        logger = logging.getLogger("somebody.else")
        logger.warning("%s and %d at %s", "tr0ub4dor", 3, "https://u:p@h")
        try:
            raise ValueError("tr0ub4dor")
        except ValueError:
            logger.error("failed", exc_info=sys.exc_info())
    finally:
        logging.setLogRecordFactory(before)
    assert "tr0ub4dor" not in caplog.text
    assert "${oc.env:MY_SECRET} and 3 at https://***@h" in caplog.text
    assert "ValueError: ${oc.env:MY_SECRET}" in caplog.text


def test_an_address_that_was_masked_when_it_was_saved_says_what_to_do_when_it_is_opened():
    assert usable("https://u:p@h/x?a=***") == "https://u:p@h/x?a=***"
    assert usable("shards/train.tar") == "shards/train.tar"
    with pytest.raises(UserError, match=r"write \$\{oc\.env:NAME\} in its place"):
        usable("https://***@h/x")
    with pytest.raises(UserError, match=r"not kept in a run's folder"):
        usable("https://h/x?token=***")
