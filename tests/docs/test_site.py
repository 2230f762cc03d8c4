"""The built documentation has every page under its own title, and every link and image in it leads somewhere."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

sphinx = pytest.importorskip("sphinx.cmd.build")

pytestmark = [pytest.mark.slow, pytest.mark.representative]

DOCS = Path(__file__).parents[2] / "docs"


class Page(HTMLParser):
    """The title, the links and the anchors of a built page."""

    def __init__(self, path):
        super().__init__()
        self.title, self.targets, self.anchors, self._in_title = "", [], set(), False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.anchors.add(values.get("id"))
        self.targets += [values[name] for name in ("href", "src") if values.get(name)]
        # The permalink sign at the end of a heading is not part of the title.
        if tag in ("h1", "a"):
            self._in_title = tag == "h1"

    def handle_endtag(self, tag):
        if tag == "h1":
            self._in_title = False

    def handle_data(self, data):
        if self._in_title:
            self.title += data


def build(source, site):
    """Build a site; warnings are errors."""
    return sphinx.main(
        ["-q", "-W", "--keep-going", "-b", "html", "-d", str(site.parent / "trees"), str(source), str(site)]
    )


def faults(source, site):
    """Source pages that cannot be reached in a built site, and links and images that lead nowhere."""
    found = []
    for page in sorted(source.glob("*.md")):
        (title, *_) = re.findall(r"^# (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        built = site / f"{page.stem}.html"
        shown = Page(built).title if built.exists() else "nothing"
        if shown != title.replace("`", ""):
            found.append(f"{page.name}: {built.name} shows {shown!r}, not {title!r}")

    pages = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    for path, page in pages.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not there.is_file():
                found.append(f"{path.name}: {target} leads to no file")
            elif there in pages and parts.fragment and unquote(parts.fragment) not in pages[there].anchors:
                found.append(f"{path.name}: {target} leads to no anchor")
    return found


def test_every_page_is_in_the_site_and_every_link_and_image_resolves(tmp_path):
    assert build(DOCS, tmp_path / "site") == 0
    assert faults(DOCS, tmp_path / "site") == []
    assert len(list((tmp_path / "site").glob("*.html"))) > len(list(DOCS.glob("*.md")))


def test_lost_page_and_dead_links_are_found(tmp_path):
    """A page called search.md is overwritten by Sphinx's own search page."""
    docs, site = tmp_path / "docs", tmp_path / "site"
    docs.mkdir()
    (docs / "conf.py").write_text("extensions = ['myst_nb']\nnb_execution_mode = 'off'\n")
    tree = "# Home\n\n```{toctree}\nsearch\n```\n\n"
    (docs / "index.md").write_text(tree + "<a href='gone.html'>a</a> <img src='no.png'>\n")
    (docs / "search.md").write_text("# Looking for a `network`\n\n<a href='index.html#nothing'>b</a>\n")
    assert build(docs, site) == 0
    said = "\n".join(faults(docs, site))
    assert "search.md: search.html shows 'Search', not 'Looking for a `network`'" in said
    assert "index.html: gone.html leads to no file" in said
    assert "index.html: no.png leads to no file" in said

    (docs / "search.md").rename(docs / "finding.md")
    (docs / "index.md").write_text(tree.replace("search", "finding") + "<a href='finding.html'>a</a>\n")
    assert build(docs, site) == 0
    assert faults(docs, site) == ["finding.html: index.html#nothing leads to no anchor"]
