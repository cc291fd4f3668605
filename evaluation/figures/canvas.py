"""The canvas that every figure of the evaluation is drawn on, and the lines that tell its parts apart."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from data.command import write_file

DPI = 130

#: Okabe-Ito colours and line styles of successive sets of data, told apart in grey as well; and markers for dots of them.
LINES = (("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-."), ("#CC79A7", ":"), ("#E69F00", (0, (5, 1, 1, 1, 1, 1))))
MARKERS = ("o", "s", "^", "D", "v")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches, its parts kept from overlapping, free of pyplot's state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def name_ocean(figure: Figure, ocean: str | None) -> None:
    """Put the name of the ocean above a figure's title; once."""
    title = figure.get_suptitle()
    if not ocean or ocean in title:
        return
    size = next((text.get_fontsize() for text in figure.texts if title and text.get_text() == title), 10)
    figure.suptitle(f"{ocean}\n{title}" if title else ocean, fontsize=size)


def png(figure: Figure) -> bytes:
    """A figure as a PNG file holds it; drawn once, where savefig would draw it once more to find the places of its parts."""
    buffer = io.BytesIO()
    figure.set_dpi(DPI)
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def save_png(path: Path, figure: Figure) -> None:
    """Write a figure aside and rename it; StoreError in one line where it cannot be written."""
    write_file(path, png(figure))
