"""The content of a page, read with the standard library's parser."""

import json
import re
from html.parser import HTMLParser


class Page(HTMLParser):
    """A page's tables by name, numbers, addresses, learning curves, labels of figures, and text.

    `right` contains the rows and columns of each table's right-aligned cells.
    """

    def __init__(self, path):
        super().__init__()
        self.labels, self.tables, self.charts, self.addresses, self.tags, self.details = [], {}, [], [], [], 0
        self.right = {}
        self.alternatives, self._words, self._cell, self._script = [], [], None, None
        self._open, self.numbers, self._term, self.buttons = [], [], None, []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = re.sub(r"\s+", " ", "".join(self._words))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.addresses += [attributes[key] for key in ("src", "href", "action", "data") if key in attributes]
        if tag == "div" and attributes.get("role") == "img":
            self.labels.append(attributes["aria-label"])
        if tag == "img":
            self.alternatives.append(attributes.get("alt"))
        if tag == "table":
            self._rows = self.tables.setdefault(attributes["aria-label"], [])
            self._right = self.right.setdefault(attributes["aria-label"], [])
            self._rows.append([])
        elif tag == "tr":
            self._rows[-1].append([])
        elif tag in ("td", "th"):
            self._cell = []
            if attributes.get("class") == "n":
                self._right.append((len(self._rows[-1]) - 1, len(self._rows[-1][-1])))
        elif tag in ("dt", "dd"):
            self._term = []
        elif tag == "button":
            self.buttons.append("")
        elif tag in ("script", "style"):
            self._script = attributes.get("type", tag)

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._rows[-1][-1].append("".join(self._cell).strip())
            self._cell = None
        elif tag in ("dt", "dd"):
            text = "".join(self._term).strip()
            if tag == "dt":
                self.numbers.append([text])
            else:
                self.numbers[-1].append(text)
            self._term = None
        elif tag in ("script", "style"):
            self._script = None

    def handle_data(self, data):
        if self._script == "application/json":
            content = json.loads(data)
            if "lines" in content:
                self.charts.append(content)
        elif self._script is None:
            self._words.append(data)
            if self.lasttag == "button" and self.buttons:
                self.buttons[-1] += data
            if self._cell is not None:
                self._cell.append(data)
            if self._term is not None and not (self._term and self.lasttag == "small"):
                self._term.append(data)

    def table(self, name):
        """The rows of the only table with this name, header first."""
        (rows,) = self.tables[name]
        return rows

    def body(self, name):
        """The rows of the only table with this name, without the header."""
        return [row for row in self.table(name) if row[0] not in ("", "run", "epoch", "class", "field", "true class")]
