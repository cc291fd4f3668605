"""``python -m evaluation.explorer``: catchments to be explored by date, speed, level and model, in one HTML file.

``layers`` holds the maps and what is told of each, ``sources`` fills them from a run or from catchment files, ``beside`` brings
flux and chlorophyll, and ``write`` packs all of that into ``page.html``.
"""

from evaluation.explorer.write import main
from evaluation.options import ExplorerConfig

__all__ = ["ExplorerConfig", "main"]
