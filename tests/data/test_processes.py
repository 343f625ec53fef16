"""Another process makes the same data from the same seed."""

import subprocess
import sys

OTHER = """
from hashlib import sha256
from headstart.data.datasets.digits import Digits
from headstart.data.datasets.printed_characters import Printed
from headstart.types import Pixels
given = {"batch_size": 64, "num_workers": 0, "augment": None, "pixels": Pixels(32, 1, (0.3,), (0.35,)), "seed": 4}
given |= {"fraction": None, "classes": None, "box": None, "corruption": None, "severity": 3}
counts = {"per_class": 4, "val_per_class": 2, "test_per_class": 2, "fonts": None}
whole = {"val_shots": None, "fold": None, "folds": 5}
for data in (Digits(shots=5, **whole, **given), Printed(characters="letters", **counts, **given)):
    parts = [part.tobytes() for name in ("train", "val", "test") for part in data.splits[name]]
    print(sha256(b"".join(parts)).hexdigest())
"""


def test_the_same_seed_gives_the_same_bytes_in_another_process(digits, printed, digest):
    other = subprocess.run([sys.executable, "-c", OTHER], capture_output=True, text=True, check=True)
    here = [digest(data) for data in (digits(5, seed=4), printed(per_class=4, held_out=2, seed=4))]
    assert other.stdout.split() == here


def test_another_seed_gives_other_bytes(digits, printed, digest):
    assert digest(digits(5, seed=4)) != digest(digits(5, seed=5))
    assert digest(printed(per_class=4, held_out=2, seed=4)) != digest(printed(per_class=4, held_out=2, seed=5))
