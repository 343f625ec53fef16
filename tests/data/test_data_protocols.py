"""headstart's data sets meet every contract; a data module without an ability gets what stands in for it."""

from types import SimpleNamespace

import pytest

from headstart.data import data_protocols as contracts
from numbered import numbered

ABILITIES = [
    contracts.NamedImages,
    contracts.ServedImages,
    contracts.MultiLabelImages,
    contracts.PairedImages,
    contracts.FewLabelledImages,
    contracts.ComparedImages,
]


@pytest.mark.parametrize("ability", ABILITIES)
def test_a_data_set_has_each_ability_and_a_bare_module_none(ability):
    assert isinstance(numbered(), ability)
    assert not isinstance(SimpleNamespace(sizes={}), ability)


def test_loaders_know_their_labels_and_the_sizes_of_their_batches():
    data = numbered()
    assert isinstance(data.plain_dataloader("train"), contracts.KnownLabels)
    assert isinstance(data.train_dataloader(), contracts.KnownBatchSizes)


def test_what_a_bare_module_does_not_say_has_a_substitute():
    bare = SimpleNamespace()
    assert contracts.image_names(bare, "val", 2) == ["val/0", "val/1"]
    assert not contracts.is_multi_label(bare)
    assert contracts.without_labels(bare) is bare
    assert not contracts.has_contents(SimpleNamespace(contents=None))
    assert contracts.has_contents(numbered())
