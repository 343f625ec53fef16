"""A downloaded file is whole, fetched once, and has a name that no other file has."""

import hashlib
import multiprocessing
import os
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from headstart.backbones.weights.download import HASH, cached_place, fetched
from headstart.backbones.weights.weights_address import OnHub, Url, address_of
from headstart.types import UserError

CONTENT = bytes(range(256)) * 9000  # more than two chunks


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache of torch's."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home" / "hub" / "checkpoints"


@pytest.fixture
def server():
    """A server that answers as `server.answers` says: path -> (status, content, headers); it lists what was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.asked.append(self.path)  # type: ignore[attr-defined]
            time.sleep(served.slow_s)  # type: ignore[attr-defined]
            status, content, headers = served.answers.get(self.path, (404, b"nothing", {}))  # type: ignore[attr-defined]
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.answers, served.asked, served.slow_s = {}, [], 0  # type: ignore[attr-defined]
    served.url = f"http://127.0.0.1:{served.server_port}"  # type: ignore[attr-defined]
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield served
    served.shutdown()
    thread.join()
    served.server_close()


def named(content=CONTENT):
    return f"/net-{hashlib.sha256(content).hexdigest()[:8]}.pth"


def left(folder):
    return [path.name for path in Path(folder).rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_file_is_downloaded_once_whole_and_then_found_without_a_server(server, cache):
    server.answers[named()] = (200, CONTENT, {})
    file = fetched(server.url + named())
    assert file == cache / named()[1:]
    assert file.read_bytes() == CONTENT
    assert fetched(server.url + named()) == file
    assert server.asked == [named()]
    assert left(cache) == [file.name]


def test_an_answer_that_is_cut_short_never_looks_like_a_file(server, cache):
    server.answers["/net.pth"] = (200, CONTENT[:-1], {"Content-Length": str(len(CONTENT))})
    with pytest.raises(UserError, match=f"cannot download .*{len(CONTENT) - 1} of {len(CONTENT)} bytes came"):
        fetched(server.url + "/net.pth")
    assert left(cache) == []
    server.answers["/net.pth"] = (200, CONTENT, {})
    assert fetched(server.url + "/net.pth").read_bytes() == CONTENT


def test_a_connection_that_breaks_leaves_nothing(cache):
    """A server that is killed while it sends."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer():
        taken, _ = listener.accept()
        taken.recv(4096)
        taken.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nhe")
        taken.close()

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    with pytest.raises(UserError, match="cannot download http"):
        fetched(f"http://127.0.0.1:{listener.getsockname()[1]}/net.pth")
    thread.join()
    listener.close()
    assert left(cache) == []


@pytest.mark.parametrize("by", ["its name", "weights.sha256"])
def test_a_file_that_is_not_what_its_name_or_the_setting_says_is_not_kept(server, cache, by):
    path = "/net-0123abcd.pth" if by == "its name" else named()
    server.answers[path] = (200, CONTENT, {})
    said = None if by == "its name" else "0" * 64
    with pytest.raises(UserError, match=rf"its SHA-256 is {hashlib.sha256(CONTENT).hexdigest()}, but {by} says"):
        fetched(server.url + path, sha256=said)
    assert left(cache) == []


def test_the_setting_counts_where_the_name_only_looks_like_a_hash(server, cache):
    server.answers["/net-0123abcd.pth"] = (200, CONTENT, {})
    assert fetched(server.url + "/net-0123abcd.pth", sha256=hashlib.sha256(CONTENT).hexdigest()).is_file()


def test_a_date_in_a_name_is_no_hash():
    assert HASH.search("net-20230401.pth") is None
    assert HASH.search("net_20230401-ea4938fa.pth")[1] == "ea4938fa"
    assert HASH.search("net-99999999.pth")[1] == "99999999"


def test_a_page_about_the_file_is_not_kept_as_the_file(server, cache):
    server.answers["/blob/net.pth"] = (200, b"\n<!DOCTYPE html><html>a page</html>", {"Content-Type": "text/html"})
    with pytest.raises(UserError, match="a web page about the file, not the file"):
        fetched(server.url + "/blob/net.pth")
    assert left(cache) == []


