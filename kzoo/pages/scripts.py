"""Data within a page's scripts."""

from __future__ import annotations

import json
from typing import Any

import markupsafe


def for_script(data: Any) -> markupsafe.Markup:
    """JSON data to stand within a script element, which no ``<`` in it can end."""
    text = json.dumps(data, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return markupsafe.Markup(text)
