"""Environment of all tests."""

import os
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test processes on two cores: threads would wait for each other
os.environ.setdefault("MPLBACKEND", "agg")
KEYS = TemporaryDirectory(prefix="headstart-tests-")  # of a key that signs the tests' runs, and is not the user's own
os.environ["XDG_CONFIG_HOME"] = KEYS.name
