"""The page in a real browser: it fits a phone, follows the colour scheme, asks the network nothing.

Needs Debian's chromium. Where there is none these tests are skipped, except with CI or
OUROBOROS_REQUIRE_BROWSER in the environment; .ci/run sets the latter.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from ouroboros.reporting.page import write_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--allow-file-access-from-files", "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr", "--virtual-time-budget=5000",
)  # fmt: skip
# The page in a frame of a phone's width, measured from outside: it may run no script of its own.
PROBE = """<!doctype html><body style="margin:0"><iframe id="f" src="page.html"
style="border:0;width:{width}px;height:4000px"></iframe><pre id="out">not measured</pre><script>
const f = document.getElementById('f');
f.addEventListener('load', () => {{
  const d = f.contentDocument, root = d.scrollingElement, view = d.defaultView;
  d.querySelectorAll('details').forEach(part => part.open = true);
  const texts = [...d.querySelectorAll('.chart text')];
  const ratio = t => parseFloat(view.getComputedStyle(t).fontSize)
    * t.ownerSVGElement.getBoundingClientRect().width / 360;
  const outside = texts.filter(t => {{
    const box = t.getBoundingClientRect();
    return box.left < -0.5 || box.right > {width} + 0.5;
  }});
  const overlaps = [];
  for (const svg of d.querySelectorAll('.chart')) {{
    const boxes = [...svg.querySelectorAll('text')]
      .map(t => [t.textContent, t.getBoundingClientRect()]);
    boxes.forEach(([one, a], i) => boxes.slice(i + 1).forEach(([other, b]) => {{
      const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (x > 1 && y > 3) overlaps.push([one, other]);
    }}));
  }}
  document.getElementById('out').textContent = JSON.stringify({{
    scroll: root.scrollWidth, title: d.title,
    charts: d.querySelectorAll('.chart').length, text: Math.min(...texts.map(ratio)),
    outside: outside.map(t => t.textContent), overlaps,
    external: view.performance.getEntriesByType('resource').map(e => e.name),
    ink: view.getComputedStyle(d.body).color,
    soft: view.getComputedStyle(d.querySelector('.note')).color,
    paper: view.getComputedStyle(d.body).backgroundColor,
  }});
}});
</script>"""


def look(folder: Path, width: int, scheme: str) -> tuple[dict[str, Any], str]:
    """What the probe measured, and what the browser wrote to its log."""
    if BROWSER is None:
        message = "no chromium here: apt-get install chromium"
        if os.environ.get("OUROBOROS_REQUIRE_BROWSER") or os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    (folder / "probe.html").write_text(PROBE.format(width=width))
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    done = subprocess.run(
        [BROWSER, *FLAGS, *dark, f"--user-data-dir={folder / 'profile'}",
         "--dump-dom", (folder / "probe.html").as_uri()],
        capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    found = re.search(r'<pre id="out">(\{.*?\})</pre>', done.stdout, re.DOTALL)
    assert found, done.stdout[-500:] + done.stderr[-1500:]
    return json.loads(unescape(found[1])), done.stderr


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2) of a computed colour, "rgb(r, g, b)"."""
    channels = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_shows_on_a_phone_and_on_a_screen(
    finished: Path, tmp_path: Path, width: int, scheme: str
) -> None:
    write_report(finished, tmp_path / "page.html")
    seen, log = look(tmp_path, width, scheme)
    assert seen["title"] == "Does the verifier beat the baseline?"
    assert seen["scroll"] <= width, "the page scrolls sideways"
    assert seen["charts"] == 16
    assert seen["text"] >= 9, "the charts' text is too small to read"
    assert seen["outside"] == []
    assert seen["overlaps"] == []
    assert seen["external"] == []
    assert "CONSOLE" not in log, log
    paper = luminance(seen["paper"])
    assert (paper < 0.5) == (scheme == "dark")
    for name in ("ink", "soft"):
        dim, bright = sorted((luminance(seen[name]), paper))
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, f"{name} against paper: too little contrast"
