"""What val_shots and folds must leave as it is, for any data set of files."""

import pytest

from headstart.types import UserError


def check_val_shots_and_folds(made):
    """made: settings -> the data set, with two val images of a class at least and no others held back."""
    whole, single, none = made(), made(val_shots=1), made(val_shots=0)
    classes = whole.num_classes
    assert single.sizes == whole.sizes | {"val": classes}
    assert none.sizes == whole.sizes | {"val": 0}
    assert set(single.names("val")) < set(whole.names("val"))
    assert sorted(none.names("train")) == sorted(whole.names("train"))
    vals = [name for fold in range(5) for name in made(fold=fold).names("val")]
    assert sorted(vals) == sorted([*whole.names("train"), *whole.names("val")])
    with pytest.raises(UserError, match="got fold=1 and val_shots=0"):
        _ = made(fold=1, val_shots=0).splits
