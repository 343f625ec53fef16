"""Files that were cut or changed where a run reads them again."""

import pytest

from disturbed import RUN, last_line
from killed import command
from same_run import assert_same, run_of

CHECKPOINTS = ("last.ckpt", "previous.ckpt", "best.ckpt")


def damage(path, chance):
    """Cut the file, change a byte or a part of it, or leave nothing of it."""
    content = bytearray(path.read_bytes())
    how = chance.choice(["cut", "byte", "byte", "part", "empty"])
    begin = chance.randrange(len(content))
    if how == "cut":
        del content[begin:]
    elif how == "byte":
        content[begin] ^= 1 << chance.randrange(8)
    elif how == "part":
        end = min(len(content), begin + chance.choice([16, 512, 4096]))
        content[begin:end] = bytes(end - begin)
    else:
        content.clear()
    path.write_bytes(content)


@pytest.mark.drawn(60)
def test_a_damaged_checkpoint_is_passed_over_or_refused_and_never_believed(whole, tmp_path, chance):
    assert command(tmp_path, *RUN, stop=None, after=(whole[1] * chance.uniform(0.6, 0.9), 9)) in (0, -9)
    folder = run_of(tmp_path)
    (folder / "result.json").unlink(missing_ok=True)
    there = [path for name in CHECKPOINTS if (path := folder / "checkpoints" / name).exists()]
    for path in chance.sample(there, k=min(len(there), chance.randint(1, 2))):
        damage(path, chance)
    code = command(tmp_path, *RUN, "resume=auto")
    if code == 0:
        assert_same(folder, run_of(whole[0]))
    else:
        assert code == 2
        assert "rerun=true" in last_line(tmp_path)
        assert command(tmp_path, *RUN, "rerun=true") == 0
        assert_same(folder, run_of(whole[0]))


@pytest.mark.drawn(40)
def test_a_damaged_result_or_config_ends_in_a_line_or_the_run_is_made_again(whole, finished, tmp_path, chance):
    damage(finished / chance.choice(["result.json", ".hydra/config.yaml", ".hydra/hydra.yaml"]), chance)
    code = command(tmp_path, *RUN, *chance.choice([[], ["resume=auto"]]))
    assert code in (0, 2), last_line(tmp_path)
    last_line(tmp_path)
    if code == 0:
        assert (finished / "metrics.csv").read_bytes() == (run_of(whole[0]) / "metrics.csv").read_bytes()
