"""Records of an offline run of W&B, by W&B's own messages; the file is a log of LevelDB's form behind 7 bytes."""

import json
import struct
from pathlib import Path

BLOCK, HEADER = 32768, 7  # bytes
FULL, FIRST, LAST = 1, 2, 4  # kinds of chunks


def records(folder: Path):
    """The records of the only offline run below a folder."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    content, at, whole = file.read_bytes(), HEADER, b""
    while at + HEADER <= len(content):
        if BLOCK - at % BLOCK < HEADER:  # the rest of a block is empty
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + HEADER])
        part = content[at + HEADER : at + HEADER + length]
        at += HEADER + length
        whole = part if kind in (FULL, FIRST) else whole + part
        if kind in (FULL, LAST):
            record = Record()
            record.ParseFromString(whole)
            yield record


def items(listed):
    """Key -> value of W&B's items."""
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in listed}
