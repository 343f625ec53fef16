"""Intervals over seeds and images against independent computations."""

import math

import numpy as np
import pytest
from scipy import stats

from headstart.report.statistics.crossed_intervals import (
    Contributions,
    crossed_interval,
    crossed_parts,
    parts_over_seeds,
)
from headstart.report.statistics.jackknife import image_groups, pseudo_from, pseudo_values
from headstart.report.statistics.seed_intervals import t_interval


def crossed(values: np.ndarray) -> list[Contributions]:
    return [Contributions(np.arange(values.shape[1], dtype=np.uint64), row) for row in values]


def planted(rng, seeds: int, images: int, seed=0.1, image=0.3, residual=0.5) -> np.ndarray:
    return (
        seed * rng.standard_normal((seeds, 1))
        + image * rng.standard_normal((1, images))
        + residual * rng.standard_normal((seeds, images))
    )


def analysis_of_variance(d: np.ndarray) -> tuple[float, float, float]:
    """Vs, Vi, Vr of the two-way table, by the sums of squares of the textbook."""
    s, n = d.shape
    whole = d.mean()
    of_seeds, of_images = d.mean(1), d.mean(0)
    ms_seeds = n * sum((m - whole) ** 2 for m in of_seeds) / (s - 1)
    ms_images = s * sum((m - whole) ** 2 for m in of_images) / (n - 1)
    rest = sum((d[i, j] - of_seeds[i] - of_images[j] + whole) ** 2 for i in range(s) for j in range(n)) / (
        (s - 1) * (n - 1)
    )
    return ms_seeds / (s * n), ms_images / (s * n), rest / (s * n)


def test_full_overlap_is_the_analysis_of_variance_with_satterthwaite():
    rng = np.random.default_rng(0)
    checked = 0
    for seeds, images in ((3, 20), (5, 40), (10, 31)):
        for _ in range(5):
            d = planted(rng, seeds, images)
            vs, vi, vr = analysis_of_variance(d)
            if vs < vr or vi < vr:
                continue
            v = vs + vi - vr
            df = v**2 / (vs**2 / (seeds - 1) + vi**2 / (images - 1) + vr**2 / ((seeds - 1) * (images - 1)))
            df = min(df, (seeds - 1) ** 2)
            got = crossed_interval(crossed(d), resolution=0.0)
            assert got.error == pytest.approx(math.sqrt(v), rel=1e-9)
            assert got.df == pytest.approx(df, rel=1e-9)
            assert got.high == pytest.approx(d.mean() + stats.t.ppf(0.975, df) * math.sqrt(v), rel=1e-9)
            assert got.p == pytest.approx(2 * stats.t.sf(abs(d.mean()) / math.sqrt(v), df), rel=1e-6)
            checked += 1
    assert checked >= 8


def test_the_order_of_a_seeds_images_is_of_no_account():
    rng = np.random.default_rng(1)
    seeds = crossed(planted(rng, 4, 50))
    mixed = []
    for seed in seeds:
        order = rng.permutation(50)
        mixed.append(Contributions(seed.image[order], seed.value[order]))
    assert crossed_interval(mixed, resolution=0.0) == pytest.approx(crossed_interval(seeds, resolution=0.0), rel=1e-9)


def test_without_shared_images_it_is_the_t_interval_over_seeds():
    rng = np.random.default_rng(2)
    d = planted(rng, 5, 30)
    seeds = [Contributions(np.arange(30, dtype=np.uint64) + 30 * s, row) for s, row in enumerate(d)]
    assert crossed_interval(seeds, resolution=0.01) == t_interval(d.mean(1).tolist(), resolution=0.01)


def test_few_seeds_and_equal_answers():
    same = crossed(np.zeros((5, 100)))
    got, want = crossed_interval(same, resolution=0.01), t_interval([0.0] * 5, resolution=0.01)
    assert got == pytest.approx(want)
    assert not crossed_interval(same, resolution=0.0).known
    assert not crossed_interval(same[:1], resolution=0.01).known
    assert not crossed_interval([], resolution=0.01).known


def test_differences_that_vary_by_rounding_alone_have_no_interval():
    """Around 1e8, 1e-6 is below 1e-12 of the mean."""
    noise = 1e-6 * np.random.default_rng(13).standard_normal((4, 30))
    assert not crossed_interval(crossed(1e8 + noise), resolution=0.0).known
    assert crossed_interval(crossed(1 + noise), resolution=0.0).known


def test_an_image_part_below_zero_takes_nothing_away():
    rng = np.random.default_rng(3)
    for _ in range(50):
        d = planted(rng, 5, 60, image=0.0)
        got = crossed_interval(crossed(d), resolution=0.0)
        vs, vi, vr = analysis_of_variance(d)
        assert got.error**2 >= max(vs, vr) * (1 - 1e-9)
        assert got.error**2 >= (vs + vi - vr) * (1 - 1e-9)


