"""Fields and records in: ocean simulations, satellite products, trap records, sites, stores.

Public: :func:`open_ocean`, :class:`OceanSource`; the interface :class:`Ocean` with :class:`Snapshot` and :class:`Preferences`;
places (:class:`Site`, :func:`parse_site`); and the errors that all of the toolkit raises, each a :class:`CatchmentError`:
:class:`InputError` (files), :class:`OptionError` (options and arguments), :class:`StoreError` (results on disk).
"""

import os
import sys

# python -m puts the working folder first: a file of the user's named data.py there would be taken for the toolkit's
_first = sys.path[0] if sys.argv[:1] == ["-m"] and not sys.flags.safe_path else None
if _first == os.getcwd() and os.path.realpath(_first) != os.path.dirname(os.path.dirname(os.path.realpath(__file__))):
    del sys.path[0]

from data import start  # noqa: E402

start.begin()

from data.face import lazy  # noqa: E402

#: Public names and the modules that they come from, when they are asked for.
_PUBLIC = {
    "open_ocean": "data.oceans",
    "OceanSource": "data.oceans",
    "Ocean": "data.ocean",
    "Snapshot": "data.ocean",
    "Preferences": "data.ocean",
    "Site": "data.sites",
    "parse_site": "data.sites",
    "CatchmentError": "data.errors",
    "InputError": "data.errors",
    "OptionError": "data.errors",
    "StoreError": "data.errors",
}
__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazy(__name__, _PUBLIC)
