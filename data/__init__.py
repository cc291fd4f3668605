"""Fields and records in: ocean simulations, satellite products, trap records, sites, stores."""

import os
import sys

# python -m puts the working folder first: a file of the user's named data.py there would be taken for the toolkit's
_first = sys.path[0] if sys.argv[:1] == ["-m"] and not sys.flags.safe_path else None
if _first == os.getcwd() and os.path.realpath(_first) != os.path.dirname(os.path.dirname(os.path.realpath(__file__))):
    del sys.path[0]

from data import start  # noqa: E402

start.begin()
