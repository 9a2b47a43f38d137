# SPDX-License-Identifier: MIT
"""The links in all Markdown files lead to files and headings that exist."""
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted(path.relative_to(ROOT) for folder in (".", "docs", "docs/decisions")
               for path in (ROOT / folder).glob("*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")


def prose(page):
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page):
    """The anchors that GitHub generates for the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page):
    for target in LINK.findall(prose(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or anchor and anchor not in anchors(file):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_no_link_is_dead(page):
    assert list(dead_links(ROOT / page)) == []


def test_a_dead_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One, two\n[a](page.md#one-two) [b](#two) ![c](no.png) [d](page.md#1)\n"
                    "```\n[e](no.md)\n```\n")
    assert list(dead_links(page)) == ["#two", "no.png", "page.md#1"]


def test_readme_leads_to_every_page():
    folders = {path.parent for path in PAGES if path.match("docs/decisions/*")}
    linked = {pathlib.Path(target.split("#")[0])
              for target in LINK.findall(prose(ROOT / "README.md"))}
    assert {page for page in PAGES if page.parent not in folders} - linked == {
        pathlib.Path("README.md")}
