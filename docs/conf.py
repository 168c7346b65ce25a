"""Build the documentation: ``sphinx-build -W -b html docs build/docs`` (extra "docs"). New pages belong in index.md."""

from cmnet_monai._version import __version__

project = "cmnet-monai"
author = "The cmnet-monai authors"
copyright = author
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"cmnet-monai {__version__}"

# Links between pages, and to headings in them, must lead somewhere. External links are left alone: no network needed.
nitpicky = True
# Types of other libraries have no pages here, nor have a few helpers that signatures name.
nitpick_ignore_regex = [
    (r"py:exc", r"importlib\..*"),
    (r"py:class", r"(collections|datetime|ignite|monai|np|numpy|os|pathlib|PIL|torch)\..*"),
    (r"py:class", r"Engine|NDArray|Path|Dataset|AlgorithmIdentificationSequence"),
    (r"py:class", r"cmnet_monai\.(datasets\.public\.Summary|io\.dicom\.codes\.Concept|transforms\.rand_part\.Code)"),
    (r"py:class", r"cmnet_monai\.(decode\.(candidates\.Candidates|naming\.Naming)|io\.films\.view\.FilmView)"),
    (r"py:class", r"cmnet_monai\.io\.files\.results\.ResultFiles"),
    (r"py:class", r"(dict|tuple)\[\w+"),  # pieces of a dataclass's signature that holds <factory>
    (r"py:class", r"cmnet_monai\.(io\.films\.radiograph_reader\.FilmHandle|networks\.inference\.Network)"),
]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False


def _model_card_is_a_page(app, docname: str, source: list[str]) -> None:
    """In the repository the model card lies in the bundle; here it is the page that includes it."""
    up = "../" * docname.count("/")
    source[0] = source[0].replace(f"]({up}../bundle/docs/README.md", f"]({up}model_card.md")


def setup(app) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _model_card_is_a_page)