def drawn_images(rng, seeds: int, images: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """(seeds, images) numbers, of which a share are the same for all seeds; and the common pool's size."""
    kept = int(share * images)
    own = images + np.arange(seeds * (images - kept)).reshape(seeds, -1)
    return np.concatenate([np.tile(np.arange(kept), (seeds, 1)), own], axis=1), np.arange(images + own.size)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_the_variance_is_right_at_any_overlap(share):
    """Mean of the estimated variances against the variance of the estimates, over 1,500 draws."""
    rng = np.random.default_rng(4)
    estimates, variances = [], []
    for _ in range(1500):
        which, pool = drawn_images(rng, 4, 60, share)
        image = rng.standard_normal(len(pool))
        d = 0.2 * rng.standard_normal((4, 1)) + image[which] + 0.5 * rng.standard_normal((4, 60))
        seeds = [Contributions(w.astype(np.uint64), row) for w, row in zip(which, d, strict=True)]
        got = crossed_interval(seeds, resolution=0.0)
        estimates.append(got.mean)
        variances.append(got.error**2)
    assert np.mean(variances) == pytest.approx(np.var(estimates), rel=0.12)


def test_components_are_those_that_were_planted():
    rng = np.random.default_rng(5)
    found = [crossed_parts(crossed(planted(rng, 8, 200))) for _ in range(60)]
    assert np.mean([p.image for p in found]) == pytest.approx(0.09, rel=0.05)
    assert np.mean([p.residual for p in found]) == pytest.approx(0.25, rel=0.02)
    assert np.mean([p.seed for p in found]) == pytest.approx(0.01, rel=0.2)
    assert {(p.shared, p.images, p.seeds) for p in found} == {(1.0, 200.0, 8)}


def test_the_image_part_of_two_seeds_is_their_covariance_over_the_images_of_both():
    rng = np.random.default_rng(12)
    first, second = rng.standard_normal(40), rng.standard_normal(40) + 3
    second[:25] += 2 * first[15:]  # images 15 .. 39 of the first are 0 .. 24 of the second
    first[:15] += 5  # what only one seed has moves its mean
    image = np.arange(65, dtype=np.uint64)
    got = crossed_parts([Contributions(image[:40], first), Contributions(image[15:55], second)])
    assert got.image == pytest.approx(np.cov(first[15:], second[:25])[0, 1])
    assert got.residual == pytest.approx(np.var(first[15:] - second[:25], ddof=1) / 2)
    assert got.shared == pytest.approx(25 / 40)


def test_components_give_the_variance_of_the_interval_back():
    rng = np.random.default_rng(6)
    d = planted(rng, 6, 80, seed=0.3, image=0.6)
    got = crossed_interval(crossed(d), resolution=0.0)
    assert crossed_parts(crossed(d)).variance(6) == pytest.approx(got.error**2, rel=1e-9)
    values = d.mean(1).tolist()
    assert parts_over_seeds(values).variance(6) == pytest.approx(t_interval(values, resolution=0.0).error ** 2)


def test_an_image_that_is_in_a_split_twice_is_one_image():
    rng = np.random.default_rng(7)
    d = planted(rng, 4, 40)
    once = crossed_interval(crossed(d), resolution=0.0)
    image = np.tile(np.arange(40, dtype=np.uint64), 2)
    twice = [Contributions(image, np.tile(row, 2)) for row in d]
    assert crossed_interval(twice, resolution=0.0) == pytest.approx(once, rel=1e-9)


def test_pseudo_values_of_a_mean_are_the_means_of_the_groups():
    rng = np.random.default_rng(8)
    value = rng.standard_normal(200)
    (group,) = image_groups([np.arange(200, dtype=np.uint64)], 20)
    got = pseudo_values(lambda keep: float(value[keep].mean()), group)
    assert got.value == pytest.approx([value[group == g].mean() for g in range(20)], rel=1e-9)
    assert got.mean == pytest.approx(value.mean())


def test_pseudo_values_give_the_standard_error_of_a_figure_that_is_no_mean():
    """The ratio of two sums, against 2,000 fresh samples."""
    rng = np.random.default_rng(9)

    def ratio(x, y):
        return x.sum() / y.sum()

    def sample():
        y = rng.gamma(4.0, size=400)
        return y * 0.7 + 0.3 * rng.standard_normal(400), y

    errors = []
    for _ in range(40):
        x, y = sample()
        (group,) = image_groups([np.arange(400, dtype=np.uint64)])
        values = pseudo_values(lambda keep, x=x, y=y: ratio(x[keep], y[keep]), group)
        assert values.mean == pytest.approx(ratio(x, y))
        errors.append(np.var(values.value, ddof=1) / len(values.value))
    assert np.mean(errors) == pytest.approx(np.var([ratio(*sample()) for _ in range(2000)]), rel=0.15)


def test_an_image_is_in_the_same_group_in_all_runs():
    rng = np.random.default_rng(10)
    pool = rng.integers(0, 2**63, 500).astype(np.uint64)
    runs = [rng.choice(pool, 300, replace=False) for _ in range(3)]
    groups = image_groups(runs, 40)
    seen: dict[int, int] = {}
    for images, group in zip(runs, groups, strict=True):
        for image, one in zip(images.tolist(), group.tolist(), strict=True):
            assert seen.setdefault(image, one) == one
    sizes = np.bincount(list(seen.values()))
    assert len(sizes) == 40
    assert sizes.max() - sizes.min() <= 1


def test_fewer_images_than_groups_are_a_group_each():
    (group,) = image_groups([np.array([9, 4, 7], dtype=np.uint64)], 40)
    assert sorted(group.tolist()) == [0, 1, 2]
    assert pseudo_from(2.0, np.array([1.0, 2.0, 3.0])).mean() == pytest.approx(2.0)


def test_fifty_thousand_images_take_less_than_two_seconds():
    import time

    rng = np.random.default_rng(11)
    image = rng.integers(0, 2**63, 50_000).astype(np.uint64)
    seeds = [
        Contributions(image[rng.permutation(50_000)[:40_000]], rng.integers(-1, 2, 40_000) * 1.0) for _ in range(10)
    ]
    begun = time.process_time()
    assert crossed_interval(seeds, resolution=1 / 40_000).known
    assert time.process_time() - begun < 2
