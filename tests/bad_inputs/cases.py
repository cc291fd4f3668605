"""Bad inputs by the hundred: one wrong thing each in a right input, drawn up anew from the options and files of every command."""

from __future__ import annotations

import dataclasses
import json
import shutil
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import netCDF4
import numpy as np

from data.bounds import Bounds
from tests.bad_inputs.good import COMMANDS, SLOW, Command

Prepare = Callable[[Path, list[str]], list[str]]


@dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes
    ----------
    name : str
        Of the call, the place and the thing that is wrong there; no two are alike.
    command : Command
    prepare : callable
        Takes the folder of a copy of the right inputs and the right arguments; makes one thing wrong; returns the arguments.
    told : str, optional
        None: it must be refused. Else it may be done as well, with a pattern of what must be told ("" where nothing needs to be:
        the result is right, or nobody could know).
    """

    name: str
    command: Command
    prepare: Prepare
    told: str | None = None


def all_cases() -> list[Case]:
    """Every bad input, in one order."""
    cases = [*_options(), *_configs(), *_paths(), *_croco(), *_maps(), *_jsons(), *_stores(), *_models(), *_tables(), *_twins()]
    names = [case.name for case in cases]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
    return cases


# -- options -------------------------------------------------------------------------------------------------------------


def _with(option: str, *values: str) -> Prepare:
    return lambda place, arguments: [*arguments, option, *values]


def _options() -> Iterator[Case]:
    """Every number out of bounds and of another type, every choice and every name misspelt."""
    for call in (
        "run",
        "fit",
        "predict",
        "report",
        "diagnostics",
        "correlation",
        "satellite",
        "twin-experiment",
        "animation",
        "twin",
        "download",
    ):
        command = COMMANDS[call]
        kind = command.options()
        hints = typing.get_type_hints(kind, include_extras=True)
        for number, field in enumerate(dataclasses.fields(kind)):
            option, hint = f"--{field.name.replace('_', '-')}", hints[field.name]
            if field.name == "product":
                continue
            shared = field.name in ("workers", "scheduler", "cluster", "cluster_options") and call not in ("run",)
            limits = next((note for note in getattr(hint, "__metadata__", ()) if isinstance(note, Bounds)), None)
            text = str(hint)
            if limits is not None and not shared:
                for value in _beyond(limits, "int" in text and "float" not in text):
                    yield Case(f"{call}: {option} {value}", command, _with(option, value))
            if "Literal" in text and limits is None and not shared:
                yield Case(f"{call}: {option} of no such choice", command, _with(option, "perhaps"))
            if number % 2 == 0 and not shared:
                yield Case(f"{call}: {option} misspelt", command, _with(option[:-1] + "q" + option[-1], "1"))
    dates = ("NaT", "now", "2001-02-30", "2001-13-01", "yesterday", "99999-01-01", "0001-01-01", "1e5", "")
    for call, option in (
        ("run", "--start"),
        ("run", "--end"),
        ("run", "--time-origin"),
        ("predict-satellite", "--start"),
        ("predict-satellite", "--end"),
        ("correlation", "--start"),
        ("correlation", "--end"),
        ("satellite", "--date"),
        ("download", "--start"),
        ("download", "--end"),
    ):
        for value in dates:
            yield Case(f"{call}: {option} {value or 'empty'}", COMMANDS[call], _with(option, value))
    sites = ("nan,nan", "inf,49", "1,2,3", "somewhere", "-16.5", "-16.5;49", "-16.5,95", "400,49", "", "\x1b[31mred")
    for call in ("run", "predict-satellite", "download"):
        for value in sites:
            yield Case(f"{call}: --site {value!r}", COMMANDS[call], _with("--site", value))
    for call, words in (
        ("run", ("--levels", "500", "500")),
        ("run", ("--levels", "3500")),
        ("run", ("--levels", "-5")),
        ("run", ("--w", "400", "400")),
        ("run", ("--particles", "5")),
        ("run", ("--trap-depth", "100")),
        ("run", ("--diffusivity", "1", "2", "3")),
        ("run", ("--diffusivity", "5", "1", "2", "3")),
        ("run", ("--release-every", "1000")),
        ("run", ("--every", "36500", "--start", "x")),
        ("run", ("--collection", "36500", "--release-every", "0.01")),
        ("run", ("--positions", "1000", "--particles", "4096")),
        ("run", ("--positions", "domain")),
        ("run", ("--vertical-velocity", "file")),
        ("run", ("--cluster-options", "cores=2")),
        ("run", ("--scheduler", "nonsense://x")),
        ("run", ("--scheduler", "tcp://x:1", "--cluster", "slurm")),
        ("run", ("--w",)),
        ("run", ("--ocean",)),
        ("run", ("--levels",)),
        ("run", ("--ocean", "twin", "more.nc")),
        ("run", ("stray",)),
        ("run", ("--dt", "")),
        ("run", ("--collection", "100")),
        ("run", ("--trajectories", "0.01", "--positions", "200")),
        ("fit", ("--member", "2")),
        ("fit", ("--inputs", "5v-9l")),
        ("fit", ("--inputs",)),
        ("fit", ("--lags",)),
        ("fit", ("--device", "gpu")),
        ("fit", ("--device", "tpu")),
        ("fit", ("--w", "55")),
        ("fit", ("--lags", "0", "15", "30")),
        ("fit", ("--epochs", "100000", "--width", "1024", "--members", "1000")),
        ("fit", ("--width", "1024", "--epochs", "1000000", "--members", "1000")),
        ("fit", ("--lr", "1e30")),
        ("fit", ("--inputs", "sst-ssh", "sst-ssh")),
        ("fit", ("--lags", "0", "0")),
        ("fit", ("--w", "80", "80")),
        ("predict", ("--device", "gpu")),
        ("predict", ("--sst", "x.nc")),
        ("predict", ("--models", "/no/such")),
        ("predict-satellite", ("--start", "2010-05-01", "--end", "2010-01-01")),
        ("predict-satellite", ("--site", "100,-40")),
        ("report", ("--depth-range", "3000", "1000")),
        ("report", ("--depth-range", "1000")),
        ("report", ("--level", "350")),
        ("diagnostics", ("--depths", "1000", "0")),
        ("diagnostics", ("--depths",)),
        ("correlation", ("--lags", "0", "10")),
        ("correlation", ("--lags", "0", "10", "0")),
        ("correlation", ("--lags", "10", "0", "1")),
        ("correlation", ("--lags", "0", "3000", "0.001")),
        ("correlation", ("--variables", "iron")),
        ("correlation", ("--flux-depth", "100")),
        ("correlation", ("--start", "2010-04-01", "--end", "2010-03-01")),
        ("animation", ("--w", "55")),
        ("animation", ("--experiment", "100000")),
        ("twin", ("--years", "1000")),
        ("twin-experiment", ("--years", "0.1")),
        ("twin-experiment", ("--models", "/no/such")),
        ("download", ("--start", "2002-01-01")),
        ("download", ("--half-width", "5000")),
        ("download", ("--dataset", "")),
    ):
        told = (
            ""
            if words in (("--dataset", ""), ("--inputs", "sst-ssh", "sst-ssh"), ("--lags", "0", "0"), ("--trap-depth", "100"))
            else None
        )
        if words == ("--flux-depth", "100"):
            told = "3000|depth|m"
        yield Case(f"{call}: {' '.join(words)}", COMMANDS[call], _with(*words), told)
    yield Case("download: no such product", COMMANDS["download"], lambda place, arguments: ["salinity", *arguments[1:]])
    yield Case("download: no product", COMMANDS["download"], lambda place, arguments: arguments[1:])


def _beyond(limits: Bounds, whole: bool) -> Iterator[str]:
    """Words for values outside of bounds, and of other types."""
    yield from ("abc", "1.5" if whole else "1,5", "nan", "inf")
    yield str(2**63 if whole else 1e300)
    low = limits.least if limits.least is not None else limits.above
    if low is not None:
        yield str(int(low) - 1) if whole else f"{low - 0.5 * abs(low) - 1:g}"
    high = limits.most if limits.most is not None else limits.below
    if high is not None and high < 2**62:
        yield str(int(high) + 1) if whole else f"{high * 1.01 + 1:g}"


def _configs() -> Iterator[Case]:
    """TOML files."""
    bad = {
        "empty key": b"= 3\n",
        "binary": bytes(range(256)),
        "no TOML": b"seed: 3\n",
        "twice": b"seed = 1\nseed = 2\n",
        "unknown option": b"sead = 3\n",
        "a table": b"[seed]\nx = 1\n",
        "a truth": b"seed = true\n",
        "text": b'seed = "one"\n',
        "nan": b"years = nan\nevery = nan\nlr = nan\n",
        "nested": b"seed = " + b"[" * 5000 + b"]" * 5000 + b"\n",
        "a date": b"out = 2001-01-01\n",
        "too large": b"seed = 99999999999999999999999\n",
        "utf-16": "seed = 3".encode("utf-16"),
    }
    for call in ("run", "fit", "twin", "correlation"):
        for name, content in bad.items():
            if name == "a date" or (name == "nan" and call not in ("run", "fit")):
                continue

            def prepare(place, arguments, content=content):
                (place / "options.toml").write_bytes(content)
                return [*arguments, "--config", str(place / "options.toml")]

            yield Case(f"{call}: --config {name}", COMMANDS[call], prepare)
        yield Case(f"{call}: --config that is a folder", COMMANDS[call], lambda place, a: [*a, "--config", str(place)])
        yield Case(f"{call}: --config that is absent", COMMANDS[call], lambda place, a: [*a, "--config", str(place / "no.toml")])
        yield Case(f"{call}: --config without a name", COMMANDS[call], lambda place, a: [*a, "--config"])


# -- paths ---------------------------------------------------------------------------------------------------------------


def _replaced(option: str, value: str) -> Prepare:
    """The values of an option replaced by one; ``{}`` in it is the folder."""

    def prepare(place, arguments):
        begin = arguments.index(option)
        end = next((k for k in range(begin + 1, len(arguments)) if arguments[k].startswith("--")), len(arguments))
        return [*arguments[:begin], option, value.replace("{}", str(place)), *arguments[end:]]

    return prepare


def _paths() -> Iterator[Case]:
    """What is not there, is a folder, is a file, is of another kind."""
    files = (
        ("run", "--ocean"),
        ("predict-satellite", "--ssh"),
        ("predict-satellite", "--sst"),
        ("correlation", "--predictions"),
        ("correlation", "--chlorophyll"),
        ("correlation", "--flux"),
    )
    values = {
        "absent": "{}/absent.nc",
        "a folder": "{}",
        "no match": "{}/absent*.nc",
        "nothing": "",
        "a device": "/dev/null",
        "too long": "x" * 5000,
        "escapes": "{}/\x1b[2J.nc",
        "a NUL-like name": "{}/\udcff.nc",
        "empty": "{}/empty",
    }
    for call, option in files:
        for name, value in values.items():
            prepare = _replaced(option, value)

            def with_empty(place, arguments, prepare=prepare):
                (place / "empty").touch()
                return prepare(place, arguments)

            yield Case(f"{call}: {option} is {name}", COMMANDS[call], with_empty)
    folders = (
        ("fit", "--run"),
        ("predict", "--run"),
        ("report", "--run"),
        ("diagnostics", "--run"),
        ("satellite", "--predictions"),
        ("animation", "--run"),
        ("twin-experiment", "--models"),
    )
    for call, option in folders:
        for name, value in {"absent": "{}/absent", "a file": "{}/file", "empty": "{}/nothing", "too long": "x" * 5000}.items():

            def prepare(place, arguments, option=option, value=value):
                (place / "file").write_text("x")
                (place / "nothing").mkdir()
                return _replaced(option, value)(place, arguments)

            yield Case(f"{call}: {option} is {name}", COMMANDS[call], prepare)
    for call in ("run", "predict-satellite", "correlation", "twin", "download", "report", "satellite", "animation"):
        for name, value in {
            "a file": "{}/file",
            "under a file": "{}/file/x",
            "in /proc": "/proc/x",
            "too long": "x" * 5000,
        }.items():
            if call == "animation" and name == "a file":
                continue

            def prepare(place, arguments, value=value):
                (place / "file").write_text("x")
                others = arguments[: arguments.index("--out")] if "--out" in arguments else arguments
                return [*others, "--out", value.replace("{}", str(place))]

            yield Case(f"{call}: --out is {name}", COMMANDS[call], prepare)


# -- files of an ocean ---------------------------------------------------------------------------------------------------


def _changed(file: str, change: Callable[[netCDF4.Dataset], None]) -> Prepare:
    def prepare(place, arguments):
        with netCDF4.Dataset(place / file, "a") as dataset:
            change(dataset)
        return arguments

    return prepare


def _renamed(name: str) -> Callable:
    return lambda dataset: dataset.renameVariable(name, f"my_{name}")


def _set(name: str, index, value) -> Callable:
    def change(dataset):
        dataset[name][index] = value

    return change


def _attribute(name: str, attribute: str, value) -> Callable:
    def change(dataset):
        dataset[name].setncattr(attribute, value)

    return change


def _bytes(file: str, change: Callable[[bytes], bytes]) -> Prepare:
    def prepare(place, arguments):
        (place / file).write_bytes(change((place / file).read_bytes()))
        return arguments

    return prepare


def _spoilt(call: str, file: str) -> Iterator[Case]:
    """A file damaged as disks and copies damage them."""
    command = COMMANDS[call]
    for name, change in {
        "empty": lambda content: b"",
        "half": lambda content: content[: len(content) // 2],
        "short by 1": lambda content: content[:-1],
        "first 100 bytes": lambda content: content[:100],
        "zeros": lambda content: bytes(len(content)),
        "text": lambda content: b"not what it should be\n" * 10,
        "without its head": lambda content: content[16:],
    }.items():
        expected = "" if file.endswith(".csv") and name == "short by 1" else None  # the last line feed
        yield Case(f"{call}: {file} {name}", command, _bytes(file, change), expected)

    def turned(place, arguments):
        (place / file).unlink()
        (place / file).mkdir()
        return arguments

    def looped(place, arguments):
        (place / file).unlink()
        (place / file).symlink_to(place / file)
        return arguments

    yield Case(f"{call}: {file} is a folder", command, turned)
    yield Case(f"{call}: {file} is a link to itself", command, looped)


def _croco() -> Iterator[Case]:
    """History files."""
    command = COMMANDS["run"]
    yield from _spoilt("run", "his.nc")
    with netCDF4.Dataset(_sample()) as dataset:
        names = {name: variable.dimensions for name, variable in dataset.variables.items()}
        time = next(name for name, dims in names.items() if len(dims) == 1 and "time" in name)
    for name in ("u", "v", "zeta", "h", "pm", "pn", time):
        if name in names:
            expected = {"pm": "computed from the distances", "pn": "computed from the distances", time: "have no date"}.get(name)
            yield Case(f"run: his.nc without {name}", command, _changed("his.nc", _renamed(name)), expected)
            yield Case(f"run: {name} of text units", command, _changed("his.nc", _attribute(name, "scale_factor", "wide")))
            where = (0, 0) if len(names[name]) == 2 else 0
            if name in ("h", "pm", "pn"):
                for value in (np.nan, -1.0, 0.0, 1e30):
                    change = _changed("his.nc", _set(name, where, value))
                    yield Case(f"run: {name} holds {value}", command, change, expected if np.isnan(value) or value > 1 else None)
    for value in (np.nan, 1e30, -1e9):
        yield Case(f"run: {time} holds {value}", command, _changed("his.nc", _set(time, 1, value)))
    yield Case("run: units of time are text", command, _changed("his.nc", _attribute(time, "units", "moons since the flood")))
    yield Case(
        "run: calendar of time is none", command, _changed("his.nc", _attribute(time, "calendar", "mayan")), "have no date"
    )

    def backward(dataset):
        dataset[time][:] = dataset[time][:][::-1]

    def still(dataset):
        dataset[time][:] = dataset[time][0]

    yield Case("run: time goes backward", command, _changed("his.nc", backward), "")
    yield Case("run: time stands still", command, _changed("his.nc", still))
    for name in ("u", "v", "zeta"):
        yield Case(f"run: {name} is missing all over", command, _changed("his.nc", _set(name, ..., np.ma.masked)))


def _sample() -> Path:
    from tests.bad_inputs.good import SAMPLE

    return SAMPLE


def _maps() -> Iterator[Case]:
    """Satellite maps and catchment files."""
    for call, file, name in (
        ("predict-satellite", "ssh.nc", "adt"),
        ("predict-satellite", "sst.nc", "analysed_sst"),
        ("correlation", "chl.nc", "CHL"),
    ):
        command = COMMANDS[call]
        yield from _spoilt(call, file)
        for fault, change in {
            f"without {name}": _renamed(name),
            "without longitude": _renamed("longitude"),
            "without time": _renamed("time"),
            "of other units": _attribute(name, "units", "furlongs"),
            "of text scale_factor": _attribute(name, "scale_factor", "wide"),
            "of text valid_min": _attribute(name, "valid_min", "low"),
            "of text add_offset": _attribute(name, "add_offset", "x"),
            "of NaN longitude": _set("longitude", 3, np.nan),
            "of latitude 95": _set("latitude", -1, 95.0),
            "of longitudes out of order": _set("longitude", 3, 100.0),
            "of text units of time": _attribute("time", "units", "moons"),
            "of NaN all over": _set(name, ..., np.nan),
            "of values of 1e30": _set(name, ..., 1e30),
            "of scale_factor 0": _attribute(name, "scale_factor", 0.0),
            "of scale_factor NaN": _attribute(name, "scale_factor", np.nan),
        }.items():
            yield Case(f"{call}: {file} {fault}", command, _changed(file, change))
    file = "satellite/catchment_w080.nc"
    for call in ("correlation", "satellite"):
        yield from _spoilt(call, file)
        for fault, change in {
            "without pdf": _renamed("pdf"),
            "without lon": _renamed("lon"),
            "without time": _renamed("time"),
            "without speed": lambda dataset: dataset.delncattr("sinking_speed_m_per_day"),
            "of speed text": lambda dataset: dataset.setncattr("sinking_speed_m_per_day", "slow"),
            "of speed nan": lambda dataset: dataset.setncattr("sinking_speed_m_per_day", np.nan),
            "of NaN pdf": _set("pdf", ..., np.nan),
            "of negative pdf": _set("pdf", 0, -1.0),
        }.items():
            expected = "" if fault == "without lon" else None  # it is not used
            yield Case(f"{call}: {file} {fault}", COMMANDS[call], _changed(file, change), expected)
    yield from _spoilt("satellite", "satellite/satellite_inputs.nc")


# -- what commands write and read again -------------------------------------------------------------------------------------

JSONS = {
    "a list": b"[]",
    "a number": b"3",
    "text": b'"run"',
    "null": b"null",
    "empty": b"",
    "half": b'{"identity": {"opt',
    "binary": bytes(range(256)),
    "nested": b"[" * 200_000 + b"]" * 200_000,
    "nested objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a list inside": b'{"identity": [], "configuration": [], "files": 3, "sources": 3, "split": 3}',
    "text inside": b'{"identity": "x", "configuration": "x", "ocean": "x", "files": "x", "split": "x", "snapshots": "x"}',
}


def _jsons() -> Iterator[Case]:
    """JSON files of other types."""
    for call, file in (
        ("run-again", "swept/run.json"),
        ("fit", "bare/run.json"),
        ("predict", "run/run.json"),
        ("report", "run/run.json"),
        ("diagnostics", "swept/run.json"),
        ("report", "run/w080/models/sst-ssh/fit.json"),
        ("satellite", "run/run.json"),
        ("twin-experiment", "run/run.json"),
        ("animation", "run/run.json"),
    ):
        for name, content in JSONS.items():
            deep = call in ("animation", "predict", "satellite", "fit") or "fit.json" in file
            if call == "report" and "fit.json" in file and name not in ("a list", "empty", "nested"):
                continue
            if call == "twin-experiment" and name not in ("a list", "empty", "nested", "a list inside"):
                continue
            yield Case(
                f"{call}: {file} is {name}", COMMANDS[call], _bytes(file, lambda content, new=content: new), "" if deep else None
            )
    for name in ("a list", "nested", "empty"):
        content = JSONS[name]

        def prepare(place, arguments, content=content):
            (place / "new").mkdir()
            (place / "new" / "ssh_pap-so.json").write_bytes(content)
            return arguments

        yield Case(f"download: its record is {name}", COMMANDS["download"], prepare)


def _chunks(folder: Path, name: str) -> list[Path]:
    return sorted(path for path in (folder / name).rglob("*") if path.is_file() and path.name != "zarr.json")


def _stores() -> Iterator[Case]:
    """Zarr stores."""
    for call, store, array in (
        ("run-again", "swept/w400/pdf.zarr", "counts"),
        ("run-again", "swept/w400/particles.zarr", "x"),
        ("run-again", "swept/fields.zarr", "u"),
        ("fit", "bare/w080/pdf.zarr", "counts"),
        ("fit", "bare/fields.zarr", "ssh"),
        ("report", "run/w080/pdf.zarr", "counts"),
        ("report", "run/w080/predictions/sst-ssh.zarr", "pdf"),
        ("animation", "run/w080/particles.zarr", "x"),
        ("predict", "run/fields.zarr", "ssh"),
        ("diagnostics", "swept/w400/pdf.zarr", "counts"),
    ):
        command = COMMANDS[call]

        def emptied(place, arguments, store=store):
            shutil.rmtree(place / store)
            (place / store).mkdir()
            return arguments

        def filed(place, arguments, store=store):
            shutil.rmtree(place / store)
            (place / store).write_text("x")
            return arguments

        def head(content, store=store):
            def with_head(place, arguments):
                (place / store / "zarr.json").write_bytes(content)
                return arguments

            return with_head

        def lacking(place, arguments, store=store, array=array):
            shutil.rmtree(place / store / array)
            return arguments

        def chunk(change, store=store, array=array):
            def with_chunk(place, arguments):
                path = _chunks(place / store, array)[0]
                content = path.read_bytes()
                path.write_bytes(change(content))
                return arguments

            return with_chunk

        finished = {"predict": "there already", "diagnostics": "", "run-again": "and are made again"}.get(call)
        for fault, prepare in {
            "emptied": emptied,
            "is a file": filed,
            "of an empty head": head(b""),
            "of a list as head": head(b"[]"),
            "of a nested head": head(b"[" * 200_000),
            "of another format": head(b'{"zarr_format": 9, "node_type": "group"}'),
            f"without {array}": lacking,
            "with a chunk cut": chunk(lambda content: content[: len(content) // 2]),
            "with a chunk of zeros": chunk(lambda content: bytes(len(content))),
            "with an empty chunk": chunk(lambda content: b""),
        }.items():
            mended = "chunk" in fault or call == "diagnostics" or (call == "run-again" and prepare is not filed)
            yield Case(f"{call}: {store} {fault}", command, prepare, finished if mended else None)


def _models() -> Iterator[Case]:
    """Weights and their cards."""
    member = "run/w080/models/sst-ssh/member-01.safetensors"
    for call in ("predict-satellite",):
        for name, change in {
            "empty": lambda content: b"",
            "half": lambda content: content[: len(content) // 2],
            "zeros": lambda content: bytes(len(content)),
            "text": lambda content: b"x" * 1000,
            "of a length of 2^63": lambda content: (2**63 - 1).to_bytes(8, "little") + content[8:],
        }.items():
            yield Case(f"{call}: a member is {name}", COMMANDS[call], _bytes(member, change))

        def carded(change):
            def prepare(place, arguments):
                from learning.weights import load_tensors, save_tensors

                tensors, card = load_tensors(place / member)
                tensors, card = change(dict(tensors), dict(card))
                save_tensors(place / member, tensors, card)
                return arguments

            return prepare

        for name, value in {
            "format": "other",
            "inputs": [],
            "architecture": {},
            "levels": [],
            "normalisation": None,
            "levels ": None,
            "w": "slow",
            "trap_depth_m": "deep",
            "window": None,
            "site": 3,
            "collection_days": "ten",
        }.items():

            def change(tensors, card, name=name, value=value):
                card.update({name.strip(): value}) if name.strip() == name else card.pop(name.strip())
                return tensors, card

            expected = "" if name in ("window", "site") else None
            yield Case(f"{call}: a card whose {name} is {value!r}", COMMANDS[call], carded(change), expected)

        def without(tensors, card):
            tensors.pop(sorted(tensors)[0])
            return tensors, card

        yield Case(f"{call}: weights that lack one", COMMANDS[call], carded(without))


def _tables() -> Iterator[Case]:
    """Flux records."""
    command = COMMANDS["correlation"]
    yield from _spoilt("correlation", "flux.csv")
    for name, change in {
        "no rows": lambda text: text.splitlines()[0],
        "no head": lambda text: "\n".join(text.splitlines()[1:]),
        "text for a flux": lambda text: text.replace("5.3", "lots"),
        "an infinite flux": lambda text: text.replace("5.3", "inf"),
        "a negative flux": lambda text: text.replace("5.3", "-5.3"),
        "cups that close before they open": lambda text: text.replace("2010-02-25", "2011-02-25"),
        "an impossible date": lambda text: text.replace("2010-02-25", "2010-02-31"),
        "NaT": lambda text: text.replace("2010-02-25", "NaT"),
        "two columns of one name": lambda text: text.replace("poc,pic", "poc,poc"),
        "a year of 9999": lambda text: text.replace("2010", "9999"),
        "other columns": lambda text: text.replace("dry_weight,poc,pic", "a,b,c"),
        "a row too long": lambda text: text + "2010-05-01,2010-05-11,1,2,3,4,5\n",
        "semicolons and tabs": lambda text: text.replace(",", "\t;"),
        "a NUL": lambda text: text.replace("open", "op\0en"),
        "escapes": lambda text: text.replace("2010-02-25", "\x1b[2J2010"),
    }.items():

        def prepare(place, arguments, change=change):
            path = place / "flux.csv"
            path.write_text(change(path.read_text()))
            return arguments

        expected = {"semicolons and tabs": "", "a negative flux": "flux is negative"}.get(name)  # read as they are meant, or told
        yield Case(f"correlation: flux.csv with {name}", command, prepare, expected)


def _twins() -> Iterator[Case]:
    """The twin's cache and the folder that it is written to."""
    for call in ("twin", "twin-products"):
        for name, change in {
            "empty": lambda content: b"",
            "half": lambda content: content[: len(content) // 2],
            "text": lambda content: b"x" * 100,
            "zeros": lambda content: bytes(len(content)),
        }.items():

            def prepare(place, arguments, change=change):
                path = next((place / "cache").rglob("days-0000.npy"))
                path.write_bytes(change(path.read_bytes()))
                return arguments

            yield Case(f"{call}: its cache is {name}", COMMANDS[call], prepare, "damaged|again|anew")

    def longer(place, arguments):
        path = next((place / "cache").rglob("state-0001.npz"))
        path.write_bytes(b"x" * 100)
        return [*arguments, "--years", "0.1"]

    def foreign(place, arguments):
        (place / "new").mkdir()
        (place / "new" / "croco_his.0000.nc").write_bytes(b"x")
        return arguments

    def filed(place, arguments):
        shutil.rmtree(place / "cache")
        (place / "cache").write_text("x")
        return arguments

    yield Case("twin: its cached state is text", COMMANDS["twin"], longer)
    yield Case("twin: another file in its place", COMMANDS["twin"], foreign)
    yield Case("twin: its cache is a file", COMMANDS["twin"], filed)


def every(cases: list[Case], most: int) -> list[Case]:
    """At most so many cases, evenly drawn, none of the slow calls' or pictures'."""
    quick = [case for case in cases if not case.name.startswith(("report", "satellite", *SLOW))]
    return [quick[k] for k in np.unique(np.linspace(0, len(quick) - 1, most).round().astype(int))]


def described(case: Case) -> str:
    """A case as JSON has it."""
    return json.dumps({"name": case.name, "told": case.told})
