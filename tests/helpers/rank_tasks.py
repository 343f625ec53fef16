"""Tasks of ranks in place of training. Nothing here needs torch, or each rank would take seconds."""

import json
import os
import sys
import time
from pathlib import Path

from omegaconf import OmegaConf

from headstart.distributed.rank_launcher import run_ranks
from headstart.types import UserError


def rank():
    return int(os.environ["LOCAL_RANK"])


def says_where_it_is(*, cfg):
    """Writes what it sees to <folder>/seen<rank>.json."""
    print(f"rank {rank()} prints")
    names = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "OMP_NUM_THREADS", "SWEEP")
    seen = {name: os.environ.get(name) for name in names}
    seen |= {"cwd": str(Path.cwd()), "path": sys.path, "argv": sys.argv, "folder": cfg.run_dir, "seed": cfg.seed}
    Path(cfg.run_dir, f"seen{rank()}.json").write_text(json.dumps(seen))


def resolves(*, cfg, seen):
    """Writes its config, all interpolations resolved, to <folder>/resolved.json."""
    Path(cfg.run_dir, "resolved.json").write_text(json.dumps(OmegaConf.to_container(cfg, resolve=True), default=str))


def fails(*, cfg, kind, at):
    """Rank `at` fails in a way; the other waits, for something that does not come or in its sleep."""
    join(cfg)
    here(cfg)
    if rank() != at:
        wait(cfg.waiting)
    while not Path(cfg.run_dir, f"pid{1 - at}").exists():
        time.sleep(0.02)
    time.sleep(0.3)  # the other waits by now
    if kind == "user":
        raise UserError("expected rain, got sun; try tomorrow")
    if kind == "bug":
        raise RuntimeError("boom")
    if kind == "code":
        os._exit(3)
    time.sleep(60)  # until the test kills it


def stays(*, cfg):
    """One rank sleeps, the other waits for it."""
    join(cfg)
    here(cfg)
    wait(("sleep", "collective")[rank()])


def starts(*, cfg):
    """A job that starts its ranks."""
    if "LOCAL_RANK" in os.environ:
        stays(cfg=cfg)
    run_ranks(Path(cfg.run_dir), 2, changes={})


def here(cfg):
    Path(cfg.run_dir, f"pid{rank()}.partial").write_text(str(os.getpid()))
    Path(cfg.run_dir, f"pid{rank()}.partial").rename(Path(cfg.run_dir, f"pid{rank()}"))


def join(cfg):
    if cfg.get("waiting", "collective") == "collective":
        import torch.distributed as dist

        dist.init_process_group("gloo", rank=rank(), world_size=2)


def wait(how):
    if how == "sleep":
        time.sleep(60)
    import torch.distributed as dist

    dist.barrier()
