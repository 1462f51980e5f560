"""Hooks of the site: pages outside docs/ become pages, links to code become text."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent
OUTSIDE = {
    "README.md": "project/README.md",
    "CHANGELOG.md": "project/CHANGELOG.md",
    "CONTRIBUTING.md": "project/CONTRIBUTING.md",
    "serving/README.md": "project/SERVING.md",
}
"""Pages of the repository outside docs/, and where the site has them."""

REFERENCE = {
    "folders": ("The folders that stages pass on", ["s4rec_tf.spec", "s4rec_tf.runs"]),
    "transforms": ("Beam transforms", ["beam_jobs.transforms"]),
    "data": ("Batches and views", ["s4rec_tf.data"]),
    "models": ("Models", ["s4rec_tf.models"]),
    "layers": ("Layers", ["s4rec_tf.layers"]),
    "losses": ("Losses", ["s4rec_tf.losses"]),
    "ranking": (
        "Ranking, metrics, evaluation",
        ["s4rec_tf.ranking", "s4rec_tf.evaluate"],
    ),
    "client": ("The client", ["serving.client.client", "serving.client.messages"]),
}
"""Pages of the reference: their titles, and the modules and packages that they show."""

_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages outside docs/, and those made of docstrings."""
    for source, place in OUTSIDE.items():
        text = (ROOT / source).read_text("utf-8")
        files.append(File.generated(config, place, content=text))
    for name, (title, packages) in REFERENCE.items():
        modules = [module for package in packages for module in _modules(package)]
        text = f"# {title}\n\n" + "\n\n".join(f"::: {module}" for module in modules)
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def _modules(package: str) -> list[str]:
    """A module, or the public modules of a package."""
    folder = ROOT.joinpath(*package.split("."))
    if not folder.is_dir():
        return [package]
    names = sorted(path.stem for path in folder.glob("[!_]*.py"))
    return [f"{package}.{name}" for name in names if not name.endswith("_pb2")]


def on_page_markdown(markdown: str, page: Page, files: Files, **_: object) -> str:
    """Turns links between files of the repository into links of the site."""
    return _outside_code(
        markdown, lambda text: _LINK.sub(lambda m: _linked(m, page, files), text)
    )


def _outside_code(markdown: str, change) -> str:  # type: ignore[no-untyped-def]
    parts, end = [], 0
    for code in _CODE.finditer(markdown):
        parts += [change(markdown[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, change(markdown[end:])])


def _linked(match: re.Match[str], page: Page, files: Files) -> str:
    text, target = match[1], match[2]
    path, _, anchor = target.partition("#")
    if not path or "://" in path:
        return match[0]
    here = page.file.src_uri
    place = _place_of(posixpath.normpath(posixpath.join(_folder(here), path)))
    if files.get_file_from_path(place) is None:
        return text  # code, or a file of settings: named, not linked
    relative = posixpath.relpath(place, posixpath.dirname(here) or ".")
    return f"[{text}]({relative}{'#' if anchor else ''}{anchor})"


def _folder(place: str) -> str:
    """The folder in the repository of the file that is at a place of the site."""
    sources = {there: source for source, there in OUTSIDE.items()}
    return posixpath.dirname(sources.get(place, f"docs/{place}"))


def _place_of(source: str) -> str:
    """The place in the site of a file of the repository."""
    return OUTSIDE.get(source, source.removeprefix("docs/"))
