"""Particles: backtracking of sinking particles, crossings, catchment PDFs, their stores and maps.

Public: :func:`backtrack` a :class:`Design` through an ocean with an :class:`Integration`; :func:`open_pdf`, :func:`open_store`
and :func:`open_fields` open what runs leave; :func:`smooth_pdf`, :func:`mass_levels` and :func:`export_level` read PDFs.
"""

import os
import sys

# python -m puts the working folder first: a file of the user's named data.py there would be taken for the toolkit's
_first = sys.path[0] if sys.argv[:1] == ["-m"] and not sys.flags.safe_path else None
if _first == os.getcwd() and os.path.realpath(_first) != os.path.dirname(os.path.dirname(os.path.realpath(__file__))):
    del sys.path[0]
try:
    import data.start  # noqa: F401
except ImportError as error:
    place = getattr(sys.modules.get("data"), "__file__", None)
    line = f"{place or 'another data'} stands in for the toolkit's package 'data' ({error}); rename it, or work in another folder"
    if sys.argv[:1] != ["-m"]:
        raise ImportError(line) from None
    print(f"{__name__}: {line}", file=sys.stderr)
    raise SystemExit(2) from None

from data.face import lazy  # noqa: E402

#: Public names and the modules that they come from, when they are asked for.
_PUBLIC = {
    "backtrack": "lagrangian.backtracking",
    "Design": "lagrangian.design",
    "Integration": "lagrangian.integration",
    "open_pdf": "lagrangian.stores",
    "open_store": "lagrangian.stores",
    "open_fields": "lagrangian.fields",
    "smooth_pdf": "lagrangian.binning",
    "mass_levels": "lagrangian.pdf",
    "export_level": "lagrangian.pdf",
}
__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazy(__name__, _PUBLIC)
