"""The neighbours of an image are those with the largest cosine, without itself."""

import dataclasses

import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from explained import QUICK_FIRST, family, plain, subject, untouched
from headstart.explain.picture_protocol import ExplainedImages, UnfitError
from headstart.explain.pictures.nearest_neighbours import NearestNeighbours, nearest


def test_they_are_scikit_learns():
    chance = torch.Generator().manual_seed(0)
    among, query = torch.randn(40, 7, generator=chance), torch.randn(6, 7, generator=chance)
    found = nearest(query, among, k=4, itself=[None] * 6)
    distance, position = NearestNeighbors(n_neighbors=4, metric="cosine").fit(among.numpy()).kneighbors(query.numpy())
    assert found.position.tolist() == position.tolist()
    torch.testing.assert_close(found.cosine, 1 - torch.from_numpy(distance).float(), atol=1e-5, rtol=1e-5)


def test_the_length_of_features_does_not_count_and_the_image_itself_is_left_out():
    among = torch.tensor([[10.0, 0.0], [0.0, 1.0], [3.0, 3.0], [-1.0, 0.0]])
    found = nearest(among[:1] / 100, among, k=3, itself=[0])
    assert found.position.tolist() == [[2, 1, 3]]
    torch.testing.assert_close(found.cosine[0], torch.tensor([0.5**0.5, 0.0, -1.0]))
    assert nearest(among[:1], among, k=1, itself=[None]).position.tolist() == [[0]]


def test_the_caption_names_neighbours_and_their_classes_and_the_tiles_are_their_images():
    network = plain()
    given = subject(network, count=1, searched=6)
    copy = torch.cat([batch.image for batch in given.searched()])[4:5]
    given = dataclasses.replace(given, images=ExplainedImages(copy, ("other.png",)))
    with untouched(network), network.at_rest():
        (shown,) = NearestNeighbours(stage=None, k=2).drawn(given)
    assert shown.caption.startswith("other.png, by the features of stage2: 4.png (b), 1.000; ")
    tile = 112 + 10
    assert (shown.image[:, :112] == shown.image[:, tile : tile + 112]).all()  # the image and its copy
    assert (shown.image[:, :112] != shown.image[:, 2 * tile :]).any()


def test_without_another_image_there_is_no_neighbour():
    network = plain()
    with network.at_rest(), pytest.raises(UnfitError, match="there are none"):
        list(NearestNeighbours(stage=None, k=2).drawn(subject(network, count=1, searched=1)))


@pytest.mark.parametrize("name", QUICK_FIRST)
def test_every_family_has_them_at_every_batch_size(name):
    network = family(name)
    found = []
    for batch_size in (2, 5):
        given = subject(network, count=2, searched=5, batch_size=batch_size)
        with untouched(network), torch.inference_mode(), network.at_rest():
            found.append([one.caption for one in NearestNeighbours(stage=None, k=9).drawn(given)])
    own = [caption.partition(" (")[0] for caption in found[0]]
    assert own == ["0.png", "1.png"]
    names = [[part.split(" (")[0] for part in one.split(": ", 1)[1].split("; ")] for one in found[0]]
    assert [sorted(one) for one in names] == [sorted({f"{n}.png" for n in range(5)} - {name}) for name in own]
    assert [one.rpartition(", ")[0] for one in found[0]] == [one.rpartition(", ")[0] for one in found[1]]
