"""The twin's record: daily streamfunction and surface temperature, computed once, kept in the user's cache, resumable.

A record is a folder of segments of 30 days, each complete or absent with its checksum, and the model's state at the end of the
last. A run that is killed goes on from there to the same bytes; a record of which a file is damaged is computed anew.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import platformdirs

from data.errors import StoreError, cannot_write
from data.files import written_aside
from data.fingerprint import checksum
from data.lock import waiting_lock
from data.machine import need_disk
from data.twin.defaults import default_parameters
from data.twin.solver import Model, State

SPUN_UP = Path(__file__).resolve().parent / "spunup.npz"
SEGMENT_DAYS = 30
#: Days that another seed's ocean runs, on its own sea floor, before its record begins.
SEPARATION_DAYS = 300
#: Changes whenever the same seed would give another ocean.
VERSION = 2


def cache_folder() -> Path:
    """Where records are kept between runs."""
    return Path(platformdirs.user_cache_dir("catchment-toolkit")) / "twin"


def initial_state(model: Model, seed: int) -> State:
    """The shipped spun-up ocean; for another seed moved by a random distance, to be run on over its own sea floor."""
    with np.load(SPUN_UP) as file:
        psi = file["psi"].astype(np.float64) * file["psi_scale"][:, None, None]
        tracer = file["tracer"].astype(np.float64) * file["tracer_scale"]
    if seed:
        shift = np.random.default_rng([seed, 2]).integers(0, model.parameters.n, 2)
        psi, tracer = np.roll(psi, shift, (-2, -1)), np.roll(tracer, shift, (-2, -1))
    return model.from_streamfunction(psi, tracer)


class Record:
    """Daily fields of one twin ocean.

    Parameters
    ----------
    seed : int
        0 is the default ocean; another seed is an independent one.
    folder : Path, optional
        Where to keep it (default: the user's cache).
    """

    def __init__(self, seed: int = 0, folder: Path | None = None):
        self.seed = seed
        self.model = Model(default_parameters(seed))
        self.folder = (folder or cache_folder()) / f"v{VERSION}-seed{seed}"
        self._open: tuple[int, np.ndarray] | None = None

    def _segment(self, number: int) -> Path:
        return self.folder / f"days-{number:04d}.npy"

    def _checksum(self, number: int) -> Path:
        return self.folder / f"days-{number:04d}.sha256"

    def ensure(self, days: int, progress: Callable[[int, int], None] | None = None) -> None:
        """Compute the missing part of the first ``days`` days; the whole record, with a note, if a file of it is damaged.

        Raises
        ------
        StoreError
            The cache folder cannot be written.
        """
        needed = -(-days // SEGMENT_DAYS)
        if self._segments(needed) == needed and self._damaged(needed) is None:
            return

        bytes_each = 4.0 * SEGMENT_DAYS * (self.model.parameters.layers + 1) * self.model.parameters.n**2
        need_disk(self.folder, (needed - self._segments(needed)) * bytes_each, f"{days} days of the twin ocean",
                  "give fewer --years, or free space")  # fmt: skip

        def show(days_done: int) -> None:
            if progress:
                progress(days_done, days)

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # commands begun side by side need the same record: the first command computes it, the others wait
            with waiting_lock(self.folder, "record", meanwhile=lambda: show(self._segments(needed) * SEGMENT_DAYS)):
                damaged = self._damaged(self._segments(needed))
                if damaged is not None:
                    self._clear(damaged)
                have = self._segments(needed)
                if have == needed:
                    return
                state = self._resume(have)
                for number in range(self._segments(needed), needed):
                    self._compute(number, state, lambda day, n=number: show(n * SEGMENT_DAYS + day))
        except OSError as error:
            raise cannot_write(self.folder, error, "free space for the twin ocean, and give the same command again") from None

    def _segments(self, most: int) -> int:
        """Segments that are there without a gap, ``most`` at the most."""
        return next((number for number in range(most) if not self._segment(number).exists()), most)

    def _resume(self, segment: int) -> State:
        path = self.folder / f"state-{segment:04d}.npz"
        if segment:
            try:
                return self._load_state(path)
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
                self._clear(path)  # the state is lost: what lies there cannot be gone on with
        state = initial_state(self.model, self.seed)
        if self.seed:
            for _ in range(self.steps_per_day * SEPARATION_DAYS):
                self.model.step(state)
        return state

    def _load_state(self, path: Path) -> State:
        """The model's state in a file (a zip archive, which has a checksum of its own)."""
        with np.load(path) as file:
            past = [(file["past_q"][k], file["past_tracer"][k]) for k in range(file["past_q"].shape[0])]
            state = State(file["q"].copy(), file["tracer"].copy(), past, int(file["steps"]))
        if not (np.isfinite(state.q).all() and np.isfinite(state.tracer).all()):
            raise ValueError(f"{path} holds NaN")
        return state

    def _damaged(self, segments: int) -> Path | None:
        """The number of the first segment whose bytes differ from those computed; None if all segments are whole.

        A segment of an earlier version has no checksum: it is looked through for what is no number, and is given one.
        """
        for number in range(segments):
            path, noted = self._segment(number), self._checksum(number)
            try:
                digest = checksum(path.read_bytes())
                if noted.exists():
                    whole = noted.read_text().strip() == digest
                else:
                    whole = self._is_possible(np.load(path))
                    if whole:
                        self._save(noted, lambda file, text=digest: file.write(text.encode()))
            except FileNotFoundError:  # cleared by a command beside this one
                return path
            except (OSError, ValueError, EOFError):
                whole = False
            if not whole:
                return path
        return None

    def _is_possible(self, segment: np.ndarray) -> bool:
        """Whether an array has the shape and type that segments are written with, and holds numbers."""
        p = self.model.parameters
        fits = segment.shape == (SEGMENT_DAYS, p.layers + 1, p.n, p.n) and segment.dtype == np.float32
        return fits and bool(np.isfinite(segment).all())

    def _clear(self, damaged: Path) -> None:
        """Remove the whole record: the states at the beginnings of its segments are not kept, so that it begins anew."""
        print(f"note: {damaged} is damaged or missing; the twin ocean is computed again", flush=True)
        for pattern in ("days-*.npy", "days-*.sha256", "state-*.npz"):
            for path in self.folder.glob(pattern):
                path.unlink(missing_ok=True)
        self._open = None

    @property
    def steps_per_day(self) -> int:
        return round(86400 / self.model.parameters.dt)

    def _compute(self, number: int, state: State, progress) -> None:
        p = self.model.parameters
        out = np.empty((SEGMENT_DAYS, p.layers + 1, p.n, p.n), np.float32)
        for day in range(SEGMENT_DAYS):
            out[day, :-1] = self.model.physical(self.model.streamfunction(state.q))
            out[day, -1] = self.model.physical(state.tracer)
            for _ in range(self.steps_per_day):
                self.model.step(state)
            progress(day + 1)
        # the state first: a segment that is there can always be gone on from
        self._save(
            self.folder / f"state-{number + 1:04d}.npz",
            lambda file: np.savez(
                file,
                q=state.q,
                tracer=state.tracer,
                past_q=np.stack([a for a, _ in state.past]),
                past_tracer=np.stack([b for _, b in state.past]),
                steps=state.steps,
            ),
        )
        content = io.BytesIO()
        np.save(content, out)
        text = checksum(content.getbuffer())
        self._save(self._checksum(number), lambda file: file.write(text.encode()))
        self._save(self._segment(number), lambda file: file.write(content.getbuffer()))
        (self.folder / f"state-{number:04d}.npz").unlink(missing_ok=True)

    @staticmethod
    def _save(path: Path, write) -> None:
        with written_aside(path) as aside, aside.open("wb") as file:
            write(file)

    def day(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """psi (layer, y, x) in m2/s and surface-temperature anomaly (y, x) in K at the start of day ``index``, float32."""
        number, within = divmod(index, SEGMENT_DAYS)
        if self._open is None or self._open[0] != number:
            self._open = (number, np.load(self._segment(number), mmap_mode="r"))
        fields = np.array(self._open[1][within])
        if not np.isfinite(fields).all():
            self._clear(self._segment(number))
            raise StoreError(f"{self.folder} was damaged and has been cleared; give the same command again")
        return fields[:-1], fields[-1]
