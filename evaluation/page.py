"""A report's page: sections of text, tables and figures in one self-contained HTML file, and each beside it as a file."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import jinja2
import markupsafe
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from data.command import read_json, write_file
from data.errors import CatchmentError, StoreError
from data.files import make_folder
from data.progress import Progress
from evaluation.figures.canvas import name_ocean, png

#: Resolution of rasterised parts of the vector figures for print.
PRINT_DPI = 300
FOLDERS = ("figures", "tables")
Item = TypeVar("Item")


@dataclass
class Section:
    """A part of the page: its paragraphs, what is missing of it, its tables (caption, table, name of its CSV or "") and figures
    (name, caption, bytes, kind, first picture of a film)."""

    title: str
    text: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    tables: list[tuple[str, pd.DataFrame, str]] = field(default_factory=list)
    figures: list[tuple[str, str, bytes, str, bytes]] = field(default_factory=list)

    @property
    def contents(self) -> str:
        """How much it holds, for one who decides whether to open it."""
        counts = ((len(self.figures), "figure"), (len(self.tables), "table"))
        words = [f"{n} {word}{'s' * (n > 1)}" for n, word in counts if n]
        return ", ".join([*words, *(["something is missing"] if self.missing else [])])

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
        self.printed: set[str] = set()
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
            # the terminal tells of damaged parts too; parts that do not exist yet are named on the page alone
            if isinstance(error, StoreError) and "does not exist" not in line and line not in self._said:
                print(f"note: {section.title}: {line}", flush=True)
            self.miss(section, line)

    def miss(self, section: Section, line: str) -> None:
        """Name a missing part and the command that adds it; a line appears once, and other sections refer to it."""
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
        """Move the progress bar by one step."""
        self._done += 1
        self._bar.update(self._done, self._steps, doing)

    def figure(self, section: Section, name: str, caption: str, figure: Figure) -> None:
        """Keep a figure, named by its ocean, as PNG, as PDF for print, and in the page."""
        name_ocean(figure, self.ocean)
        picture, printed = png(figure), io.BytesIO()
        # the places of its parts are known by now: to find them again is to draw all of it once more
        figure.set_layout_engine(None)
        figure.savefig(printed, format="pdf", dpi=PRINT_DPI, metadata={"CreationDate": None})
        self._keep(f"figures/{name}.pdf", printed.getvalue())
        self._keep(f"figures/{name}.png", picture)
        self.printed.add(name)
        section.figures.append((name, caption, picture, "png", b""))

    def image(self, section: Section, name: str, caption: str, data: bytes, kind: str) -> None:
        """Keep a picture that is there already (png, gif) and show it."""
        self._keep(f"figures/{name}.{kind}", data)
        section.figures.append((name, caption, data, kind, first_picture(data) if kind == "gif" else b""))

    def csv(self, name: str, table: pd.DataFrame) -> None:
        """Keep a table as CSV."""
        self._keep(f"tables/{name}.csv", table.to_csv(index=False).encode())

    def table(self, section: Section, caption: str, table: pd.DataFrame, name: str | None = None) -> None:
        """Show a table; with a name, keep the table as CSV, unless :meth:`csv` has kept a longer table under that name."""
        if name is not None and f"tables/{name}.csv" not in self.written:
            self.csv(name, table)
        section.tables.append((caption, table, name or ""))

    def _keep(self, name: str, content: bytes) -> None:
        write_file(self.folder / name, content)
        self.written.append(name)

    def earlier(self) -> list[str]:
        """Files in its folders that an earlier report wrote there, as its metrics.json has them."""
        try:
            files = read_json(self.folder / "metrics.json", ocean=str).get("files", [])  # the ocean by its title
        except StoreError:
            return []
        return [name for name in files if re.fullmatch(rf"({'|'.join(FOLDERS)})/[^/\\]+", name)]

    def remove(self, names: Iterable[str]) -> None:
        """Remove those of some files that were not written now."""
        for name in set(names) - set(self.written):
            (self.folder / name).unlink(missing_ok=True)

    @property
    def missing(self) -> int:
        """How many things are missing, each counted once."""
        return len(self._said)

    def write(
        self, title: str, about: dict, *, first: Sequence[tuple[str, str]] = (), main: pd.DataFrame | None = None,
        main_caption: str = "", words: Mapping[str, str] = MappingProxyType({}),
    ) -> Path:  # fmt: skip
        """Write report.html.

        ``first``: (quantity, sentence) of the first screen, those of the same quantity together; ``main``: the table below it;
        ``words``: what the page's words mean.
        """
        environment = jinja2.Environment(autoescape=True)
        environment.filters["urlize_doi"] = link_doi
        page = environment.from_string((Path(__file__).parent / "page.html").read_text(encoding="utf-8"))
        together: dict[str, list[str]] = {}
        for quantity, sentence in first:
            together.setdefault(quantity, []).append(sentence)
        path = self.folder / "report.html"
        content = page.render(
            title=title,
            about=json.dumps(about, indent=2),
            sections=self.sections,
            first=list(together.items()), main=main, main_caption=main_caption, words=words, printed=self.printed,
            image=lambda data: base64.b64encode(data).decode(),
            rows=lambda table: [[_cell(value) for value in row] for row in table.itertuples(index=False)],
        )
        write_file(path, content.encode())
        return path


def link_doi(sentence: str) -> markupsafe.Markup:
    """A sentence as HTML, its DOIs as links."""
    return markupsafe.Markup(re.sub(r"doi:(10\.\S+?)(?=[.,;)]?(\s|$))", r'<a href="https://doi.org/\1">doi:\1</a>',
                                    str(markupsafe.escape(sentence))))  # fmt: skip


def first_picture(film: bytes) -> bytes:
    """The first picture of a GIF, as PNG."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(film)) as picture:
        picture.convert("RGB").save(buffer, format="png")
    return buffer.getvalue()


def _cell(value) -> str:
    if isinstance(value, float):
        return "–" if np.isnan(value) else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)

