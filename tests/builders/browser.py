"""A page in headless Chromium: what a script finds in it, and what axe-core says of its accessibility."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: Where continuous integration puts axe-core (it is not ours to ship): ``npm install --prefix build/axe axe-core``.
AXE = Path(__file__).parents[2] / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"


def asked(page: str, question: str, folder: Path, *, width: int = 1280, scripts: str = "") -> tuple[Any, str]:
    """What the body of an async function, ``question``, returns once the page has loaded; and Chromium's log."""
    script = f"""<script>{scripts}</script><script>addEventListener('load', async () => {{ let answer;
      try {{ answer = await (async () => {{ {question} }})(); }} catch (error) {{ answer = String(error); }}
      const found = document.createElement('pre'); found.id = 'found'; found.textContent = JSON.stringify(answer);
      document.body.appendChild(found); }});</script></body>"""
    copy = folder / f"page-{width}.html"
    copy.write_text(page.replace("</body>", script))
    assert CHROMIUM is not None
    process = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr",
         f"--window-size={width},900", f"--user-data-dir={folder / f'profile-{width}'}", "--virtual-time-budget=20000",
         "--dump-dom", f"file://{copy}"], capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    answer = re.search(r'<pre id="found">(.*?)</pre>', process.stdout, re.S)
    assert answer, process.stderr[-2000:]
    return json.loads(html.unescape(answer.group(1))), process.stderr


def violations(page: str, folder: Path, *, before: str = "", width: int = 1280) -> list:
    """What axe-core has against a page, after the statements ``before``: (rule, how many, the first) each."""
    violation = "one => [one.id, one.nodes.length, one.nodes[0].html.slice(0, 200)]"
    question = f"{before} return (await axe.run()).violations.map({violation});"
    return asked(page, question, folder, width=width, scripts=AXE.read_text())[0]
