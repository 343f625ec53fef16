"""A stand-in for SLURM on this machine: sbatch, srun, sacct and scontrol, which run and requeue jobs at once.

It knows what submitit asks of SLURM: arrays, the variables of a job, states, and `%j`, `%A`, `%a` and `%t` in names
of files.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

COMMANDS = ("sbatch", "srun", "sacct", "scontrol")


def install(folder: Path) -> None:
    """Put the commands into a folder, which is first in PATH then, and where states, pids and marks lie."""
    folder.mkdir()
    for name in COMMANDS:
        program = folder / name
        program.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
            f"import slurm_stand_in\nslurm_stand_in.{name}({str(folder)!r}, sys.argv[1:])\n"
        )
        program.chmod(0o755)


def pid_of(folder: Path, job: str) -> int:
    """The process that srun has started for a job, 1_0 say."""
    return int((folder / f"pid-{job}").read_text())


def sbatch(folder: str, words: list[str]) -> None:
    script = words[-1]
    array = re.search(r"^#SBATCH --array=0-(\d+)", Path(script).read_text(), re.MULTILINE)
    number = len(list(Path(folder).glob("job-*"))) + 1
    (Path(folder) / f"job-{number}").touch()
    for task in range(int(array[1]) + 1) if array else [None]:
        code = f"import slurm_stand_in; slurm_stand_in.run({folder!r}, {script!r}, {number}, {task})"
        subprocess.Popen(
            [sys.executable, "-c", code],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        )
    print(f"Submitted batch job {number}")


def run(folder: str, script: str, number: int, task: int | None) -> None:
    """Run a job, and again where it was requeued meanwhile."""
    job = str(number) if task is None else f"{number}_{task}"
    env = {
        **os.environ,
        "SLURM_JOB_ID": str(number if task is None else 100 * number + task),
        "SLURM_NTASKS": "1",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_JOB_NAME": "headstart",
        "SLURM_JOB_NODELIST": "node1",
        "STAND_IN_JOB": job,
    }
    if task is not None:
        env |= {"SLURM_ARRAY_JOB_ID": str(number), "SLURM_ARRAY_TASK_ID": str(task)}
    text, restarts = Path(script).read_text(), 0  # SLURM keeps a copy
    mark, state = Path(folder) / f"requeue-{job}", Path(folder) / f"state-{job}"
    while True:
        state.write_text("RUNNING")
        done = subprocess.run(["bash", "-c", text], env={**env, "SLURM_RESTART_COUNT": str(restarts)}, check=False)
        if not mark.exists():
            break
        mark.unlink()
        restarts += 1
    state.write_text("COMPLETED" if done.returncode == 0 else "FAILED")


def srun(folder: str, words: list[str]) -> None:
    places = {}
    while words[0].startswith("--"):
        flag = words.pop(0)
        if flag in ("--output", "--error"):
            places[flag] = words.pop(0)
    job = os.environ["STAND_IN_JOB"]
    names = {
        "%A": os.environ.get("SLURM_ARRAY_JOB_ID", ""),
        "%a": os.environ.get("SLURM_ARRAY_TASK_ID", ""),
        "%j": job,
        "%t": "0",
    }
    for flag, number in (("--output", 1), ("--error", 2)):
        place = places.get(flag, "/dev/null")
        for sign, text in names.items():
            place = place.replace(sign, text)
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        os.dup2(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.environ.update(SLURM_PROCID="0", SLURM_LOCALID="0", SLURM_NODEID="0")
    (Path(folder) / f"pid-{job}").write_text(str(os.getpid()))
    os.execvp(words[0], words)


def sacct(folder: str, words: list[str]) -> None:
    asked = [words[at + 1] for at, word in enumerate(words) if word == "-j"]
    print("JobID|State|NodeList")
    for file in sorted(Path(folder).glob("state-*")):
        job = file.name.removeprefix("state-")
        if job.partition("_")[0] in asked:
            print(f"{job}|{file.read_text()}|node1")


def scontrol(folder: str, words: list[str]) -> None:
    assert words[0] == "requeue", words
    (Path(folder) / f"requeue-{words[1]}").touch()
