"""What a process remembers of a file is what the file holds."""

import hashlib
import os

from headstart.system.files.file_identity import sha256


def test_the_hash_is_sha256sums(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert sha256(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_file_is_hashed_once_and_again_when_it_is_replaced_even_by_one_of_its_size_and_time(tmp_path, monkeypatch):
    hashed = []
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda stream, kind: hashed.append(1) or digest(stream, kind))
    file, other = tmp_path / "x", tmp_path / "y"
    file.write_bytes(b"abc")
    first = sha256(file)
    assert sha256(file) == first
    assert len(hashed) == 1
    other.write_bytes(b"abd")
    status = file.stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(file)
    assert sha256(file) == hashlib.sha256(b"abd").hexdigest() != first
