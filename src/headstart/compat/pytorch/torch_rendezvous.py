"""The store at which the ranks of a job meet, held by the process that starts them.

Relies on: with `TORCHELASTIC_USE_AGENT_STORE=True`, which torchrun sets for its own ranks, every rank of
`init_process_group("env://")` joins the store at MASTER_ADDR:MASTER_PORT, and none opens it. torch does not document
the variable. A port that is looked for and closed again, for rank 0 to open it, can be taken in between.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch.distributed import TCPStore

HOST = "127.0.0.1"


@dataclass(frozen=True)
class MeetingStore:
    """An open store; it is closed with the last reference to it.

    Args:
        store: Of torch.
    """

    store: TCPStore

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which ranks of this machine find it."""
        port = str(self.store.port)
        return {"MASTER_ADDR": HOST, "MASTER_PORT": port, "TORCHELASTIC_USE_AGENT_STORE": "True"}


def meeting_store() -> MeetingStore:
    """A store on a port that is free and stays taken."""
    return MeetingStore(TCPStore(HOST, 0, is_master=True, wait_for_workers=False))
