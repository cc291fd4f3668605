"""How Sphinx builds the manual: ``make docs``. No network is needed."""

import importlib.metadata
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]
# the notebooks call the console script of the environment that builds the manual, and the code of this tree
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE.parent), str(HERE / "examples"), os.environ.get("PYTHONPATH")]))

project = "Catchment toolkit"
author = "the catchment toolkit's developers"
copyright = author
release = version = importlib.metadata.version("catchment-toolkit")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_copybutton",
              "reference_pages"]  # fmt: skip
exclude_patterns = ["_build", "examples", "_ext"]
source_suffix = {".md": "myst-nb", ".rst": "restructuredtext"}

myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "notebooks")
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_execution_show_tb = True
nb_output_stderr = "remove"
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False

html_theme = "pydata_sphinx_theme"
html_title = project
html_show_sourcelink = False
html_static_path: list[str] = []
html_theme_options = {"show_prev_next": True, "secondary_sidebar_items": ["page-toc"], "navigation_with_keys": False,
                      "footer_start": ["copyright"], "footer_end": ["sphinx-version"], "show_toc_level": 2}  # fmt: skip
