"""What comes from the source is frozen, and all above it is trainable."""

import pytest

from headstart.unfreeze.schedules.only_new_stages import OnlyNewStages

PARTS = ("stage1", "stage2", "stage3", "head")


@pytest.mark.parametrize(
    ("kept", "opened", "title"),
    [
        (0, PARTS, "stage1 and above"),
        (1, PARTS[1:], "stage2 and above"),
        (3, ("head",), "head"),
        (None, ("head",), "head"),
        (9, ("head",), "head"),  # the weights say that there are not so many stages
    ],
)
def test_the_first_n_stages_are_closed_for_the_whole_run(kept, opened, title):
    (phase,) = OnlyNewStages(reused=kept).phases(PARTS)
    assert (phase.trainable, phase.title, phase.is_endless) == (opened, title, True)
