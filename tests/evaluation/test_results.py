"""What a report's numbers are made of, against scipy's and the direct way to them."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from scipy.stats import pearsonr, spearmanr

from data.errors import InputError, StoreError
from evaluation import scores, sensitivity
from evaluation.experiments import BATCH, best_informed, climatologies, in_order
from evaluation.inputs import INSTANTS, input_values, parts_of_record
from evaluation.intervals import block_bootstrap, block_of
from evaluation.relations import relations, spread_relations
from evaluation.report import _again, _interval, _verdict
from evaluation.results import SHARES, Scored, SpeedRun, add_distances, metrics
from evaluation.sensitivity import RESOLUTIONS, SSH_KM, degraded, resolution_scores
from lagrangian.binning import smooth_pdf
from learning.folders import found_speeds, models_folder
from learning.inputs import InputSpec
from learning.samples import RegionalFields
from learning.simulation import PARTS


@pytest.fixture(scope="module")
def scored(predicted_run):
    return Scored.of(SpeedRun.open(predicted_run, 80.0))


# -- models and speeds -----------------------------------------------------------------------------------------------------


def test_models_come_in_the_order_of_what_they_know():
    names = ["sst-ssh", "climatology-root", "5v-4l", "other", "climatology", "box200", "5v-1l", "box100"]
    assert in_order(names) == ["box100", "box200", "climatology", "climatology-root", "sst-ssh", "5v-1l", "5v-4l", "other"]
    assert best_informed(names) == "5v-4l" and best_informed(["sst-ssh", "box200"]) == "sst-ssh"
    assert best_informed(["some", "other"]) == "some"


def test_the_best_informed_network_is_not_the_last_of_the_alphabet(tmp_path, predicted_run):
    run = shutil.copytree(predicted_run, tmp_path / "run")
    for name in ("5v-4l", "5v-1l"):
        shutil.copytree(run / "w080/predictions/sst-ssh.zarr", run / f"w080/predictions/{name}.zarr")
    one = Scored.of(SpeedRun.open(run, 80.0))
    assert one.models == ["box100", "box200", "climatology", "climatology-root", "sst-ssh", "5v-1l", "5v-4l"]
    assert one.best == "5v-4l"
    # where none of its predictions can be scored the next one is
    group = zarr.open_group(str(run / "w080/predictions/5v-4l.zarr"), mode="r+", use_consolidated=False)
    group["pdf"][:] = 2 * group["pdf"][:]
    assert Scored.of(SpeedRun.open(run, 80.0)).best == "5v-1l"


def test_what_one_of_the_models_has_learnt_from_is_no_test_of_another(tmp_path, predicted_run):
    """Two models of other splits: only what is of the same part for both counts, and scores of the test are over that alone."""
    run = shutil.copytree(predicted_run, tmp_path / "run")
    shutil.copytree(run / "w080/predictions/sst-ssh.zarr", run / "w080/predictions/5v-1l.zarr")
    before = SpeedRun.open(run, 80.0).split
    test, train = np.flatnonzero(before == "test"), np.flatnonzero(before == "train")
    assert test.size > 10 and train.size > 10
    group = zarr.open_group(str(run / "w080/predictions/5v-1l.zarr"), mode="r+", use_consolidated=False)
    part = group["part"][:]
    part[test[:4]] = PARTS.index("train")
    part[test[4]] = PARTS.index("validation")
    part[test[5]] = PARTS.index("between")
    part[train[:3]] = PARTS.index("test")
    group["part"][:] = part
    one = SpeedRun.open(run, 80.0)
    changed = [*test[:6], *train[:3]]
    assert (one.split[changed] == "").all()
    kept = np.setdiff1d(np.arange(before.size), changed)
    np.testing.assert_array_equal(one.split[kept], before[kept])
    rows = [row for row in Scored.of(one).entries if row["split"] == "test" and row["target"] == "smoothed"]
    assert {row["model"] for row in rows} >= {"sst-ssh", "5v-1l", "climatology"}
    assert {row["n"] for row in rows} == {test.size - 6}


def test_speeds_are_folders_of_a_speeds_own_name(tmp_path):
    for name in ("w300", "w080", "w080.5", "w300-old", "wnan", "winf", "w0300", "w80", "w1e2"):
        (tmp_path / name / "pdf.zarr").mkdir(parents=True)
    assert found_speeds(tmp_path) == (80.0, 80.5, 300.0)
    with pytest.raises(StoreError, match="no finished PDFs"):
        found_speeds(tmp_path / "w300-old")


def test_a_speed_that_learnt_velocities_alone_predicted_is_none_of_the_run(tmp_path):
    (tmp_path / "w080" / "pdf.zarr").mkdir(parents=True)
    for name in ("velocity-sst-ssh.zarr", "velocity-5v-1l.zarr.partial"):
        (tmp_path / "w120" / "predictions" / name).mkdir(parents=True)
    assert found_speeds(tmp_path) == (80.0,)
    (tmp_path / "w120" / "predictions" / "sst-ssh.zarr").mkdir()
    with pytest.raises(StoreError, match=r"w120/pdf.zarr does not exist, and .*w120/predictions/sst-ssh.zarr does"):
        found_speeds(tmp_path)


# -- scores ----------------------------------------------------------------------------------------------------------------


def test_the_seed_is_that_of_every_interval(scored):
    one, same, other = (metrics(scored.found, 80.0, seed) for seed in (0, 0, 1))
    assert one == same == scored.entries
    means = [name for name in one[0] if not name.endswith(("_low", "_high"))]
    for a, b in zip(one, other, strict=True):
        assert {name: a[name] for name in means} == {name: b[name] for name in means}
    assert any(a["bl_mean_low"] != b["bl_mean_low"] for a, b in zip(one, other, strict=True))
    quantity = {"a quantity": np.random.default_rng(0).standard_normal(90)}
    first, second = (relations(scored, quantity, seed=seed) for seed in (0, 1))
    assert any(a["pearson_low"] != b["pearson_low"] for a, b in zip(first, second, strict=True))


def test_a_network_is_compared_with_the_climatology_pair_by_pair(scored):
    entry = next(entry for entry in scored.reported if entry["model"] == "sst-ssh")
    difference = scored.of_model("bl", "sst-ssh") - scored.of_model("bl", "climatology")
    known = np.isfinite(difference)
    assert known.sum() == entry["n"] == 14
    assert entry["bl_less_climatology"] == pytest.approx(difference[known].mean())
    block = block_of(scored.found["collection_start"].values[known])
    for name, end in zip(("low", "high"), block_bootstrap(difference[known], block), strict=True):
        assert entry[f"bl_less_climatology_{name}"] == pytest.approx(float(end))
    assert "bl_less_climatology" not in scored.reported[0]


def test_the_baseline_of_a_network_is_the_best_of_those_without_an_input():
    bl = np.array([[0.6, 0.4, 0.5, 0.2], [0.8, 0.2, 0.3, 0.1], [0.7, np.nan, 0.5, np.nan]])
    names = ["box100", "climatology-root", "climatology", "sst-ssh"]
    both = (("experiment", "model", "target"), np.repeat(bl[:, :, None], 2, axis=2))
    start = np.array(["2001-01-01", "2001-01-11", "2001-06-01"], "M8[s]")
    found = xr.Dataset({"bl": both, "f": both, "split": ("experiment", ["test"] * 3), "collection_start": ("experiment", start)},
                       coords={"model": names, "target": ["raw", "smoothed"]})  # fmt: skip
    entries = {entry["model"]: entry for entry in metrics(found, 80.0) if entry["target"] == "smoothed"}
    assert entries["sst-ssh"]["baseline"] == "climatology-root" and "baseline" not in entries["box100"]
    assert entries["sst-ssh"]["bl_less_baseline"] == pytest.approx(-0.15)
    assert entries["sst-ssh"]["bl_less_climatology"] == pytest.approx(-0.25)
    assert entries["sst-ssh"]["n"] == 2 and entries["box100"]["valid_percent"] == 0


def test_other_distances_are_those_of_the_drawn_experiments(scored, monkeypatch):
    assert add_distances(scored, limit=5, seed=3) is None
    chosen = np.sort(np.random.default_rng(3).choice(np.flatnonzero(scored.chosen), 5, replace=False))
    store, guess = scored.speed.store, scored.speed.predictions["sst-ssh"]
    truth = np.stack([smooth_pdf(store["counts"][k, 1].values / float(store["reached"][k, 1])) for k in chosen])
    predicted = guess["pdf"].values[chosen, 1].astype(np.float64)
    found = {entry["model"]: entry for entry in scored.reported}
    for name, score in (
        ("emd_km_mean", scores.earth_movers_distance),
        ("hellinger_mean", scores.hellinger_distance),
        ("jensen_shannon_mean", scores.jensen_shannon_distance),
    ):
        assert found["sst-ssh"][name] == pytest.approx(score(truth, predicted).mean(), rel=1e-5)
        assert found["box100"][name] == pytest.approx(score(truth, scores.box_pdf(96.0)[None]).mean(), rel=1e-5)
    assert found["box200"]["distances_n"] == 5
    # without the library the others are there still
    again = Scored(scored.speed, scored.found, metrics(scored.found, 80.0), scored.split)
    monkeypatch.setitem(sys.modules, "ot", None)
    assert "pip install POT" in add_distances(again, limit=5, seed=3)
    entry = next(entry for entry in again.reported if entry["model"] == "sst-ssh")
    assert "emd_km_mean" not in entry and entry["hellinger_mean"] == found["sst-ssh"]["hellinger_mean"]


def test_calibration_is_of_each_experiment_and_nan_where_there_is_nothing_to_calibrate(predicted_run, tmp_path):
    run = shutil.copytree(predicted_run, tmp_path / "run")
    one = SpeedRun.open(run, 80.0)
    inside, test = one.calibration("sst-ssh", "test"), one.split == "test"
    assert inside.shape == (90, len(SHARES)) and 0 < test.sum() < 90 > BATCH
    assert np.isfinite(inside[test]).all() and np.isnan(inside[~test]).all()
    # by hand: the densest cells that hold more than a half of the prediction, and those without the last of them
    k = np.flatnonzero(test)[-1]
    truth, guess = one.store["counts"][k, 1].values.ravel(), one.predictions["sst-ssh"]["pdf"][k, 1].values.ravel()
    order = np.argsort(-guess, kind="stable")
    cells = np.searchsorted(np.cumsum(guess[order], dtype=float), 0.5 * guess.sum(dtype=float))
    within = [truth[order[:number]].sum() / truth.sum() for number in (cells, cells + 1)]
    assert within[0] - 1e-9 <= inside[k, SHARES.index(0.5)] <= within[1] + 1e-9
    group = zarr.open_group(str(run / "w080/predictions/sst-ssh.zarr"), mode="r+", use_consolidated=False)
    group["pdf"][:] = 2 * group["pdf"][:]
    assert np.isnan(SpeedRun.open(run, 80.0).calibration("sst-ssh", "test")).all()


# -- correlations ----------------------------------------------------------------------------------------------------------


def test_relations_are_scipys_correlations_over_the_reported_split_and_of_boxes_over_all(scored):
    values = np.random.default_rng(1).standard_normal(90)
    values[np.flatnonzero(scored.chosen)[2]] = np.nan
    entries = relations(scored, {"a quantity": values})
    assert [(entry["model"], entry["split"]) for entry in entries] == [
        *((name, "test") for name in ("box100", "box200", "climatology", "climatology-root", "sst-ssh")),
        ("box100", "every"), ("box200", "every"),
    ]  # fmt: skip
    for entry in entries:
        bl = scored.found["bl"].sel(model=entry["model"], target="smoothed").values
        used = np.isfinite(values) & (scored.chosen if entry["split"] == "test" else True)
        assert entry["n"] == used.sum() == (13 if entry["split"] == "test" else 89)
        assert entry["pearson"] == pytest.approx(pearsonr(values[used], bl[used]).statistic)
        assert entry["spearman"] == pytest.approx(spearmanr(values[used], bl[used]).statistic)
        assert entry["pearson_low"] <= entry["pearson"] <= entry["pearson_high"]


def test_the_spreads_correlation_knows_ties_and_says_nothing_of_one_member(scored):
    chosen = np.flatnonzero(scored.chosen)
    bl = scored.of_model("bl", "sst-ssh")

    def with_spread(values):
        spread = np.zeros(90)
        spread[chosen] = values
        return spread_relations(Scored(scored.speed, scored.found.assign({"spread_sst-ssh": ("experiment", spread)}),
                                       scored.entries, scored.split))[0]  # fmt: skip

    tied = np.repeat([0.1, 0.2], 7)
    entry = with_spread(tied)
    assert entry["spearman"] == pytest.approx(spearmanr(tied, bl[chosen]).statistic) and entry["n"] == 14
    # all equal, as of a single member
    entry = with_spread(np.zeros(14))
    assert entry["spearman"] is None and entry["spearman_low"] is None
    assert _interval(pd.DataFrame([entry]), "spearman", 1, 2) == ["–"]


def test_no_verdict_on_a_relation_whose_interval_holds_0_or_is_not_there(scored):
    def entry(quantity, r, low, high, **other):
        return {"w": 80.0, "model": "sst-ssh", "split": "test", "quantity": quantity, "n": 14, "pearson": r, "pearson_low": low,
                "pearson_high": high, **other}  # fmt: skip

    entries = [entry("a", 0.5, 0.2, 0.7), entry("b", -0.1, -0.3, 0.2), entry("c", 0.2, None, None), entry("d", None, None, None),
               entry("e", 0.9, 0.8, 1.0, model="box200"), entry("f", 0.9, 0.8, 1.0, split="every")]  # fmt: skip
    (line,) = _verdict(entries, scored)
    assert line == (
        "At 80 m/d BL of sst-ssh (14 experiments, split test) worsens with a (r = 0.50), shows no relation that could be told "
        "from none with b (r = -0.10, 0 within the interval), c (r = 0.20, no interval)."
    )
    # an interval that ends at 0 holds it
    for low, high in ((0.0, 0.4), (-0.4, 0.0), (-0.1, 0.1), (None, None)):
        (line,) = _verdict([entry("b", 0.01, low, high)], scored)
        assert "improves" not in line and "worsens" not in line and "no relation that could be told" in line
    (line,) = _verdict([entry("b", -0.3, -0.5, -0.1)], scored)
    assert "improves with b" in line and "no relation" not in line
    assert _verdict(entries[3:], scored) == []


def test_numbers_are_not_printed_below_zero_for_nothing():
    table = pd.DataFrame({"a": [-1e-9, None, 0.123], "a_low": [None, None, -1e-9], "a_high": [None, None, 0.5]})
    assert _interval(table, "a", 100, 1) == ["0.0", "–", "12.3 [0.0, 50.0]"]


def test_the_command_of_a_run_is_given_again_for_other_speeds():
    again = "python -m lagrangian.run --years 3 --out 'runs/a b' --w 100 200"
    assert _again("run.py --years 3 --w 80 150 300 --out 'runs/a b'", (100.0, 200.0)) == again
    assert _again("run.py --w=80 --years 3 --out 'runs/a b'", (100.0, 200.0)) == again
    assert _again("run.py", (80.5,)) == "python -m lagrangian.run --w 80.5"


# -- inputs ----------------------------------------------------------------------------------------------------------------


def test_parts_of_the_record_reach_from_the_first_lag_to_the_last_end(scored, predicted_run):
    parts = parts_of_record(scored.speed, "test")
    end = scored.speed.store["collection_end"].values
    train, test = (end[scored.speed.split == name] for name in ("train", "test"))
    day = np.timedelta64(1, "D")
    assert parts == {
        "training part of the record": (train.min() - 40 * day, train.max()),
        "test part of the record": (test.min() - 40 * day, test.max()),
    }
    assert parts_of_record(scored.speed, "all") == {}
    first, last = parts["test part of the record"]
    values = input_values(predicted_run, first, last)
    fields = xr.open_zarr(predicted_run / "fields.zarr", consolidated=False).sel(time=slice(first, last))
    assert fields.sizes["time"] <= INSTANTS
    assert set(values) == {"temp", "ssh", "u", "v", "vorticity_over_f"}
    np.testing.assert_array_equal(values["ssh"], fields["ssh"].values.ravel())
    np.testing.assert_array_equal(values["u"], fields["u"].sel(depth=0).values.ravel())
    smooth = input_values(predicted_run, first, last, {"ssh": 200.0})
    assert smooth["ssh"].std() < 0.97 * values["ssh"].std() and (smooth["temp"] == values["temp"]).all()
    assert all(one.size == 0 for one in input_values(predicted_run, last + 900 * day, last + 901 * day).values())


def test_degraded_fields_are_those_that_a_network_would_be_given(predicted_run):
    spec = InputSpec.of("sst-ssh")
    stored = RegionalFields.read(predicted_run, InputSpec("sst-ssh", spec.lags_days, {}, spec.method))
    np.testing.assert_array_equal(degraded(stored, spec).values, RegionalFields.read(predicted_run, spec).values)
    assert (stored.values != RegionalFields.read(predicted_run, spec).values).any()


def test_inputs_at_the_resolution_of_the_training_score_as_the_predictions_do(scored, predicted_run, monkeypatch):
    models, told, given = models_folder(predicted_run, 80.0, "sst-ssh"), [], []
    kept = sensitivity.degraded
    monkeypatch.setattr(sensitivity, "degraded", lambda fields, spec: given.append(spec.resolution_km) or kept(fields, spec))
    table = resolution_scores(
        scored.speed, models, "test", ssh_km=(80.0, 200.0), sst_km=(28.0,), limit=99, step=lambda: told.append(1)
    )
    assert table["variable"].tolist() == ["ssh", "ssh", "temp"] and table["resolution_km"].tolist() == [80, 200, 28]
    # one at a time, the other as in the training; the third row is of the same inputs as the first, which are not made twice
    assert given == [{"ssh": 80.0, "temp": 28.0}, {"ssh": 200.0, "temp": 28.0}]
    assert table.drop(columns=["variable", "resolution_km"]).iloc[0].equals(
        table.drop(columns=["variable", "resolution_km"]).iloc[2]
    )
    assert (table["n"] == 14).all() and len(told) == 3 and len(SSH_KM) < RESOLUTIONS
    entry = next(entry for entry in scored.reported if entry["model"] == "sst-ssh")
    for row in (0, 2):
        for name in ("bl_mean", "valid_percent", "bl_mean_low", "valid_percent_high"):
            assert table[name][row] == pytest.approx(entry[name], abs=1e-4)
    assert table["bl_mean"][1] != table["bl_mean"][0]
    assert (resolution_scores(scored.speed, models, ssh_km=(80.0,), sst_km=(), limit=6)["n"] == 6).all()
    with pytest.raises(InputError, match="no all experiment at 80 m/d"):
        resolution_scores(scored.speed, models, "all")


def test_climatologies_are_of_the_experiments_that_reached_the_level_and_sum_to_1_by_hand():
    """Particles beyond the bins count in each PDF, and not in what is predicted."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.05, (4, 2, 100, 100))
    counts[3] = 0
    reached = counts.sum(axis=(2, 3)) + np.array([50, 0, 400, 0])[:, None]
    store = xr.Dataset({"counts": (("experiment", "level", "y", "x"), counts), "reached": (("experiment", "level"), reached)})
    for chosen, rows in ((None, [0, 1, 2]), (np.array([True, False, True, True]), [0, 2])):
        found = climatologies(store, 1, chosen)
        pdfs = counts[rows, 1] / reached[rows, 1][:, None, None]
        mean = smooth_pdf(pdfs.mean(axis=0))
        root = np.sqrt(smooth_pdf(pdfs)).mean(axis=0) ** 2
        assert mean.sum() < 0.95
        np.testing.assert_allclose(found["climatology"], mean / mean.sum(), rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(found["climatology-root"], root / root.sum(), rtol=1e-9, atol=1e-15)
