"""CROCO and ROMS history and average files as an ocean.

Opening goes through the rooms in this order: files (what each holds) and times, grid, levels; reader puts them together.
"""

from data.croco.chunk_cache import OPEN_FILES
from data.croco.reader import CrocoOcean, open_croco

__all__ = ["OPEN_FILES", "CrocoOcean", "open_croco"]
