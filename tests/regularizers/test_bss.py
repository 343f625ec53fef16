"""The term is the sum of the smallest squared singular values, and its gradient shrinks them alone."""

import numpy as np
import pytest
import torch

from composed import trained
from headstart.regularizers.bss import BSS, weakest
from headstart.types import Batch

NOTHING = {"stages": {}, "batch": Batch(torch.empty(0), torch.empty(0)), "outputs": {}}


def features(rows=6, columns=4, dtype=torch.float32):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
@pytest.mark.parametrize("k", [1, 3])
def test_it_is_numpys_smallest_eigenvalues_of_the_gram_matrix_times_the_weight(shape, k):
    cloud = features(*shape)
    small = cloud.numpy().astype(float) if shape[0] < shape[1] else cloud.numpy().T.astype(float)
    want = 0.3 * np.linalg.eigvalsh(small @ small.T)[:k].sum()
    assert BSS(weight=0.3, k=k)(features=cloud, **NOTHING).item() == pytest.approx(want, rel=1e-4)


def test_a_batch_whose_features_lie_in_a_plane_of_four_dimensions_has_two_that_cost_nothing():
    cloud = features(6, 2) @ features(2, 4)
    assert weakest(cloud, 2).item() == pytest.approx(0, abs=1e-8)
    assert weakest(cloud, 3).item() > 0.01


def test_more_values_than_a_batch_has_are_all_of_them_the_sum_of_squares():
    assert weakest(features(), 9).item() == pytest.approx(features().square().sum().item(), rel=1e-5)


def test_by_hand_the_gradient_shrinks_the_weakest_direction_and_leaves_the_others():
    cloud = torch.tensor([[3.0, 0.0], [0.0, 2.0]], requires_grad=True)
    weakest(cloud, 1).backward()
    torch.testing.assert_close(cloud.grad, torch.tensor([[0.0, 0.0], [0.0, 4.0]]))


def test_the_gradient_is_that_of_finite_differences():
    cloud = features().requires_grad_()
    weakest(cloud, 2).backward()
    base, step = cloud.detach().numpy().astype(float), 1e-5

    def value(matrix):
        return np.sort(np.linalg.svd(matrix, compute_uv=False) ** 2)[:2].sum()

    for place in np.ndindex(base.shape):
        shift = np.zeros_like(base)
        shift[place] = step
        want = (value(base + shift) - value(base - shift)) / (2 * step)
        assert cloud.grad[place].item() == pytest.approx(want, abs=1e-4)


def test_half_precision_features_are_measured_in_float32():
    assert weakest(features().bfloat16(), 1).dtype == torch.float32


@pytest.mark.slow
def test_a_run_with_a_weight_holds_the_weakest_features_down(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ends = {}
    for weight in (0.0, 1.0):
        folder = tmp_path / f"weight{weight}"
        trained("mode=scratch", "regularizer=bss", "regularizer.k=8", f"regularizer.weight={weight}", folder=folder)
        model = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        ends[weight] = {name: tensor for name, tensor in model.items() if name.startswith("backbone.stages.stage4")}
        assert "train/regularizer" in (folder / "metrics.csv").read_text().splitlines()[0]
    scale = "backbone.stages.stage4.1.weight"  # of the BatchNorm before the features
    assert ends[1.0][scale].norm() < ends[0.0][scale].norm()
