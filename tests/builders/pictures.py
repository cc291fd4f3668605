"""Pictures of a test that looks at none of them: drawn coarsely, and once instead of once for each format."""

from __future__ import annotations

from functools import wraps
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

#: Dots per inch: enough that every element is laid out and drawn. Frames of a film: the first, the middle and the last.
COARSE, FRAMES = 20, 3


def draw_coarsely(patch) -> None:
    """Let figures be drawn as coarse PNGs, their parts where they happen to lie; PDFs (a second drawing) be a few bytes.

    To find places where parts do not overlap is two thirds of drawing: every part is drawn twice more for it.

    Parameters
    ----------
    patch : pytest.MonkeyPatch
        Undoes it.
    """
    from evaluation.figures import film

    save, draw = Figure.savefig, FigureCanvasAgg.print_png

    def savefig(self, where, *, format=None, **options):
        kind = format or Path(where).suffix[1:]
        self.set_layout_engine("none")
        if kind != "pdf":
            save(self, where, format=kind, **{**options, "dpi": COARSE})
        elif hasattr(where, "write"):
            where.write(b"%PDF-1.4")
        else:
            Path(where).write_bytes(b"%PDF-1.4")

    @wraps(draw)  # matplotlib looks at its arguments
    def print_png(self, *arguments, **options):
        self.figure.set_dpi(COARSE)
        self.figure.set_layout_engine("none")
        draw(self, *arguments, **options)

    patch.setattr(Figure, "savefig", savefig)
    patch.setattr(FigureCanvasAgg, "print_png", print_png)
    patch.setattr(film, "DPI", COARSE)
    patch.setattr(film.animate_experiment, "__defaults__", (8, FRAMES))  # frames a second, frames
