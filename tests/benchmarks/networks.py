"""Which network, how much data, how fast: the measurements behind ``--preset quick``.

    python -m lagrangian.run --years 3 --w 80 300 --positions domain --spacing 171 --out runs/twin0
    python -m tests.benchmarks.networks --run runs/twin0 rates
    python -m tests.benchmarks.networks --run runs/twin0 parts
    python -m tests.benchmarks.networks --run runs/twin0 compare --minutes 4
    python -m tests.benchmarks.networks --run runs/twin0 curve --sizes 500 1000 2000 4000

``rates``: samples per second of the loader alone and of each network's training, and the memory at 10 000 experiments.
``parts``: the CPU time of the parts of a training step of the quick network on one thread, and the rate of the network's
convolutions beside that of a plain product of matrices, which no arithmetic of this processor exceeds.
``compare``: the paper's network (whole, and with 16 channels) and the toolkit's for the same CPU time on the same data; the
toolkit's rate follows its cycle over that time. ``curve``: ``learning.fit`` with one member on part of the training set.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from data.command import read_json
from data.machine import keep_freed_memory
from lagrangian.binning import VALID_BL
from learning.config import PRESETS, FitConfig
from learning.fit import KEPT_BYTES
from learning.fit import main as fit
from learning.folders import found_speeds, models_folder
from learning.inputs import InputSpec
from learning.lightning_module import learning_rate
from learning.loss import HeatSmoothing, bhattacharyya_loss, raised_loss
from learning.network import Architecture, CatchmentNetwork, pdf_head
from learning.samples import RunSamples, Samples
from learning.split import gap_days, split_by_time
from learning.training import Batches, mean_pdfs

CANDIDATES = {
    "residual, 32 channels, folded 4 x 4 (quick)": PRESETS["quick"],
    "residual, 16 channels, folded 2 x 2": dataclasses.replace(
        PRESETS["quick"], architecture=Architecture("residual", width=16, levels=3, coarsen=2, kernel=3)
    ),
    "paper, 16 channels": dataclasses.replace(PRESETS["paper"], architecture=Architecture("paper", width=16)),
    "paper, 64 channels": PRESETS["paper"],
}


class Bench:
    """A run opened for training: samples, split, normalisation, climatology."""

    def __init__(self, run: Path, inputs: str):
        self.samples = RunSamples.open(run, found_speeds(run), InputSpec.of(inputs))
        gap = gap_days(self.samples.fields.spec.lags_days, self.samples.start, self.samples.end)
        self.split = split_by_time(self.samples.start, self.samples.end, self.samples.usable, gap, test=False)
        self.normalisation = self.samples.normalisation(self.split.train)
        self.train = Batches(Samples(self.samples, self.split.train, self.normalisation))
        self.validation = Samples(self.samples, self.split.validation, self.normalisation)
        self.climatology = mean_pdfs(self.samples, self.split.train)
        self.smoothing = HeatSmoothing()

    def network(self, preset) -> tuple[CatchmentNetwork, torch.optim.Optimizer]:
        torch.manual_seed(0)
        network = CatchmentNetwork(
            preset.architecture, self.samples.fields.spec, len(self.samples.speeds), len(self.samples.levels)
        )
        network.start_from(self.climatology)
        kind = torch.optim.AdamW if preset.weight_decay else torch.optim.Adam
        return network, kind(network.parameters(), lr=preset.lr, betas=preset.betas, weight_decay=preset.weight_decay)

    def step(self, network, optimiser, batch) -> None:
        optimiser.zero_grad()
        network.loss(*batch).backward()
        optimiser.step()

    @torch.no_grad()
    def validate(self, network) -> list[tuple[float, float]]:
        """(BL, valid %) at the last level for each speed."""
        network.eval()
        found = []
        for first in range(0, len(self.validation), 32):
            inputs, raw = self.validation.__getitems__(list(range(first, min(first + 32, len(self.validation)))))
            found.append(bhattacharyya_loss(self.smoothing(raw[:, :, -1]), pdf_head(network(inputs))[:, :, -1]))
        network.train()
        bl = torch.cat(found)
        return [(float(one.mean()), float(100 * (one < VALID_BL).float().mean())) for one in bl.T]


def rates(bench: Bench) -> None:
    """Samples per second of the loader and of the networks, and memory."""
    rng = np.random.default_rng(0)

    def batch():
        return bench.train.__getitems__(rng.integers(0, len(bench.train), 32).tolist())

    batch()
    started = time.perf_counter()
    for _ in range(15):
        one = batch()
    loader = 15 * 32 / (time.perf_counter() - started)
    print(f"loader alone: {loader:.0f} samples/s ({torch.get_num_threads()} threads for the networks)")
    for name, preset in CANDIDATES.items():
        network, optimiser = bench.network(preset)
        some = tuple(part[:8] for part in one) if preset.architecture.kind == "paper" else one
        bench.step(network, optimiser, some)
        started = time.perf_counter()
        repeats = 2 if preset.architecture.width == 64 else 4
        for _ in range(repeats):
            bench.step(network, optimiser, some)
        speed = repeats * len(some[0]) / (time.perf_counter() - started)
        n = sum(parameter.numel() for parameter in network.parameters())
        print(f"{name}: {n / 1e6:.2f} M weights, {speed:.1f} samples/s trained; the loader gives {loader / speed:.0f} x that")
    samples = bench.samples
    pdfs = sum(pdf.bins.nbytes + pdf.share.nbytes + pdf.first.nbytes for pdf in samples.pdfs) / len(samples)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"memory: fields {samples.fields.values.nbytes / 2**20:.0f} MiB in all, PDFs {pdfs / 1024:.0f} KiB an experiment "
        f"({pdfs * 1e4 / 2**30:.2f} GiB at 10 000); peak of this process {peak:.2f} GiB at {len(samples)} experiments"
    )


def parts(bench: Bench, repeats: int = 7) -> None:
    """CPU milliseconds of the parts of a step, least of some repeats, and thousand million operations a second."""
    torch.set_num_threads(1)
    keep_freed_memory(KEPT_BYTES)
    network, optimiser = bench.network(PRESETS["quick"])
    rows = list(range(PRESETS["quick"].batch))
    inputs, amplitude = bench.train.__getitems__(rows)
    body, size = network.body, inputs.shape[-2:]
    folded = body.folded(inputs)
    maps = body.out(body.features(folded)).detach().requires_grad_()
    prior = body.climatology
    raising = body._raising(maps.shape[-2:], size, prior)
    some = torch.randn(1024, 1024)

    def head() -> None:
        raised_loss(maps, *raising, prior, amplitude.flatten(1, 2)).backward()

    @torch.no_grad()
    def predicted() -> None:
        network.eval().features(folded)
        network.train()

    n = _operations(body, folded)
    for name, part, operations in (
        ("a product of matrices", lambda: some @ some, 2 * some.shape[0] ** 3),
        ("convolutions of a prediction", predicted, n),
        ("a step: convolutions", lambda: body.features(folded).sum().backward(), 3 * n),
        ("a step: logits and loss", head, 0),
        ("a step: inputs and amplitudes", lambda: bench.train.__getitems__(rows), 0),
        ("a step: inputs folded", lambda: body.folded(inputs), 0),
        ("a step: optimiser", optimiser.step, 0),
        ("a whole step", lambda: bench.step(network, optimiser, bench.train.__getitems__(rows)), 0),
    ):
        least = min(_cpu_seconds(part) for _ in range(repeats))
        rate = f"{operations / least / 1e9:8.0f} GFLOP/s" if operations else ""
        print(f"{name:34s}{1000 * least:8.1f} ms{rate}")


def _cpu_seconds(part) -> float:
    started = time.process_time()
    part()
    return time.process_time() - started


def _operations(body, folded: torch.Tensor) -> int:
    """Multiplications and additions of the convolutions between folded inputs and features."""
    counted = []

    def count(layer, given, made) -> None:
        area = layer.kernel_size[0] * layer.kernel_size[1]
        upward = isinstance(layer, torch.nn.ConvTranspose2d)
        counted.append(2 * area * (given[0].numel() * layer.out_channels if upward else made.numel() * layer.in_channels))

    layers = [layer for layer in body.modules() if isinstance(layer, (torch.nn.Conv2d, torch.nn.ConvTranspose2d))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    body.features(folded)
    for hook in hooks:
        hook.remove()
    return sum(counted)


def compare(bench: Bench, minutes: float) -> None:
    """The same CPU time for every network."""
    print(f"{minutes:g} CPU minutes each, {len(bench.train)} training experiments, validation at 200 m")
    for name, preset in CANDIDATES.items():
        network, optimiser = bench.network(preset)
        rng = np.random.default_rng(1)
        seen, order, spent = 0, np.empty(0, int), 0.0
        while spent < 60 * minutes:
            if order.size < preset.batch:
                order = rng.permutation(len(bench.train))
            rows, order = order[: preset.batch], order[preset.batch :]
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(preset, round(1000 * spent / (60 * minutes)), 1000)
            started = time.process_time()
            bench.step(network, optimiser, bench.train.__getitems__(rows.tolist()))
            spent += time.process_time() - started
            seen += rows.size
        found = ", ".join(
            f"w {w:g}: BL {bl:.3f}, valid {valid:.0f} %"
            for w, (bl, valid) in zip(bench.samples.speeds, bench.validate(network), strict=True)
        )
        print(f"{name}: {seen} samples; {found}", flush=True)


def curve(run: Path, inputs: str, sizes: list[int]) -> None:
    """Validation scores against the number of training experiments."""
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "run"
            copy.mkdir()
            for path in run.iterdir():
                if path.name.startswith("w"):
                    (copy / path.name).mkdir()
                    (copy / path.name / "pdf.zarr").symlink_to((path / "pdf.zarr").resolve())
                else:
                    (copy / path.name).symlink_to(path.resolve())
            config = FitConfig(run=copy, inputs=(inputs,), members=1, experiments=size, test_run=run / "another")
            fit(config)
            for path in sorted(copy.glob("w*")):
                models = models_folder(copy, float(path.name[1:]), inputs)
                rows = np.genfromtxt(models / "history.csv", delimiter=",", names=True)
                best = rows[np.argmin(rows["bl_200"])]
                n = read_json(models / "fit.json")["n"]["train"]
                print(
                    f"{n} experiments, {path.name}: BL {best['bl_200']:.3f}, valid {best['valid_percent_200']:.0f} %", flush=True
                )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("rates", "parts", "compare", "curve"))
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--inputs", default="sst-ssh")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--sizes", type=int, nargs="+", default=[500, 1000, 2000, 4000])
    options = parser.parse_args()
    if options.what == "curve":
        curve(options.run, options.inputs, options.sizes)
        return
    bench = Bench(options.run, options.inputs)
    if options.what in ("rates", "parts"):
        {"rates": rates, "parts": parts}[options.what](bench)
    else:
        compare(bench, options.minutes)


if __name__ == "__main__":
    main()
