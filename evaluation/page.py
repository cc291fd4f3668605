"""A report's page: sections of text, tables and figures in one self-contained HTML file, and each beside it as a file."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import jinja2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from data.command import read_json, write_file
from data.errors import CatchmentError, StoreError
from data.files import make_folder
from data.progress import Progress
from evaluation.figures.canvas import name_ocean

#: Of the figures in the page; those for print are vectors, what is rasterised in them has PRINT_DPI.
DPI, PRINT_DPI = 130, 300
FOLDERS = ("figures", "tables")
Item = TypeVar("Item")


@dataclass
class Section:
    """A part of the page: its paragraphs, what is missing of it, its tables (caption, table) and figures (name, caption, bytes,
    kind)."""

    title: str
    text: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    tables: list[tuple[str, pd.DataFrame]] = field(default_factory=list)
    figures: list[tuple[str, str, bytes, str]] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """Its place in the page."""
        return re.sub(r"\W+", "-", self.title.lower())


class Page:
    """Collects sections, and writes their figures and tables into folders beside the page.

    Attributes
    ----------
    written : list of str
        Files that were written, relative to the folder.
    ocean : str
        What the ocean of the figures is called.
    """

    def __init__(self, folder: Path, bar: Progress, steps: int, ocean: str = ""):
        self.folder, self.ocean = folder, ocean
        self.sections: list[Section] = []
        self.written: list[str] = []
        self._bar, self._steps, self._done = bar, steps, 0
        self._said: dict[str, str] = {}
        for name in FOLDERS:
            make_folder(folder / name)

    def section(self, title: str, build: Callable[[Section], None]) -> None:
        """Add a section; bad input within it becomes a line of the page, not the end of the report."""
        section = Section(title)
        self.sections.append(section)
        with self.part(section):
            build(section)

    @contextlib.contextmanager
    def part(self, section: Section) -> Iterator[None]:
        """A part of a section that bad input may end: its line is said, and the section goes on after it."""
        try:
            yield
        except CatchmentError as error:
            line = str(error)
            # what is damaged is told on the terminal too; what is merely not there yet stands on the page alone
            if isinstance(error, StoreError) and "does not exist" not in line and line not in self._said:
                print(f"note: {section.title}: {line}", flush=True)
            self.miss(section, line)

    def miss(self, section: Section, line: str) -> None:
        """Say what is missing, and what would add it: each line once, other sections refer to it."""
        where = self._said.setdefault(line, section.title)
        line = line if where == section.title else f"Parts of this are left out for what is missing under “{where}”."
        if line not in section.missing:
            section.missing.append(line)

    def each(self, items: Iterable[Item], doing: str) -> Iterator[Item]:
        """The items one after another, each a step of the progress bar."""
        for item in items:
            yield item
            self.step(doing)

    def step(self, doing: str) -> None:
        """One step of the progress bar is done."""
        self._done += 1
        self._bar.update(self._done, self._steps, doing)

    def figure(self, section: Section, name: str, caption: str, figure: Figure) -> None:
        """Keep a figure, named by its ocean, as PNG, as PDF for print, and in the page."""
        name_ocean(figure, self.ocean)
        for kind, options in (("pdf", {"dpi": PRINT_DPI, "metadata": {"CreationDate": None}}), ("png", {"dpi": DPI})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, **options)
            self._keep(f"figures/{name}.{kind}", buffer.getvalue())
        section.figures.append((name, caption, buffer.getvalue(), "png"))

    def image(self, section: Section, name: str, caption: str, data: bytes, kind: str) -> None:
        """Keep a picture that is there already (png, gif) and show it."""
        self._keep(f"figures/{name}.{kind}", data)
        section.figures.append((name, caption, data, kind))

    def csv(self, name: str, table: pd.DataFrame) -> None:
        """Keep a table as CSV."""
        self._keep(f"tables/{name}.csv", table.to_csv(index=False).encode())

    def table(self, section: Section, caption: str, table: pd.DataFrame, name: str | None = None) -> None:
        """Show a table, and with a name keep it as CSV."""
        if name is not None:
            self.csv(name, table)
        section.tables.append((caption, table))

    def _keep(self, name: str, content: bytes) -> None:
        write_file(self.folder / name, content)
        self.written.append(name)

    def earlier(self) -> list[str]:
        """Files in its folders that an earlier report wrote there, as its metrics.json has them."""
        try:
            known = read_json(self.folder / "metrics.json").get("files", [])
        except StoreError:
            return []
        return [name for name in known if re.fullmatch(rf"({'|'.join(FOLDERS)})/[^/\\]+", name)]

    def remove(self, names: Iterable[str]) -> None:
        """Remove those of some files that were not written now."""
        for name in set(names) - set(self.written):
            (self.folder / name).unlink(missing_ok=True)

    def write(self, title: str, about: dict) -> Path:
        """Write report.html."""
        page = jinja2.Environment(autoescape=True).from_string(TEMPLATE)
        path = self.folder / "report.html"
        content = page.render(
            title=title,
            about=json.dumps(about, indent=2),
            sections=self.sections,
            image=lambda data: base64.b64encode(data).decode(),
            rows=lambda table: [[_cell(value) for value in row] for row in table.itertuples(index=False)],
        )
        write_file(path, content.encode())
        return path


def _cell(value) -> str:
    if isinstance(value, float):
        return "–" if np.isnan(value) else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)


TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
img { max-width: 100%; height: auto; } figure { margin: 1.5rem 0; } figcaption { color: #555; font-size: 0.9rem; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 0.9rem; } caption { text-align: left; color: #555; }
td, th { padding: 0.2rem 0.7rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
nav a { margin-right: 1rem; white-space: nowrap; }
.wide { overflow-x: auto; }
.missing { background: #fff4e0; padding: 0.4rem 0.8rem; border-left: 4px solid #E69F00; }
pre { background: #f6f6f6; padding: 1rem; overflow-x: auto; font-size: 0.8rem; }
</style></head><body>
<h1>{{ title }}</h1>
<nav>{% for section in sections %}<a href="#{{ section.anchor }}">{{ section.title }}</a> {% endfor %}
<a href="#configuration">Configuration</a></nav>
{% for section in sections %}
<h2 id="{{ section.anchor }}">{{ section.title }}</h2>
{% for line in section.text %}<p>{{ line }}</p>{% endfor %}
{% for line in section.missing %}<p class="missing">{{ line }}</p>{% endfor %}
{% for caption, table in section.tables %}
<div class="wide"><table><caption>{{ caption }}</caption>
<tr>{% for name in table.columns %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in rows(table) %}<tr>{% for value in row %}<td>{{ value }}</td>{% endfor %}</tr>{% endfor %}
</table></div>
{% endfor %}
{% for name, caption, data, kind in section.figures %}
<figure><img alt="{{ caption }}" id="{{ name }}" src="data:image/{{ kind }};base64,{{ image(data) }}">
<figcaption>{{ caption }}</figcaption></figure>
{% endfor %}
{% endfor %}
<h2 id="configuration">Configuration</h2><pre>{{ about }}</pre>
</body></html>
"""
