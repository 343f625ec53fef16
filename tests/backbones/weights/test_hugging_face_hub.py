"""A file of the Hugging Face Hub is found, downloaded once, and read from the cache without a network.

A server on this machine answers as the hub does.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from headstart.backbones.weights.hugging_face_hub import from_hub, the_weights
from headstart.backbones.weights.weights_address import OnHub
from headstart.types import UserError

pytest.importorskip("huggingface_hub")
from huggingface_hub import constants

COMMIT = "c" * 40
FILES = {"README.md": b"# read me", "model.safetensors": b"weights", "sub/old.bin": b"old", "training_args.bin": b"t"}


class Repository(BaseHTTPRequestHandler):
    """org/name with FILES on its main branch and at v1; org/closed is gated."""

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, *, body):
        path = urlsplit(self.path).path
        self.server.asked.append((self.command, path))  # type: ignore[attr-defined]
        status, code, content = self._found(path.strip("/").split("/"))
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{abs(hash(content)):x}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def _found(self, parts):
        listing = parts[:2] == ["api", "models"]
        org, name, _, revision, *file = parts[2:] if listing else parts
        if (org, name) == ("org", "closed"):
            return 403, "GatedRepo", b""
        if (org, name) != ("org", "name"):
            return 404, "RepoNotFound", b""
        if revision not in ("main", "v1", COMMIT):
            return 404, "RevisionNotFound", b""
        if listing:
            tree = [{"type": "file", "path": path, "size": len(FILES[path]), "oid": "0" * 40} for path in FILES]
            return 200, None, json.dumps(tree).encode()
        content = FILES.get("/".join(file))
        return (404, "EntryNotFound", b"") if content is None else (200, None, content)

    def log_message(self, *_):
        pass


@pytest.fixture(autouse=True)
def server(tmp_path, monkeypatch):
    served = ThreadingHTTPServer(("127.0.0.1", 0), Repository)
    served.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    at = f"http://127.0.0.1:{served.server_port}"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(constants, "ENDPOINT", at)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", at + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    served.url = at  # type: ignore[attr-defined]
    yield served
    served.shutdown()
    thread.join()
    served.server_close()


@pytest.fixture
def offline(monkeypatch):
    def go():
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    return go


def test_a_file_is_downloaded_once_and_its_url_names_the_commit(server):
    path, url = from_hub(OnHub("org/name", None, "sub/old.bin"))
    assert path.read_bytes() == b"old"
    assert url == f"{server.url}/org/name/resolve/{COMMIT}/sub/old.bin"
    assert from_hub(OnHub("org/name", "v1", "sub/old.bin"))[0].read_bytes() == b"old"
    assert server.asked.count(("GET", "/org/name/resolve/main/sub/old.bin")) == 1


def test_the_one_file_of_weights_is_found():
    assert from_hub(OnHub("org/name", None, None))[0].name == "model.safetensors"


def test_without_network_it_is_what_lies_in_the_cache(offline, server):
    path, _ = from_hub(OnHub("org/name", None, "sub/old.bin"))
    offline()
    asked = len(server.asked)
    assert from_hub(OnHub("org/name", None, "sub/old.bin"))[0] == path
    assert from_hub(OnHub("org/name", COMMIT, "sub/old.bin"))[0] == path
    assert len(server.asked) == asked


def test_a_cache_with_another_file_does_not_decide_which_is_meant(offline):
    from_hub(OnHub("org/name", None, "sub/old.bin"))
    offline()
    with pytest.raises(UserError, match=r"without network name the file, .*weights.path=hf://org/name/"):
        from_hub(OnHub("org/name", None, None))


def test_without_network_and_cache_the_message_says_what_to_do(offline):
    offline()
    with pytest.raises(UserError, match=r"cannot download hf://org/name/model.safetensors .*weights.path=<the file>"):
        from_hub(OnHub("org/name", None, "model.safetensors"))


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (OnHub("org/nothing", None, None), "the hub has no org/nothing that you may see"),
        (OnHub("org/nothing", None, "x.pth"), "the hub has no org/nothing that you may see"),
        (OnHub("org/closed", None, "x.pth"), "for those who have accepted its terms.*hf auth login"),
        (OnHub("org/name", "v2", None), "org/name has no revision v2"),
        (OnHub("org/name", "v2", "model.safetensors"), "org/name has no revision v2"),
        (OnHub("org/name", None, "x.pth"), "org/name has no file x.pth; it has README.md, model.safetensors"),
    ],
)
def test_what_is_not_there_is_named(place, told):
    with pytest.raises(UserError, match=told):
        from_hub(place)


def test_safetensors_come_first_and_what_training_leaves_is_none():
    assert the_weights(["a.bin", "model.safetensors", "config.json"], "o/n") == "model.safetensors"
    assert the_weights(["pytorch_model.bin", "training_args.bin", "sub/optimizer.pt"], "o/n") == "pytorch_model.bin"
    with pytest.raises(UserError, match=r"2 files of weights: a.pth, b.ckpt; choose one: weights.path=hf://o/n/a.pth"):
        the_weights(["b.ckpt", "a.pth"], "o/n")
    with pytest.raises(
        UserError, match=r"no file of weights \(.safetensors, .bin, .pth, .pt, .ckpt\), it has x.msgpack"
    ):
        the_weights(["x.msgpack"], "o/n")


def test_without_the_package_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"pip install 'headstart\[hub\]'"):
        from_hub(OnHub("org/name", None, None))
