"""Pictures of two domains show their images before and after, and change nothing of the run."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from PIL import Image

import two_domains
from headstart.adaptation.adaptation import Side
from headstart.callbacks.domains.domain_predictions import DomainPredictions
from headstart.callbacks.domains.domain_scatter import IMAGES, PLANES, Cloud, DomainFigures, domains_figure
from headstart.data.datasets.paired_domains import Domains
from headstart.selection.score_inputs import Sides
from numbered import trainer

NAMES = ("ant", "bee", "cat")


def sides(source=8, target=5, width=4):
    torch.manual_seed(0)
    label, answers = torch.arange(source) % 3, torch.eye(3)[torch.arange(target) % 2]
    return Sides(
        None,
        Side(torch.randn(source, width), torch.zeros(source, 3), label),
        Side(torch.randn(target, width) + 3, answers, None),
    )


def test_colours_are_the_sources_labels_and_the_models_answers_markers_the_domains():
    both = sides()
    figure = domains_figure({"before": Cloud.of(both)}, PLANES["pca"], NAMES)
    (axes,) = figure.axes
    of_source, of_target = axes.collections
    few = both.few(IMAGES)
    colours = [to_rgba(f"C{index}") for index in range(3)]
    for drawn, classes in ((of_source, few[0].label), (of_target, few[1].logits.argmax(dim=1))):
        shown = drawn.get_edgecolor() if len(drawn.get_edgecolor()) == len(classes) else drawn.get_facecolor()
        np.testing.assert_allclose(shown[:, :3], [colours[index][:3] for index in classes.tolist()], atol=1e-6)
    assert not np.array_equal(of_source.get_paths()[0].vertices, of_target.get_paths()[0].vertices)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["source", "target", *NAMES]


def test_the_plane_of_pca_is_that_of_the_largest_variance_of_both_domains_together():
    both = sides(source=30, target=20)
    features = torch.cat([side.features for side in both.few(IMAGES)]).double().numpy()
    _, _, rows = np.linalg.svd(features - features.mean(0), full_matrices=False)
    want = (features - features.mean(0)) @ rows[:2].T
    np.testing.assert_allclose(np.abs(PLANES["pca"](Cloud.of(both).coordinates.numpy())), np.abs(want), atol=1e-4)


@pytest.mark.parametrize(
    ("spoil", "width"), [(lambda x: x.fill_(torch.nan), 4), (lambda x: x.zero_(), 4), (lambda x: x, 1)]
)
def test_what_has_no_plane_is_not_drawn(spoil, width):
    both = sides(width=width)
    for side in (both.source_val, both.target_val):
        spoil(side.features)
    assert Cloud.of(both) is None


def fit(folder, epochs, *watching, resume=None):
    folder.mkdir(exist_ok=True)
    module = two_domains.classifier("coral")
    data = Domains(source=two_domains.noise(0, 4), target=two_domains.noise(1, 4))
    run = trainer(folder, max_epochs=epochs, callbacks=[DomainPredictions(), *watching])
    run.fit(module, datamodule=data, ckpt_path=resume)
    return run, module


def test_a_resumed_run_draws_what_the_uninterrupted_one_does_and_its_weights_know_nothing_of_it(tmp_path):
    _, alone = fit(tmp_path / "alone", 3)
    one = DomainFigures(folder=tmp_path / "whole")
    one._clouds["before"] = Cloud.of(sides(source=2, target=4))  # as the validation before the first step leaves it
    run, whole = fit(tmp_path / "whole", 3, one)
    assert all(torch.equal(tensor, whole.state_dict()[name]) for name, tensor in alone.state_dict().items())

    first = DomainFigures(folder=tmp_path / "parts")
    first._clouds["before"] = Cloud.of(sides(source=2, target=4))
    run, _ = fit(tmp_path / "parts", 2, first)
    run.save_checkpoint(tmp_path / "kept.ckpt")
    fit(tmp_path / "parts", 3, DomainFigures(folder=tmp_path / "parts"), resume=tmp_path / "kept.ckpt")
    for name in ("domains-pca.png", "domains-tsne.png"):
        pictures = [np.asarray(Image.open(tmp_path / place / name)) for place in ("whole", "parts")]
        assert np.array_equal(*pictures)
        assert pictures[0].shape[1] > 2 * pictures[0].shape[0], "two panels side by side"
