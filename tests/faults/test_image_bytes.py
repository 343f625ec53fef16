"""The bytes of an image file, whatever they are, become pixels or the one error that names the file."""

import os
import resource
import signal
import sys
import traceback

import numpy as np
import pytest

from damaged_images import damaged
from fuzzed import chances, parts
from headstart.data.decoding.image_decoding import Decoder
from headstart.types import UserError

pytestmark = pytest.mark.faults

COUNT = 10_000
SECONDS = 20  # that one image may take at most
MEMORY = 8 * 2**30  # bytes of addresses
DECODERS = [Decoder(16, 16, 3, reduced=True), Decoder(12, 20, 1, reduced=False)]


def answer(decode, *arguments):
    """The pixels, or the error's message."""
    try:
        return decode(*arguments)
    except UserError as error:
        return str(error)


def fault_of(content, path):
    """What is wrong with what becomes of an image's bytes; None where nothing is."""
    path.write_bytes(content)
    name = str(path)
    for decoder in DECODERS:
        of_path, of_bytes = answer(decoder, path), answer(decoder.of_bytes, content, name)
        if type(of_path) is not type(of_bytes) or not np.array_equal(of_path, of_bytes):
            return f"a path gives {of_path!r:.200}\n      and its bytes {of_bytes!r:.200}"
        if isinstance(of_path, str):
            if not of_path.startswith(f"{name} is no image that can be read (") or not of_path.isprintable():
                return f"says {of_path!r:.300}"
        elif of_path.dtype != np.uint8 or of_path.shape[:2] != (decoder.size, decoder.size):
            return f"gives {of_path.shape} {of_path.dtype}"
    return None


def in_children(numbers, work):
    """What `work` says of each number, as (number, text) where it says something, in processes that may crash."""
    numbers = list(numbers)
    found = []
    while numbers:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - Pillow warns of much that is damaged
            for number in numbers:
                os.write(writing, f"{number}\n".encode())
                signal.alarm(SECONDS)  # ends this process, in the midst of a C library too
                try:
                    said = work(number)
                except BaseException:
                    said = traceback.format_exc()[-600:]
                if said:
                    os.write(writing, f"{number} {said!r}\n".encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            lines = pipe.read().splitlines()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found += [line for line in lines if " " in line]
        last = int(lines[-1].split()[0]) if lines else numbers[0]
        if code != 0:
            found.append(f"{last} ends the process: {'no end' if code == -signal.SIGALRM else code}")
        numbers = [number for number in numbers if number > last]
    return found


@pytest.mark.parametrize("numbers", parts(COUNT), ids=str)
def test_damaged_images_are_pixels_or_one_clear_error_from_a_path_and_from_bytes_alike(numbers, tmp_path):
    def work(number):
        ((_, chance),) = chances([number], "image")
        name, content = damaged(chance)
        fault = fault_of(content, tmp_path / "image")
        return fault and f"{name}: {fault}"

    damaged(next(chances([0], "image"))[1])  # the whole images are made once, before the children
    faults = in_children(numbers, work)
    assert not faults, f"{len(faults)} of {len(numbers)}:\n" + "\n".join(faults)


def test_a_hang_and_a_crash_are_seen(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SECONDS", 1)

    def work(number):
        if number == 1:
            while True:
                pass
        if number == 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        return "wrong" if number == 4 else None

    assert in_children(range(6), work) == ["1 ends the process: no end", "3 ends the process: -11", "4 'wrong'"]
