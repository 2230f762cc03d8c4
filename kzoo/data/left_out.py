"""What is not read from a folder, by kind: files of tools, other kinds of files, links, loose images."""

from __future__ import annotations

import os
import re
from pathlib import Path

# Files of systems and tools, in lower case, which are left out without a message.
TOOLS = re.compile(
    r"__macosx|__pycache__|@eadir|@tmp|[@#]recycle|\$recycle\.bin|system volume information|lost\+found"
    r"|thumbs\.db|ehthumbs.*\.db|desktop\.ini|icon\r"
    r"|\.(_.*|ds_store|ipynb_checkpoints|apple.*|localized|temporaryitems|spotlight.*|fseventsd|documentrevisions.*"
    r"|trash.*|git.*|svn|hg|dvc.*|idea|vscode|directory|thumbnails|picasa.*|nomedia|keep|nfs.*|~lock.*|cache)"
)
OLD_BIN = "RECYCLER"
"""The bin of old Windows; in small letters, it can be a class."""
OTHER_FILES, DEAD_LINKS = "files of other kinds", "links that lead nowhere"
LOOSE, HIDDEN, EMPTY = "images outside of class folders", "hidden files and folders", "folders without images"
AGAIN, NO_LABELS = "links to folders already read", "folders of images without classes"


class LeftOut:
    """What is left out, by kind, as paths below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._paths: dict[str, list[str]] = {}

    def add(self, kind: str, path: Path) -> None:
        """Note one more of a kind."""
        self._paths.setdefault(kind, []).append(os.path.relpath(path, self._root))

    def line(self) -> list[str]:
        """One line with the count and an example of each kind; none if nothing is left out."""
        kinds = [f"{len(paths)} {kind} (e.g. {paths[0]!r})" for kind, paths in self._paths.items()]
        return [f"folder {str(self._root)!r}: left out {', '.join(kinds)}"] if kinds else []
