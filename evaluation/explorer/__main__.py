"""``python -m evaluation.explorer``."""

import sys

from data.command import run_command
from evaluation.explorer.write import main
from evaluation.options import ExplorerConfig

if __name__ == "__main__":
    sys.exit(run_command(ExplorerConfig, main, prog="evaluation.explorer"))
