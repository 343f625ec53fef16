"""A schedule without its head trains what it did, but for the head."""

import pytest

from headstart.types import UserError
from headstart.unfreeze.schedules.constant import Constant
from headstart.unfreeze.schedules.gradual import Gradual
from headstart.unfreeze.schedules.one_parameter_kind import OneParameterKind
from headstart.unfreeze.schedules.schedule_phases import Phase
from headstart.unfreeze.schedules.without_head import WithoutHead

PARTS = ("s1", "s2", "head")


class Everything:
    """A schedule that says `all`."""

    def phases(self, _):
        return (Phase(trainable=("all",)),)


def opened(schedule, *instead):
    return [phase.trainable for phase in WithoutHead(schedule=schedule, instead=instead).phases(PARTS)]


@pytest.mark.parametrize(
    ("schedule", "want"),
    [
        (Constant(), [("s1", "s2")]),
        (Everything(), [("s1", "s2")]),
        (OneParameterKind(kind="norms"), [("norms",)]),
        (Gradual(first_epoch=1, every_epochs=2), [("s2",), ("s1", "s2")]),
    ],
)
def test_all_is_open_but_the_head_and_what_opened_it_alone_is_left_out(schedule, want):
    assert [tuple(sorted(one)) for one in opened(schedule)] == want


def test_what_stands_in_the_heads_place_opens_when_it_would():
    found = [set(one) for one in opened(Gradual(first_epoch=1, every_epochs=2), "adaptation")]
    assert found == [{"adaptation"}, {"adaptation", "s2"}, {"adaptation", "s1", "s2"}]


def test_a_schedule_of_the_head_alone_is_an_error_that_says_what_to_try():
    with pytest.raises(UserError, match="nothing else would learn; try mode=fine_tuning"):
        opened(Constant(head_only=True))
