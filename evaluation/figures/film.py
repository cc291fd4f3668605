"""A film of one experiment: its particles move backward in time from the trap to where they crossed the last level."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from data.errors import InputError, OptionError, cannot_write
from data.files import written_aside
from evaluation.figures.canvas import name_ocean
from evaluation.figures.catchments import deep_to_light, describe, open_experiment, reach_km
from evaluation.options import FRAMES
from lagrangian.chart import BOX_COLOUR, TRAP_STYLE

DPI = 85
#: Colours of the film, of the 256 that a GIF can have.
COLOURS = 128
SECOND = np.timedelta64(1, "s")


@dataclass(frozen=True, eq=False)
class Paths:
    """The known points of particles' paths: their release, then each level that they crossed.

    Attributes
    ----------
    latest : datetime64
        The last release, which time is counted back from.
    elapsed : (particle, point)
        Seconds before ``latest``, rising along a path; NaN where a level was not reached.
    position : (particle, point, 3)
        km east and north of the particle's release point, depth in m (positive down).
    """

    latest: np.datetime64
    elapsed: np.ndarray
    position: np.ndarray

    @classmethod
    def of(cls, one: xr.Dataset) -> Paths:
        """Make the paths of an experiment (:func:`evaluation.figures.catchments.open_experiment`)."""
        release = one["release_time"].values
        latest = release.max()
        times = np.concatenate([release[:, None], one["time"].values], axis=1)
        x, y = (one[name].values.astype(np.float64) for name in ("x", "y"))
        crossed = np.stack([x, y, np.broadcast_to(one["level"].values, x.shape)], axis=2)
        start = np.broadcast_to([0.0, 0.0, float(one.attrs["trap_depth_m"])], (x.shape[0], 1, 3))
        return cls(latest, (latest - times) / SECOND, np.concatenate([start, crossed], axis=1))

    @property
    def duration(self) -> float:
        """Seconds from the last release back to the first of all crossings."""
        return float(np.nanmax(self.elapsed))

    def at(self, elapsed: np.ndarray) -> np.ndarray:
        """Positions (time, particle, 3) at seconds before ``latest`` (time,), straight lines between known points.

        In the trap after a particle's release, at its crossing before it reached the last level; NaN where a particle that
        never did has passed its last known point.
        """
        out = np.empty((len(elapsed), *self.position.shape[::2]))
        for particle, (times, points) in enumerate(zip(self.elapsed, self.position, strict=True)):
            present = np.isfinite(times) & np.isfinite(points).all(axis=1)
            beyond = None if present[-1] else np.nan
            for axis in range(3):
                out[:, particle, axis] = np.interp(elapsed, times[present], points[present, axis], right=beyond)
        return out


class Scene:
    """The picture that a film is made of: particles from above and from the side, moved from one time to the next."""

    def __init__(self, one: xr.Dataset):
        self.paths = Paths.of(one)
        trap, half = float(one.attrs["trap_depth_m"]), reach_km(one)
        self.figure = Figure(figsize=(9.6, 4.7), dpi=DPI, layout="constrained")
        self.canvas = FigureCanvasAgg(self.figure)
        plan, side = self.figure.subplots(1, 2)
        style = {"s": 5, "linewidths": 0, "cmap": deep_to_light().reversed(), "vmin": 0, "vmax": trap, "zorder": 3}
        nowhere = np.full(self.paths.elapsed.shape[0], np.nan)
        self.above, self.beside = (axis.scatter(nowhere, nowhere, c=nowhere, **style) for axis in (plan, side))
        plan.plot(0, 0, **{**TRAP_STYLE, "color": BOX_COLOUR, "zorder": 2})
        side.plot(0, trap, **{**TRAP_STYLE, "color": BOX_COLOUR, "zorder": 2, "clip_on": False})
        plan.set(xlim=(-half, half), ylim=(-half, half), aspect="equal")
        plan.set(xlabel="km east of release", ylabel="km north of release")
        side.set(xlim=(0, self._farthest_km()), ylim=(1.04 * trap, 0))
        side.set(xlabel="distance from release, km", ylabel="depth, m")
        for axis in (plan, side):
            axis.grid(alpha=0.3)
        bar = self.figure.colorbar(self.above, ax=side, label="depth of the particle, m", shrink=0.9)
        bar.ax.invert_yaxis()
        self.figure.suptitle(describe(one), fontsize=10)
        name_ocean(self.figure, one.attrs.get("source"))
        self.date = plan.set_title(" ", fontsize=10)
        side.set_title("backward in time from the trap", fontsize=10)
        # the layout is found once: the picture must not shake
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")
        self._background = None

    def _farthest_km(self) -> float:
        """Upper end of the distance axis."""
        distance = np.hypot(self.paths.position[..., 0], self.paths.position[..., 1])
        return max(1.04 * float(np.nanmax(distance)), 1.0)

    def show(self, elapsed: float) -> None:
        """Move the particles to where they were ``elapsed`` seconds before the last release."""
        self.put(elapsed, self.paths.at(np.array([elapsed]))[0])

    def put(self, elapsed: float, position: np.ndarray) -> None:
        """Put the particles at positions (particle, 3), as :meth:`Paths.at` gives them for ``elapsed`` seconds."""
        x, y, depth = position.T
        self.above.set_offsets(np.stack([x, y], axis=1))
        self.beside.set_offsets(np.stack([np.hypot(x, y), depth], axis=1))
        for dots in (self.above, self.beside):
            dots.set_array(depth)
        date = self.paths.latest - np.timedelta64(round(elapsed), "s")
        self.date.set_text(str(date.astype("datetime64[m]")).replace("T", " "))

    def picture(self) -> Image.Image:
        """The scene as it stands; what does not move is drawn once."""
        moving = (self.above, self.beside, self.date)
        if self._background is None:
            for artist in moving:
                artist.set_animated(True)
            self.canvas.draw()
            self._background = self.canvas.copy_from_bbox(self.figure.bbox)
        self.canvas.restore_region(self._background)
        for artist in moving:
            artist.axes.draw_artist(artist)
        return Image.fromarray(np.array(self.canvas.buffer_rgba())[..., :3])


def animate_experiment(run: Path, w: float, experiment: int, path: Path, fps: float = 8, frames: int = FRAMES) -> None:
    """Write the film of one experiment as a GIF.

    Parameters
    ----------
    run : Path
        Folder of the run.
    w : float
        Sinking speed, m/d.
    experiment : int
        Number of the experiment.
    path : Path
        The GIF to write.
    fps : float
        Frames a second.
    frames : int
        Frames in all, evenly spaced in time from the last release back to the first crossing of all.

    Raises
    ------
    StoreError, InputError, OptionError
        No particles to show, no such experiment, the file cannot be written, or fewer than 2 frames.
    """
    if frames < 2 or not fps > 0:
        raise OptionError(f"a film of {frames} frames at {fps:g} a second: needs at least 2, and more than 0 a second")
    experiment_data = open_experiment(run, w, experiment)
    if not np.isfinite(experiment_data["x"].values).any():
        raise InputError(f"none of the particles of experiment {experiment} reached a level: there is nothing to show")
    scene, path = Scene(experiment_data), Path(path)
    pictures, elapsed = [], np.linspace(0, scene.paths.duration, frames)
    # a path is read once for all frames, not once a frame
    for moment, position in zip(elapsed, scene.paths.at(elapsed), strict=True):
        scene.put(moment, position)
        pictures.append(scene.picture())
    # the colours of one picture do for all: the particles' come by depth, and half way all depths are there
    palette = pictures[frames // 2].quantize(COLOURS)
    pictures = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    try:
        with written_aside(path, make_folder=False) as aside:
            pictures[0].save(aside, "GIF", save_all=True, append_images=pictures[1:], duration=round(1000 / fps), loop=0)
    except OSError as error:
        raise cannot_write(path, error) from None
