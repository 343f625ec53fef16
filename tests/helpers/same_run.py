"""Whether two folders hold the same run."""

import json

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def run_of(place):
    (run,) = [path.parent for path in place.glob("outputs/*/*/.hydra")]
    return run


def figures(folder):
    """result.json without what time and memory it took."""
    result = json.loads((folder / "result.json").read_text())
    for key in ("setup_s", "wall_s", "peak_memory_mib"):
        del result[key]
    result.pop("files", None)  # the digests of checkpoints, which hold times; the files are compared
    for point in result["evaluations"]:
        del point["wall_s"]
    for phase in result["phases"]:
        for key in [key for key in phase if key.endswith("_s") or key in ("wait_share", "peak_memory_mib")]:
            del phase[key]
    return result


def curves(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def assert_same(folder, want):
    for name in ("last.ckpt", "best.ckpt"):
        ran, other = (torch.load(run / "checkpoints" / name, weights_only=True) for run in (folder, want))
        assert ran["global_step"] == other["global_step"]
        assert ran["state_dict"].keys() == other["state_dict"].keys()
        for key, tensor in ran["state_dict"].items():
            assert torch.equal(tensor, other["state_dict"][key]), (name, key)
    assert (folder / "metrics.csv").read_bytes() == (want / "metrics.csv").read_bytes()
    assert figures(folder) == figures(want)
    for name in ("val.npz", "test.npz"):
        assert (folder / "answers" / name).read_bytes() == (want / "answers" / name).read_bytes()
    times = [point["wall_s"] for point in json.loads((folder / "result.json").read_text())["evaluations"]]
    assert times == sorted(times)
    ran, other = curves(folder), curves(want)
    assert ran == other
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
