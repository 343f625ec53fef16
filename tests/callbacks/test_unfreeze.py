import pytest

from headstart.callbacks.unfreeze import Unfreeze


@pytest.mark.parametrize(
    ("first_epoch", "every_epochs", "want"),
    [
        (0, 0, [4, 4, 4, 4, 4, 4, 4, 4]),  # all
        (None, 0, [0, 0, 0, 0, 0, 0, 0, 0]),  # never
        (None, 2, [0, 0, 0, 0, 0, 0, 0, 0]),
        (1, 2, [0, 1, 1, 2, 2, 3, 3, 4]),  # gradual
        (2, 1, [0, 0, 1, 2, 3, 4, 4, 4]),
        (3, 0, [0, 0, 0, 4, 4, 4, 4, 4]),  # the head first, then all at once
    ],
)
def test_stages_open_from_the_head_at_the_epochs_of_the_schedule(first_epoch, every_epochs, want):
    schedule = Unfreeze(first_epoch=first_epoch, every_epochs=every_epochs)
    assert [schedule.open_count(epoch, 4) for epoch in range(8)] == want
