"""Sphinx settings; build with ``python -m sphinx -W -b html docs docs/_build/html``."""

from kzoo import __version__

project = "kzoo"
author = "kzoo developers"
copyright = author
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
html_theme = "furo"
html_title = f"kzoo {__version__}"

nb_execution_mode = "off"  # tests/docs/test_notebooks.py executes them; the outputs are stored in the files
html_static_path = ["static"]
html_css_files = ["kzoo.css"]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

smartquotes_action = "qe"  # quotes and ellipses only, because options start with two hyphens

default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
maximum_signature_line_length = 80
napoleon_numpy_docstring = False
napoleon_use_ivar = True
