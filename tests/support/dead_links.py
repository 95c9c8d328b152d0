"""Dead links in the project's Markdown: every relative link and anchor must lead somewhere. Run by ``make check``."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def dead_links(root: Path = ROOT) -> list[str]:
    """One line per link that leads nowhere: where it stands and what it names."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    )
    return [problem for name in listed.stdout.split() for problem in _problems(root / name, root)]


def _problems(page: Path, root: Path) -> list[str]:
    text = _FENCE.sub("", page.read_text())
    found = []
    for target in _LINK.findall(text):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        if not linked.exists():
            found.append(f"{page.relative_to(root)}: {target} does not exist")
        elif anchor and linked.suffix == ".md" and anchor not in _anchors(linked):
            found.append(f"{page.relative_to(root)}: {target} has no such heading")
    return found


def _anchors(page: Path) -> set[str]:
    headings = _HEADING.findall(_FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


if __name__ == "__main__":
    problems = dead_links()
    print("\n".join(problems) or "links: all lead somewhere")
    sys.exit(bool(problems))
