"""Cut the small satellite samples in satellite_sample/ from real files: DUACS around PAP-SO, GHRSST L4 in the Black Sea.

    python tests/data/make_satellite_samples.py ../shared/data

Credit: E.U. Copernicus Marine Service Information.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import netCDF4

CREDIT = "E.U. Copernicus Marine Service Information"
#: Source, variables, rows and columns of the source; the layout of the source is kept.
SAMPLES = {
    "ssh_pap_so.nc": ("ssh/nrt_global_*.nc", ("adt", "ugos", "vgos"), slice(531, 580), slice(1338, 1409)),
    "sst_black_sea.nc": ("sst/2016*.nc", ("analysed_sst", "mask"), slice(60, 130), slice(150, 240)),
}


def main():
    """Write the samples beside this script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder that holds ssh/ and sst/")
    folder = parser.parse_args().folder
    target = Path(__file__).parent / "satellite_sample"
    target.mkdir(exist_ok=True)
    for name, (pattern, variables, rows, columns) in SAMPLES.items():
        source = next(iter(sorted(folder.glob(pattern))))
        with netCDF4.Dataset(source) as old, netCDF4.Dataset(target / name, "w", format="NETCDF4_CLASSIC") as new:
            cut(old, new, variables, {"latitude": rows, "lat": rows, "longitude": columns, "lon": columns})
            new.setncatts({"title": old.title, "credit": CREDIT, "history": f"cut from {source.name}"})
        print(f"{target / name}: {(target / name).stat().st_size / 1024:.0f} KiB")


def cut(old, new, variables, windows):
    """Copy variables and their axes, as they are stored, cut to the windows."""
    axes = [name for name in ("time", "latitude", "longitude", "lat", "lon") if name in old.variables]
    old.set_auto_maskandscale(False)
    for name in axes:
        new.createDimension(name, len(range(old.dimensions[name].size)[windows.get(name, slice(None))]))
    for name in (*axes, *variables):
        source = old[name]
        fill = getattr(source, "_FillValue", None)
        variable = new.createVariable(
            name, source.dtype, source.dimensions, zlib=True, complevel=9, shuffle=True, fill_value=fill
        )
        variable.setncatts(
            {key: source.getncattr(key) for key in source.ncattrs() if key not in ("_FillValue", "comment", "source")}
        )
        variable.set_auto_maskandscale(False)
        variable[...] = source[tuple(windows.get(dim, slice(None)) for dim in source.dimensions)]


if __name__ == "__main__":
    main()
