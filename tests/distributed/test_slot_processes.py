"""Processes of slots leave nothing behind."""

import subprocess
import sys
import textwrap

BARS = """
    from tqdm import tqdm

    from headstart.distributed.job_slots import job_slots
    from headstart.distributed.slot_processes import SlotCall, SlotProcesses


    class Silent:
        def began(self, number, slot): ...
        def ended(self, number, running, waiting): ...


    def call():
        return SlotCall(lambda: sum(tqdm(range(3), disable=False)), ())


    processes = SlotProcesses(job_slots(jobs=2, devices=[], devices_per_job=1, cores=2))
    print(processes.outcomes([call] * 3, Silent()))
    processes.end()
"""


def test_bars_in_slots_leave_no_semaphore_behind():
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BARS)], capture_output=True, text=True, check=True, timeout=120
    )
    assert ended.stdout.strip() == "[3, 3, 3]"
    assert "leaked" not in ended.stderr
