"""The trainable share as text: two significant digits, 100 % for the whole alone, large counts in words."""

import pytest

from headstart.unfreeze.trainable_share import TrainableShare


@pytest.mark.parametrize(
    ("learning", "of", "text"),
    [
        (0, 0, "100 % of 0"),  # a model without parameters trains all of them
        (1, 999_999, "0.0001 % of 999,999"),
        (5_130, 1_000_000, "0.51 % of 1.0 million"),
        (10_000, 1_000_000, "1.0 % of 1.0 million"),
        (999_999, 1_000_000, "99.9 % of 1.0 million"),
        (11_700_000, 11_700_000, "100 % of 11.7 million"),
        (500_000_000, 1_000_000_000, "50.0 % of 1.0 billion"),
        (600_000_000, 2_400_000_000, "25.0 % of 2.4 billion"),
    ],
)
def test_a_share_as_text(learning, of, text):
    assert str(TrainableShare(learning, of)) == f"learns {text} parameters"
