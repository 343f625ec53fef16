"""How does a test let two processes train one model?"""

import os
import socket
import subprocess
import sys
from pathlib import Path


def run_both(script, *arguments, seconds):
    """Run a Python file as two ranks over gloo, as Lightning knows them; both must end with exit code 0."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, script, *map(str, arguments)],
            env=os.environ | shared | {"LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=Path(script).parent,
        )
        for rank in range(2)
    ]  # fmt: skip
    outputs = [process.communicate(timeout=seconds)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)[-4000:]
