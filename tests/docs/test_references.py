"""Every paper that code or docs cite by author and year is in docs/references.md."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
# "He et al. 2016a", "Kingma and Ba (2015)", "Guo et al., 2017"; line breaks allowed between the words.
CITATION = re.compile(r"\b([A-Z][a-zé]+)\s+(?:et\s+al\.|and\s+[A-Z][a-zé]+),?\s+\(?((?:19|20)\d\d[ab]?)\b")


def citations():
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("kzoo/**/*.py"), *ROOT.glob("benchmarks/*")]
    pages = [path for path in pages if path.suffix in (".py", ".md") and path.name != "references.md"]
    texts = {path: path.read_text(encoding="utf-8") for path in pages}
    return {(name, year): path for path, text in texts.items() for name, year in CITATION.findall(text)}


def test_each_citation_has_its_reference():
    entries = (ROOT / "docs" / "references.md").read_text(encoding="utf-8").split("\n- ")[1:]
    known = {(entry.split(",")[0].split()[0], re.search(r"\((\d{4}[ab]?)\)", entry)[1]) for entry in entries}
    cited = citations()
    assert len(cited) > 10
    assert sorted(f"{path}: {key}" for key, path in cited.items() if key not in known) == []
