"""Inputs and targets against slow direct ways to the same numbers; splits that share nothing."""

from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError, StoreError
from data.frame import Frame, window_offsets
from lagrangian.binning import smooth_pdf
from lagrangian.stores import open_store
from learning.inputs import INPUT_SETS, InputSpec, Normalisation, fill_missing, to_resolution
from learning.samples import RegionalFields, RunSamples, Samples
from learning.split import Split, check_no_leak, gap_days, split_by_time
from learning.training import Checks
from tests.builders.made_up_run import write_run

RNG = np.random.default_rng(11)
DAY = np.timedelta64(86400, "s")


# -- what is not known -------------------------------------------------------------------------------------------------
def test_unknown_fields_are_told_or_refused(tmp_path):
    run = write_run(tmp_path / "run", periods=3, side=1, speeds=(80.0,))
    spec = InputSpec.of("sst-ssh")
    assert RegionalFields.read(run, spec).notes == []
    whole = xr.open_zarr(run / "fields.zarr", consolidated=False).load()

    def changed(select):
        fields = whole.copy(deep=True)
        select(fields["ssh"].values)
        fields.to_zarr(run / "fields.zarr", mode="w", consolidated=False)
        return RegionalFields.read(run, spec)

    nx = whole.sizes["x"]
    half = changed(lambda ssh: ssh[..., : nx // 2].fill(np.nan))
    assert half.unknown == pytest.approx(0.25)  # half of one of two variables
    assert len(half.notes) == 1 and "25 % of the fields" in half.notes[0]
    plain = Normalisation(np.zeros(2, np.float32), np.ones(2, np.float32))
    assert np.isfinite(half.window(np.array([0]), 0.0, 0.0, plain)).all()
    when = str(whole["time"].values[2])[:10]
    with pytest.raises(InputError, match=rf"ssh of {when} .*holds no value"):
        changed(lambda ssh: ssh[2].fill(np.nan))
    with pytest.raises(InputError, match=r"ssh holds no value.*other --inputs"):
        changed(lambda ssh: ssh.fill(np.nan))


# -- windows -----------------------------------------------------------------------------------------------------------
def keys(s):
    """Cubic convolution kernel with a = -1/2."""
    s = abs(s)
    if s < 1:
        return 1.5 * s**3 - 2.5 * s**2 + 1
    return -0.5 * s**3 + 2.5 * s**2 - 4 * s + 2 if s < 2 else 0.0


def sampled(field, frame, x, y):
    """One value of a lattice by cubic convolution, spelled out."""
    px, py = (x - frame.x[0]) / frame.spacing_km, (y - frame.y[0]) / frame.spacing_km
    total = 0.0
    for j in range(int(np.floor(py)) - 1, int(np.floor(py)) + 3):
        for i in range(int(np.floor(px)) - 1, int(np.floor(px)) + 3):
            weight = keys(py - j) * keys(px - i)
            if abs(weight) > 1e-12:
                total += weight * field[j, i]
    return total


@pytest.mark.parametrize("spacing", [8.0, 4.0, 2.0])
def test_a_window_is_what_direct_regridding_gives_at_random_traps(spacing):
    frame = Frame.around((0.0, 0.0), 480.0, spacing)
    values = RNG.standard_normal((3, 2, *frame.shape)).astype(np.float32)
    fields = RegionalFields(InputSpec.of("sst-ssh"), frame, np.empty(0, "datetime64[s]"), values)
    plain = Normalisation(np.zeros(2, np.float32), np.ones(2, np.float32))
    block = round(8.0 / spacing)
    inside = (np.arange(block) + 0.5) * spacing - 4.0
    for dx, dy in [*RNG.uniform(-60, 60, (4, 2)), (18.0, -54.0), (4.0, 4.0), (0.0, 0.0)]:
        window = fields.window(np.array([2, 0]), dx, dy, plain)
        assert window.shape == (4, 100, 100)
        for _ in range(6):
            j, i = RNG.integers(0, 100, 2)
            x, y = window_offsets()[i] + dx, window_offsets()[j] + dy
            for lag, time in enumerate((2, 0)):
                for variable in range(2):
                    direct = np.mean([sampled(values[time, variable], frame, x + a, y + b) for a in inside for b in inside])
                    assert window[2 * lag + variable, j, i] == pytest.approx(direct, abs=3e-6)


def test_inputs_are_the_fields_at_their_lags_normalised(run):
    spec = InputSpec.of("5v-1l")
    samples = RunSamples.open(run, (80.0,), spec)
    normalisation = samples.normalisation(np.arange(40))
    chosen = np.array([3, 57])
    inputs = samples.inputs(chosen, normalisation).numpy()
    store = xr.open_zarr(run / "fields.zarr", consolidated=False)
    for row, experiment in enumerate(chosen):
        for lag, days in enumerate(spec.lags_days):
            at = store.sel(time=samples.end[experiment] - days * DAY)
            for variable, (name, depth) in enumerate(spec.variables):
                field = at[name] if depth is None else at[name].sel(depth=depth)
                trap = dict(x=samples.offset[experiment, 0] + 4.0, y=samples.offset[experiment, 1] + 4.0)
                expected = (float(field.interp(**trap)) - normalisation.mean[variable]) / normalisation.std[variable]
                # smooth fields: linear and cubic agree to the curvature over one cell
                assert inputs[row, lag * 5 + variable, 50, 50] == pytest.approx(expected, abs=0.03)


@given(
    apart=st.lists(st.integers(1, 400), min_size=0, max_size=20), ends=st.lists(st.integers(-50, 5000), min_size=1, max_size=4),
    lags=st.lists(st.integers(0, 60), min_size=1, max_size=5, unique=True),
)  # fmt: skip
def test_the_field_of_a_lag_is_the_nearest_in_time_within_a_day_or_there_is_none(apart, ends, lags):
    """Hours between fields: dense, sparse and uneven ones."""
    hours = np.concatenate([[0], np.cumsum(apart)]).astype(int)
    first, hour = np.datetime64("2001-01-01", "s"), np.timedelta64(3600, "s")
    frame = Frame.around((0.0, 0.0), 8.0, 8.0)
    spec = InputSpec("sst-ssh", tuple(lags))
    fields = RegionalFields(spec, frame, first + hours * hour, np.zeros((hours.size, 2, *frame.shape), np.float32))
    found = fields.instants(first + np.array(ends) * hour)
    assert found.shape == (len(ends), len(lags))
    for (row, column), number in np.ndenumerate(found):
        distance = np.abs(hours - (ends[row] - 24 * lags[column]))
        assert number == -1 if distance.min() > 24 else distance[number] == distance.min()


def test_normalisation_is_of_the_training_fields_alone(run):
    samples = RunSamples.open(run, (80.0,), InputSpec.of("5v-4l"))
    early = np.flatnonzero(samples.period < 5)
    found = samples.normalisation(early)
    used = np.unique(samples.instants[early])
    assert used.max() < samples.fields.times.size - 10
    with xr.open_zarr(run / "fields.zarr", consolidated=False) as store:
        stored = [store[name].isel(time=used) for name, _ in samples.fields.spec.variables]
        depths = [depth for _, depth in samples.fields.spec.variables]
        values = [one if depth is None else one.sel(depth=depth) for one, depth in zip(stored, depths, strict=True)]
        for statistic, of in ((found.mean, np.mean), (found.std, np.std)):
            np.testing.assert_allclose(statistic, [of(one.values, dtype=np.float64) for one in values], rtol=1e-5, atol=1e-7)
    changed = samples.fields.values.copy()
    changed[used.max() + 1 :] = 1e6
    samples.fields.values = changed
    np.testing.assert_array_equal(samples.normalisation(early).mean, found.mean)


def test_the_spread_about_each_maps_mean_leaves_the_season_out():
    rng = np.random.default_rng(4)
    season = np.array([-5.0, 0.0, 5.0, 0.0])[:, None, None, None]
    found = Normalisation.of((season + 0.5 * rng.standard_normal((4, 2, 60, 60))).astype(np.float32))
    np.testing.assert_allclose(found.anomaly_std, 0.5, rtol=0.05)
    np.testing.assert_allclose(found.std, np.hypot(0.5, season.std()), rtol=0.05)


def test_missing_values_become_the_mean():
    normalise = Normalisation(np.array([2.0], np.float32), np.array([4.0], np.float32))
    field = np.array([[[6.0, np.nan]]], np.float32)
    np.testing.assert_array_equal(normalise(field), [[[1.0, 0.0]]])


def test_channels_of_the_input_sets():
    for name, n in (("sst-ssh", 10), ("5v-1l", 25), ("5v-4l", 85)):
        assert InputSpec.of(name).n_channels == n and len(INPUT_SETS[name]) * 5 == n


# -- effective resolution ----------------------------------------------------------------------------------------------
def wave(wavelength, spacing=8.0, n=122):
    x = np.arange(n) * spacing
    return np.cos(2 * np.pi * x / wavelength)[None, :] * np.ones((n, 1), np.float32)


@pytest.mark.parametrize("method", ["spline", "gaussian"])
def test_resolution_keeps_what_is_large_and_removes_what_is_small(method):
    inner = np.s_[20:-20, 20:-20]
    large, small = wave(500.0), wave(60.0)
    kept = to_resolution(large, 8.0, 80.0, method)[inner]
    assert np.corrcoef(kept.ravel(), large[inner].ravel())[0, 1] > 0.995
    gone = to_resolution(small, 8.0, 80.0, method)[inner]
    assert np.corrcoef(gone.ravel(), small[inner].ravel())[0, 1] ** 2 * gone.var() / small[inner].var() < 0.1
    np.testing.assert_array_equal(to_resolution(small, 8.0, 8.0, method), small.astype(np.float32))
    constant = to_resolution(np.full((2, 60, 70), 3.5), 8.0, 80.0, method)
    np.testing.assert_allclose(constant, 3.5, rtol=1e-5)


def test_the_gaussian_is_half_as_high_half_the_resolution_away_and_any_coarser_one_changes_a_point():
    point = np.zeros((61, 61))
    point[30, 30] = 1.0
    spread = to_resolution(point, 8.0, 64.0, "gaussian")[30]
    assert spread[[26, 34]] == pytest.approx(spread[30] / 2, rel=1e-3)
    for method in ("spline", "gaussian"):
        assert np.abs(to_resolution(point, 8.0, 12.0, method) - point).max() > 0.05


def test_the_spline_passes_through_its_samples():
    """At 40 km of an 8 km lattice of 121 points every fifth point is a sample."""
    field = RNG.standard_normal((121, 121)).astype(np.float32)
    coarse = to_resolution(field, 8.0, 40.0)
    np.testing.assert_allclose(coarse[::5, ::5], field[::5, ::5], atol=1e-4)
    assert abs(coarse - field).max() > 0.5


def test_missing_values_stay_missing_and_do_not_spread():
    field = wave(500.0)
    holed = field.copy()
    holed[40:44, 40:46] = np.nan
    out = to_resolution(holed, 8.0, 80.0)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(holed))
    assert np.nanmax(abs(out - to_resolution(field, 8.0, 80.0))) < 0.3
    assert (fill_missing(np.full((2, 3), np.nan)) == 0).all()


# -- targets -----------------------------------------------------------------------------------------------------------
def test_targets_are_the_counts_over_those_that_reached(run):
    samples = RunSamples.open(run, (300.0, 80.0), InputSpec.of("sst-ssh"))
    chosen = np.array([5, 100, 17])
    targets = samples.targets(chosen).numpy()
    assert targets.shape == (3, 2, 2, 100, 100)
    for number, w in enumerate((300, 80)):
        store = xr.open_zarr(run / f"w{w:03d}" / "pdf.zarr", consolidated=False)
        expected = store["counts"].values[chosen] / store["reached"].values[chosen][..., None, None]
        np.testing.assert_allclose(targets[:, number], expected, rtol=1e-6)
    np.testing.assert_allclose(targets.sum(axis=(-2, -1)), 1, rtol=1e-5)


def test_an_experiment_without_particles_at_a_level_of_a_speed_is_not_used(tmp_path):
    run = write_run(tmp_path / "run", periods=3)
    spec = InputSpec.of("sst-ssh")
    usable = RunSamples.open(run, (80.0, 300.0), spec).usable
    assert usable.all()
    for w, experiment, level in ((80, 2, 0), (300, 5, 1)):
        zarr.open_group(run / f"w{w:03d}" / "pdf.zarr", mode="r+")["reached"][experiment, level] = 0
    lost = lambda *speeds: np.flatnonzero(~RunSamples.open(run, speeds, spec).usable).tolist()
    assert lost(80.0) == [2] and lost(300.0) == [5] and lost(80.0, 300.0) == [2, 5]


def test_a_batch_equals_its_samples_one_by_one(run):
    samples = RunSamples.open(run, (80.0,), InputSpec.of("sst-ssh"))
    dataset = Samples(samples, np.array([8, 3, 50]), samples.normalisation(np.arange(60)))
    inputs, targets = dataset.__getitems__([2, 0])
    for row, index in enumerate((2, 0)):
        one, pdf = dataset[index]
        np.testing.assert_array_equal(inputs[row], one)
        np.testing.assert_array_equal(targets[row], pdf)


@pytest.mark.parametrize("level", [0, 1])
def test_a_batch_to_validate_with_has_the_roots_of_its_level(run, level):
    samples = RunSamples.open(run, (80.0, 300.0), InputSpec.of("sst-ssh"))
    experiments = np.array([8, 3, 50])
    plain = Samples(samples, experiments, samples.normalisation(np.arange(60)))
    inputs, amplitude, root = Checks(plain, level).__getitems__([2, 0])
    expected, raw = plain.__getitems__([2, 0])
    np.testing.assert_array_equal(inputs, expected)
    smoothed = smooth_pdf(raw.numpy().astype(np.float64))
    np.testing.assert_allclose(root, np.sqrt(smoothed[:, :, level]), atol=3e-5)
    np.testing.assert_allclose(amplitude, 0.8 * np.sqrt(smoothed) + 0.2 * np.sqrt(raw.numpy()), atol=3e-5)


# -- splits ------------------------------------------------------------------------------------------------------------
def record(periods=100, positions=4, every=10, length=10):
    start = np.datetime64("2001-01-01", "s") + np.repeat(np.arange(periods) * every, positions) * DAY
    return start, start + length * DAY, np.ones(start.size, bool)


@pytest.mark.parametrize("test", [True, False])
def test_parts_are_whole_periods_in_order_with_a_gap_between(test):
    start, end, usable = record()
    gap = gap_days((0, 10, 20, 30, 40), start, end)
    assert gap == 50
    split = split_by_time(start, end, usable, gap, test=test)
    parts = [one for one in (split.train, split.validation, split.test) if one.size]
    assert len(parts) == 2 + test and len(split.train) > 2 * len(split.validation)
    for one, other in pairwise(parts):
        assert (start[other].min() - end[one].max()) / DAY >= gap
        # no instant of the later inputs is within the earlier collection, even the earliest lag
        assert (end[other] - 40 * DAY).min() > end[one].max()
    for one in parts:
        for period in np.unique(start[one]):
            assert np.isin(np.flatnonzero(start == period), one).all()
    assert set(split.dates(start, end)) == {"train", "validation", *(["test"] if test else [])}


def test_a_planted_leak_is_caught():
    start, end, usable = record()
    split = split_by_time(start, end, usable, 50, test=True)
    late = np.append(split.train, split.validation[0] - 4)
    with pytest.raises(InputError, match="train and validation"):
        check_no_leak(Split(late, split.validation, split.test), start, end, 50)
    with pytest.raises(InputError, match="validation and test"):
        check_no_leak(Split(split.train, np.append(split.validation, split.test[:1]), split.test), start, end, 50)
    # a position of a training period moved to the test part
    with pytest.raises(InputError, match="train and test"):
        check_no_leak(Split(split.train, split.validation, np.append(split.test, split.train[5])), start, end, 50)


def test_too_short_a_record_is_refused_with_what_it_would_take():
    start, end, usable = record(periods=9)
    with pytest.raises(InputError, match=r"9 collection periods.*at least 13"):
        split_by_time(start, end, usable, 50, test=True)


# -- bad input ---------------------------------------------------------------------------------------------------------
def test_runs_that_cannot_be_learnt_from_are_refused(run, tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        RunSamples.open(run, (150.0,), InputSpec.of("sst-ssh"))
    cold = write_run(tmp_path / "cold", periods=8, temp=False)
    with pytest.raises(InputError, match="no variable temp"):
        RunSamples.open(cold, (80.0,), InputSpec.of("sst-ssh"))
    empty = write_run(tmp_path / "empty", periods=8, empty=True)
    with pytest.raises(InputError, match="all zero"):
        RunSamples.open(empty, (80.0,), InputSpec.of("sst-ssh"))
    with pytest.raises(InputError, match="too short"):
        RunSamples.open(run, (80.0,), InputSpec.of("sst-ssh", lags_days=(0, 900)))


def test_missing_values_become_the_mean_in_windows_on_and_off_the_lattice():
    frame = Frame.around((0.0, 0.0), 480.0, 8.0)
    values = np.ones((1, 2, *frame.shape), np.float32)
    values[0, 1, 60] = np.nan
    fields = RegionalFields(InputSpec.of("sst-ssh"), frame, np.empty(0, "datetime64[s]"), values)
    normalise = Normalisation(np.array([0.5, 0.0], np.float32), np.array([0.25, 1.0], np.float32))
    for dx, dy, lines in ((0.0, 0.0, 1), (3.0, 2.0, 4)):
        window = fields.window(np.array([0]), dx, dy, normalise)
        np.testing.assert_allclose(window[0], 2.0, rtol=1e-5)
        missing = (window[1] == 0).all(axis=1)
        assert missing.sum() == lines and np.allclose(window[1][~missing], 1, atol=1e-5)


def test_pdfs_are_put_in_at_their_bins_and_their_mean_is_that_of_all(tmp_path):
    """Against the store's own counts; the rows of one speed do not lie side by side in a batch of several."""
    run = write_run(tmp_path / "run", periods=3)
    for w in (80, 300):  # particles beyond the bins, of every experiment and level another number
        reached = zarr.open_group(run / f"w{w:03d}" / "pdf.zarr", mode="r+")["reached"]
        reached[:] = reached[:] + RNG.integers(0, 300, reached.shape).astype(np.uint32)
    samples = RunSamples.open(run, (80.0, 300.0), InputSpec.of("sst-ssh"))
    chosen = np.flatnonzero(samples.usable)[[5, 0, 3]]
    stores = [open_store(run / f"w{w:03d}" / "pdf.zarr", "pdf") for w in (80, 300)]
    counted = [store["counts"].values / np.maximum(store["reached"].values, 1)[..., None, None] for store in stores]
    targets = samples.targets(chosen).numpy()
    for number, pdf in enumerate(counted):
        np.testing.assert_allclose(targets[:, number], pdf[chosen], rtol=1e-6)
        np.testing.assert_allclose(samples.pdfs[number].mean(chosen), pdf[chosen].mean(axis=0), rtol=1e-6)
    assert (targets > 0).any(axis=(-2, -1)).all()
