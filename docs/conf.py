"""The site: `make docs` writes it into build/site, from the same files that one reads here."""

from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

project = "Portproof"
copyright = "the Portproof authors"  # noqa: A001
release = version = version_of("portproof")

extensions = ["myst_parser"]
myst_enable_extensions = ["attrs_block"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"Portproof {release}"
html_static_path: list[str] = []
highlight_language = "none"
# Keys and addresses that a page shows as examples, and what only a browser with an account reaches.
linkcheck_ignore = [r"http://127\.0\.0\.1", r"https?://.*\.example"]

# The whole repository is the source folder, so that a link means the same here and there.
root_doc = "README"
PAGES = {
    "Use": ["own-model", "targets", "commands", "verdicts", "formats", "runtimes", "check"],
    "Elsewhere": ["devices", "hosts", "fleet", "publishing", "ci"],
    "Help": ["troubleshooting", "plugins", "compatibility", "versions", "upgrades"],
    "More": [
        "../artifacts/README",
        "../SECURITY",
        "../ARCHITECTURE",
        "../CONTRIBUTING",
        "../CHANGELOG",
        "../BENCHMARKS",
        "../verify/faults/RESULTS",
        "../verify/foreign/RESULTS",
        "../verify/zoo/RESULTS",
        "../verify/zoo/TRAINED",
        "../verify/conformance/RESULTS",
        "../verify/hostile/RESULTS",
    ],
}
include_patterns = [
    "README.md",
    *(
        f"{name[3:] if name.startswith('../') else f'docs/{name}'}.md"
        for names in PAGES.values()
        for name in names
    ),
]


def _contents() -> str:
    """The menu, which only the site has."""
    menus = (
        "\n".join(
            [
                "```{toctree}",
                ":hidden:",
                f":caption: {caption}",
                "",
                *(f"docs/{name}" if name[0] != "." else name[3:] for name in names),
                "```",
            ]
        )
        for caption, names in PAGES.items()
    )
    return "\n\n" + "\n\n".join(menus) + "\n"


def _add_contents(_: Sphinx, name: str, source: list[str]) -> None:
    if name == root_doc:
        source[0] += _contents()


def _make_accessible(
    _: Sphinx, _page: str, _template: str, context: dict[str, Any], *_rest: Any
) -> None:
    """What Sphinx's HTML lacks for those who use the keyboard alone or hear the page."""
    if "body" in context:
        context["body"] = context["body"].replace("<pre>", '<pre tabindex="0">')
    menu = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = menu.replace(
        'role="heading"', 'role="heading" aria-level="2"'
    )


def setup(app: Sphinx) -> None:
    assert Path(app.srcdir, "README.md").is_file()
    app.connect("source-read", _add_contents)
    app.connect("html-page-context", _make_accessible, priority=900)  # after the theme's
