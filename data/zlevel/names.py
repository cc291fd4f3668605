"""Names and grid points of the variables of each model: a model is a table."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Model:
    """Names and staggering of one family of files.

    Attributes
    ----------
    title : str
        As messages name it.
    stagger : str
        Where u and v stand: "centre" (A-grid), "right" (C-grid, face after the cell of the same index), "left" (the face before
        it), "corner" (B-grid, the corner after the cell along both axes).
    names : dict
        Names of each quantity (u, v, zeta, temp, w), in order of preference; after ``STANDARD_NAMES``.
    moves : bool
        Whether levels follow the free surface where files hold it.
    """

    title: str
    stagger: str
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    moves: bool = False


#: CF standard names of the quantities on an A-grid: velocities along meridians and parallels.
STANDARD_NAMES = {
    "u": ("eastward_sea_water_velocity", "surface_eastward_sea_water_velocity", "sea_water_x_velocity"),
    "v": ("northward_sea_water_velocity", "surface_northward_sea_water_velocity", "sea_water_y_velocity"),
    "zeta": (
        "sea_surface_height_above_geoid", "sea_surface_height_above_sea_level", "sea_surface_elevation", "sea_surface_height",
    ),
    "temp": ("sea_water_potential_temperature", "sea_water_temperature", "sea_water_conservative_temperature"),
    "w": ("upward_sea_water_velocity",),
}
LONLAT = Model(
    "longitude-latitude-depth",
    "centre",
    {
        "u": ("uo", "water_u", "u", "uvel", "U", "vozocrtx", "east_vel"),
        "v": ("vo", "water_v", "v", "vvel", "V", "vomecrty", "north_vel"),
        "zeta": ("zos", "surf_el", "ssh", "SSH", "adt", "eta", "sossheig", "zeta"),
        "temp": ("thetao", "water_temp", "temp", "temperature", "votemper", "theta"),
        "w": ("wo", "w", "vovecrtz"),
    },
)
NEMO = Model(
    "NEMO",
    "right",
    {
        "u": ("uo", "vozocrtx", "uoce", "un"),
        "v": ("vo", "vomecrty", "voce", "vn"),
        "zeta": ("zos", "sossheig", "ssh", "sshn"),
        "temp": ("thetao", "votemper", "toce", "tn", "to"),
        "w": ("wo", "vovecrtz", "woce", "wn"),
    },
    moves=True,
)
POP = Model(
    "POP",
    "corner",
    {"u": ("UVEL",), "v": ("VVEL",), "zeta": ("SSH",), "temp": ("TEMP",), "w": ("WVEL",)},
)
MITGCM = Model(
    "MITgcm",
    "left",
    {
        "u": ("UVEL", "U", "uVel"),
        "v": ("VVEL", "V", "vVel"),
        "zeta": ("ETAN", "Eta", "eta"),
        "temp": ("THETA", "Temp", "T"),
        "w": ("WVEL", "W", "wVel"),
    },
)
MOM6 = Model(
    "MOM6",
    "right",
    {"u": ("uo", "u"), "v": ("vo", "v"), "zeta": ("zos", "SSH", "ssh"), "temp": ("thetao", "temp"), "w": ("wo",)},
)
MODELS = {"lonlat": LONLAT, "nemo": NEMO, "pop": POP, "mitgcm": MITGCM, "mom6": MOM6}

#: Names of coordinates of a longitude-latitude-depth file, beside CF's standard_name, axis and units.
LONGITUDES = ("longitude", "lon", "nav_lon", "x")
LATITUDES = ("latitude", "lat", "nav_lat", "y")
DEPTHS = ("depth", "deptht", "depthu", "depthv", "depthw", "lev", "level", "z", "z_l", "st_ocean", "nav_lev", "olevel")
TIMES = ("time_centered", "time", "time_counter", "MT", "ocean_time")
#: Units of speed and length, and what multiplies them.
SPEEDS = {
    **dict.fromkeys(("m s-1", "m/s", "m.s-1", "ms-1", "meter/s", "m s^-1", "meter second-1", "metre second-1", "m/sec",
                     "meters/second", "meter/second", "meters second-1", "m s**-1", "m s{-1}", ""), 1.0),
    **dict.fromkeys(("cm s-1", "cm/s", "centimeter/s", "cm s^-1", "cm.s-1"), 0.01),
}  # fmt: skip
LENGTHS = {
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres", ""), 1.0),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetres"), 0.01),
    **dict.fromkeys(("km", "kilometer", "kilometers"), 1000.0),
}
