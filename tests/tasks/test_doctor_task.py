"""What task=doctor says of this machine, and of one on which runs cannot work."""

import shutil
from collections import namedtuple

import pytest

from composed import TINY, composed
from headstart.cli import main
from headstart.runs.checkup import devices, disk_and_network
from headstart.runs.checkup import self_test as self_test_module
from headstart.runs.checkup.self_test import self_test

QUICK = ["task=doctor", "doctor.compile=false", "doctor.network=false", "doctor.self_test=false"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def lines_of(capsys, *argv):
    capsys.readouterr()
    code = main(list(argv))
    return code, *capsys.readouterr()


def test_it_names_versions_devices_places_and_launchers_and_leaves_nothing_behind(capsys, tmp_path):
    code, out, err = lines_of(capsys, *QUICK[:-1], *TINY)
    assert (code, err) == (0, "")
    found = {line[4:14].strip(): line for line in out.splitlines() if line[:2] in ("ok", "--", "NO")}
    assert list(found) == [
        "headstart", "packages", "extras", "machine", "device", "disk", "writing", "launchers", "sweepers", "commands",
        "self-test",
    ]  # fmt: skip
    assert "torch 2" in found["packages"]
    assert "cpu: trainer.precision=32-true" in found["device"]
    assert "hydra/launcher=basic" in found["launchers"]
    assert "finished in" in found["self-test"]
    assert [line[:2] for line in found.values()].count("NO") == 0
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_is_told_with_its_message_and_exit_code_2(capsys):
    code, out, err = lines_of(capsys, *QUICK[:-1], "data@target=image_folder", "target.root=nowhere")
    assert code == 2
    (line,) = [line for line in out.splitlines() if line.startswith("NO")]
    assert line.startswith("NO  self-test   root must be a folder of class folders with images, and there is none at")
    assert line.endswith("nowhere")
    assert err.startswith("headstart: error: a run of this command does not work: see the line that begins with NO")


def test_a_self_test_that_breaks_names_the_kind_of_error(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no such\n kernel")

    monkeypatch.setattr(self_test_module, "train", broken)
    found = self_test(composed())
    assert (found.state, found.text) == ("failed", "RuntimeError: no such kernel")


def test_the_self_test_ends_in_its_time_whatever_the_length_of_the_run():
    found = self_test(composed("trainer.max_epochs=100000", "mode=gradual"))
    assert found.state == "ok"
    assert "epochs 100000" not in found.text
    assert "val/accuracy" in found.text


def test_a_full_disk_and_a_folder_that_cannot_be_written_are_failures(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 2**20))
    assert disk_and_network.disk().state == "failed"
    monkeypatch.setattr(disk_and_network, "_unwritable", lambda _: "Read-only file system")
    found = disk_and_network.write_access()
    assert found.state == "failed"
    assert "Read-only file system" in found.text


def test_a_precision_that_raises_is_named_with_its_reason(monkeypatch):
    step = devices._step

    def no_bf16(device, precision, **rest):
        if precision.startswith("bf16"):
            raise RuntimeError("no such\n type")
        step(device, precision, **rest)

    monkeypatch.setattr(devices, "_step", no_bf16)
    found = devices.precisions(devices.found_devices()[0])
    assert found.state == "limited"
    assert found.text == (
        "cpu: trainer.precision=32-true; bf16-mixed does not work: RuntimeError: no such type; "
        "bf16-true does not work: RuntimeError: no such type"
    )


def test_an_address_that_answers_is_reached_and_another_is_not(monkeypatch):
    import http.server
    import threading

    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)  # answers 501
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_port
    assert disk_and_network._unreachable(f"http://127.0.0.1:{port}/") == ""
    server.shutdown()
    server.server_close()
    assert "refused" in disk_and_network._unreachable(f"http://127.0.0.1:{port}/")
