"""Loading of weights into a backbone, whole or in its first stages."""

import pytest
import torch

from headstart.backbones.weights.backbone_weights import Weights, load, weights_hash
from headstart.backbones.zoo.small_cnn import small_cnn
from headstart.types import UserError


def cnn(seed, keep=None, width=4):
    torch.manual_seed(seed)
    return small_cnn(width=width, size=16, channels=1, keep=keep)


def same(a, b, stage):
    return all(
        torch.equal(p, q)
        for p, q in zip(a.stages[stage].state_dict().values(), b.stages[stage].state_dict().values(), strict=True)
    )


@pytest.mark.parametrize(("reset_from", "kept"), [(None, 4), (4, 4), (2, 2), (0, 0)])
def test_reset_from_keeps_the_first_stages_of_the_source_and_leaves_the_rest_fresh(reset_from, kept):
    source, target, fresh = cnn(1), cnn(2), cnn(2)
    names = load(target, Weights(backbone=source.state_dict(), reset_from=reset_from))
    assert names == target.names[:kept]
    for place, stage in enumerate(target.names):
        assert same(target, source if place < kept else fresh, stage)


def test_a_backbone_cut_short_takes_the_stages_that_it_has():
    source, target = cnn(1), cnn(2, keep=2)
    load(target, Weights(backbone=source.state_dict()))
    assert same(target, source, "stage1")
    assert same(target, source, "stage2")


def test_no_weights_leave_everything_fresh():
    target, fresh = cnn(2), cnn(2)
    assert load(target, Weights()) == ()
    assert all(same(target, fresh, stage) for stage in fresh.names)


def test_weights_of_another_shape_are_an_error_that_names_the_stage():
    with pytest.raises(UserError, match="do not fit stage stage1"):
        load(cnn(2), Weights(backbone=cnn(1, width=8).state_dict()))


def test_missing_weights_are_an_error():
    state = {key: t for key, t in cnn(1).state_dict().items() if not key.startswith("stages.stage3.")}
    with pytest.raises(UserError, match="do not fit stage stage3"):
        load(cnn(2), Weights(backbone=state))


def test_reset_from_beyond_the_stages_is_an_error():
    with pytest.raises(UserError, match="0 to 4, got 5"):
        load(cnn(2), Weights(backbone=cnn(1).state_dict(), reset_from=5))


def test_the_hash_sees_one_changed_number_a_name_and_a_shape_but_not_the_layout_in_memory():
    state = {"w": torch.arange(24.0).reshape(1, 2, 3, 4), "n": torch.tensor(3)}
    known = weights_hash(state)
    assert weights_hash(dict(reversed(state.items()))) == known
    assert weights_hash(state | {"w": state["w"].to(memory_format=torch.channels_last)}) == known
    changed = state["w"].clone()
    changed[0, 1, 2, 3] += 1e-5
    assert weights_hash(state | {"w": changed}) != known
    assert weights_hash(state | {"w": state["w"].reshape(2, 1, 3, 4)}) != known
    assert weights_hash({"v": state["w"], "n": state["n"]}) != known
