"""Ranks meet at a store that another process holds."""

import os
import subprocess
import sys

from headstart.compat.pytorch.torch_rendezvous import meeting_store

RANK = """
import torch, torch.distributed as dist
dist.init_process_group("gloo")
total = torch.tensor([dist.get_rank() + 1])
dist.all_reduce(total)
print(int(total))
dist.destroy_process_group()
"""


def test_two_ranks_meet_at_the_store_of_this_process():
    meeting = meeting_store()
    variables = {key: value for key, value in os.environ.items() if not key.startswith("TORCHELASTIC")}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK], stdout=subprocess.PIPE, text=True,
            env={**variables, **meeting.environment, "RANK": str(rank), "WORLD_SIZE": "2"},
        )
        for rank in range(2)
    ]  # fmt: skip
    assert [rank.communicate(timeout=120)[0].strip() for rank in ranks] == ["3", "3"]


def test_each_store_has_a_port_of_its_own():
    first, second = meeting_store(), meeting_store()
    assert first.environment["MASTER_PORT"] != second.environment["MASTER_PORT"]