def test_a_missing_file_and_no_network_say_where_to_put_it_by_hand(server, cache):
    hint = re.escape(f"put the file here by hand, as {cache / 'net.pth'}, or take weights=file")
    with pytest.raises(
        UserError, match=rf"cannot download {server.url}/net.pth \(HTTP Error 404: Not Found\); .*{hint}"
    ):
        fetched(server.url + "/net.pth")
    with pytest.raises(UserError, match=hint):
        fetched("http://127.0.0.1:9/net.pth")  # nobody listens at that port
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "net.pth").write_bytes(b"by hand")
    assert fetched("http://127.0.0.1:9/net.pth").read_bytes() == b"by hand"


def test_a_folder_that_cannot_be_is_told_too(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot download .*(Not a directory|File exists)"):
        fetched("http://127.0.0.1:9/net.pth")


def test_what_a_killed_download_left_is_taken_away(server, cache):
    cache.mkdir(parents=True)
    (cache / "net[1].pth.0a1b.partial").write_bytes(b"half")
    (cache / "other.pth.0a1b.partial").write_bytes(b"another file's")
    server.answers["/net[1].pth"] = (200, CONTENT, {})
    fetched(server.url + "/net[1].pth")
    assert sorted(left(cache)) == ["net[1].pth", "other.pth.0a1b.partial"]


def _fetch(url, home, queue):
    os.environ["TORCH_HOME"] = home
    queue.put(fetched(url).read_bytes() == CONTENT)


def test_of_several_processes_one_downloads_and_the_others_wait(server, tmp_path):
    server.answers["/net.pth"] = (200, CONTENT, {})
    server.slow_s = 0.5
    context = multiprocessing.get_context("fork")  # torch is there already
    queue = context.Queue()
    home = str(tmp_path / "home")
    processes = [
        context.Process(target=_fetch, args=(server.url + "/net.pth", home, queue)) for _ in range(3)
    ]  # fmt: skip
    for process in processes:
        process.start()
    assert [queue.get(timeout=30) for _ in processes] == [True] * 3
    for process in processes:
        process.join()
    assert server.asked == ["/net.pth"]


def test_files_of_one_name_from_two_addresses_do_not_meet(cache):
    one, other = (cached_place(f"https://{host}/model.pth") for host in ("a.org", "b.org"))
    assert one != other
    assert one.name == other.name == "model.pth"
    # with a hash in its name it is torch's own file, from whichever mirror
    assert cached_place("https://a.org/net-0123abcd.pth") == cache / "net-0123abcd.pth"
    assert cached_place("https://a.org/get/model.pth?version=2") != cached_place("https://a.org/get/model.pth")
    assert cached_place("https://a.org/get/model.pth?version=2").name == "model.pth"


def test_an_address_keeps_its_slashes_and_a_path_is_a_path(tmp_path):
    assert address_of("https://host.org/a//b.pth?x=1") == Url("https://host.org/a//b.pth?x=1")
    assert address_of("w/x.pth") == Path("w/x.pth")
    assert address_of("~/x.pth") == Path.home() / "x.pth"
    assert address_of((tmp_path / "a b.pth").as_uri()) == tmp_path / "a b.pth"


def test_a_file_of_the_hub_is_named_with_or_without_revision_and_path():
    assert address_of("hf://org/name") == OnHub("org/name", None, None)
    assert address_of("hf://org/na.me/sub/model.safetensors") == OnHub("org/na.me", None, "sub/model.safetensors")
    assert address_of("hf://org/name@v1.0/x.pth") == OnHub("org/name", "v1.0", "x.pth")
    assert address_of("hf://org/name@refs%2Fpr%2F1") == OnHub("org/name", "refs/pr/1", None)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("https:/host/x.pth", "one slash behind https:"),
        ("https://host/", "names no file of a server"),
        ("https://host/a/..", "names no file of a server"),
        ("s3://bucket/x.pth", r"must be a file, http\(s\)://"),
        ("hf://name", "must be hf://<org>/<name>"),
        ("hf://org/name@/x.pth", "must be hf://<org>/<name>"),
        ("hf:///name/x.pth", "must be hf://<org>/<name>"),
    ],
)
def test_an_address_that_is_none_says_how_one_is_written(path, told):
    with pytest.raises(UserError, match=told):
        address_of(path)
