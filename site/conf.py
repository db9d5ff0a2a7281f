"""Settings of the static site; `make site` fills the folder it is built from."""

import os
import pathlib

import sphinxcontrib.katex

_PACKAGE = pathlib.Path(sphinxcontrib.katex.__file__).parent

project = "Deep-learning image registration"
author = ""
html_title = project
language = "en"
extensions = ["myst_nb", "sphinx_design", "sphinxcontrib.katex"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing", "mystnb.unknown_mime_type"]

# The pages show what the notebooks hold. A widget that needs a kernel gives way to
# the frames that are stored with it.
nb_execution_mode = "off"
nb_ipywidgets_js = {}
nb_merge_streams = True
nb_mime_priority_overrides = [
    ("html", "application/vnd.jupyter.widget-view+json", None),
    ("html", "text/html", 10),
]

# Formulas are drawn by the browser (MathML), so no fonts are fetched.
katex_css_path = "katex-math.css"
katex_js_path = "katex.min.js"
katex_autorender_path = "auto-render.min.js"
katex_options = "output: 'mathml', throwOnError: false"

html_theme = "furo"
html_static_path = ["_static", *(str(p) for p in _PACKAGE.glob("*.min.js"))]
html_static_path += [str(_PACKAGE / "katex-math.css")]
html_css_files = ["site.css"]
html_favicon = "_static/favicon.svg"
html_baseurl = os.environ.get("SITE_URL", "")
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"top_of_page_buttons": []}
