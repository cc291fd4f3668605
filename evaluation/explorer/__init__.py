"""``python -m evaluation.explorer``: catchments to be explored by date, speed, level and model, in one HTML file.

``layers`` holds the maps and facts about each, ``sources`` fills the layers from a run or from catchment files, ``beside`` adds
flux and chlorophyll, and ``write`` packs all of that into ``page.html``.
"""

from evaluation.explorer.write import main
from evaluation.options import ExplorerConfig

__all__ = ["ExplorerConfig", "main"]
