"""The explorer's file: layers packed into ``page.html`` with its style and script. The file asks no network for anything."""

from __future__ import annotations

import base64
import gzip
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from data.coastline import on_land
from data.command import write_file
from data.errors import InputError
from data.sphere import lon_lat
from evaluation.explorer.beside import Chlorophyll, add_chlorophyll, coarse_frame, flux_record, listed, since_1970
from evaluation.explorer.layers import STEPS, UNKNOWN, Layer, reach
from evaluation.explorer.sources import Source, flag_names, from_files, from_run, part_names
from evaluation.options import ExplorerConfig
from lagrangian.pdf import BOXES_KM, SHARES

HERE = Path(__file__).parent
MEGABYTE = 1e6


def main(config: ExplorerConfig) -> int:
    """Write explorer.html."""
    config.validate()
    if config.predictions:
        source = from_files(config.predictions)
    else:
        source = from_run(config.run, config.position, config.levels)
    if not any(layer.peak.any() for layer in source.layers):
        raise InputError("no catchment holds a particle: there is nothing to explore")
    record, chlorophyll = None, None
    if config.flux is not None:
        record, notes = flux_record(config.flux, config, source.frame.center, source.trap_depth)
        source.notes += notes
    if config.chlorophyll:
        chlorophyll, notes = add_chlorophyll(config.chlorophyll, source.layers, source.frame)
        source.notes += notes
    out = config.out or default_folder(config)
    content = page_within(source, record, chlorophyll, config.size_mb)
    path = out / "explorer.html"
    write_file(path, content)
    for note in source.notes:
        print(f"note: {note}", flush=True)
    n = sum(layer.dates.size for layer in source.layers)
    print(f"explorer: {path} ({n} maps, {len(content) / MEGABYTE:.1f} MB)", flush=True)
    return 0


def default_folder(config: ExplorerConfig) -> Path:
    """The default folder of the page: the run, or the folder of the first catchment file."""
    if not config.predictions:
        return config.run
    first = Path(config.predictions[0]).expanduser()
    return first if first.is_dir() else first.parent


def page_within(source: Source, record: dict | None, chlorophyll: Chlorophyll | None, size_mb: float) -> bytes:
    """The page; a page larger than ``size_mb`` shows every second (third, ...) date of the maps, with a note."""
    content = page(source, record, chlorophyll)
    step = int(np.ceil(len(content) / (size_mb * MEGABYTE)))
    if step > 1:
        source.layers = [layer.thinned(step) for layer in source.layers]
        if chlorophyll is not None:
            chlorophyll.days, chlorophyll.maps = chlorophyll.days[::step], chlorophyll.maps[::step]
        source.notes.append(
            f"one date in {step} is shown, so that the file is not larger than {size_mb:g} MB (--size-mb; or fewer --levels)"
        )
        content = page(source, record, chlorophyll)
    return content


def page(source: Source, record: dict | None = None, chlorophyll: Chlorophyll | None = None) -> bytes:
    """The page as bytes, the same for the same maps."""
    packed = base64.b64encode(pack(*described(source, record, chlorophyll))).decode()
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    text = environment.from_string((HERE / "page.html").read_text(encoding="utf-8")).render(
        source=source,
        depth=f"{source.trap_depth:g}" if np.isfinite(source.trap_depth) else "",
        first=min(_days(layer)[0] for layer in source.layers if not np.isnat(layer.dates).all()),
        last=max(_days(layer)[1] for layer in source.layers if not np.isnat(layer.dates).all()),
        version=importlib.metadata.version("catchment-toolkit"),
        flux=record is not None,
        chlorophyll=chlorophyll is not None,
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        script=(HERE / "page.js").read_text(encoding="utf-8"),
        packed=packed,
    )
    return text.encode()


def _days(layer: Layer) -> tuple[str, str]:
    return str(layer.dates.min())[:10], str(layer.dates.max())[:10]


def pack(about: dict, maps: list[np.ndarray]) -> bytes:
    """A gzip stream: the length of a JSON text (4 bytes, the least first), the text, and the bytes of the maps in order."""
    text = json.dumps(about, separators=(",", ":"), allow_nan=False).encode()
    raw = len(text).to_bytes(4, "little") + text + b"".join(np.ascontiguousarray(array).tobytes() for array in maps)
    return gzip.compress(raw, 9, mtime=0)


def described(source: Source, record: dict | None, chlorophyll: Chlorophyll | None) -> tuple[dict, list[np.ndarray]]:
    """The page's data as JSON, and the maps that follow the JSON, in order."""
    layers, frame = source.layers, source.frame
    small = coarse_frame(frame)
    half = float(small.x[-1] + small.spacing_km / 2)
    maps = [layer.maps for layer in layers]
    about: dict[str, Any] = {
        "shape": small.shape, "cell": small.spacing_km, "half": half, "reach": reach(layers, half), "steps": STEPS,
        "unknown": UNKNOWN, "shares": SHARES, "boxes": BOXES_KM, "dated": source.dated, "flags": list(flag_names()),
        "parts": part_names(), "site": source.site, "idealised": source.idealised,
        "centre": list(frame.center) if np.isfinite(frame.center).all() and not source.idealised else None,
        "layers": [told(layer) for layer in layers], "flux": record, "land": False, "chlorophyll": None,
    }  # fmt: skip
    if about["centre"]:
        east, north = np.meshgrid(frame.x, frame.y)
        land = on_land(*lon_lat(east, north, *frame.center))
        about["land"] = bool(land.any())
        if about["land"]:
            maps.append(land.astype(np.uint8))
            about["land"] = land.shape
    if chlorophyll is not None:
        about["chlorophyll"] = {"days": since_1970(chlorophyll.days), "low": chlorophyll.low, "high": chlorophyll.high}
        maps.append(chlorophyll.maps)
    return about, maps


def told(layer: Layer) -> dict:
    """A layer's data for the page's script; the layer's maps follow the JSON."""
    return {
        "model": layer.model, "speed": layer.speed, "level": layer.level, "dates": since_1970(layer.dates),
        "peak": listed(layer.peak), "contours": [listed(row) for row in layer.contours],
        "facts": {name: listed(values) for name, values in layer.facts.items()},
    }  # fmt: skip
