"""`likeness catalog`: LoRAs gathered into a site that people like to browse."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from likeness.cli.answers import tell
from likeness.cli.options import AsJson

if TYPE_CHECKING:
    from rich.console import RenderableType

    from likeness.catalog.build import Built
    from likeness.catalog.tree import Fault

__all__ = ["add", "app", "build", "built_table", "check", "export_hugo", "serve"]

app = typer.Typer(
    name="catalog",
    help="Gather LoRAs into a site that can be browsed from disk, from any host, or through Hugo.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

HERE = Path("catalog")

Sources = Annotated[
    list[Path], typer.Argument(metavar="SOURCE...", help="Releases, workspaces, LoRAs, or folders of any of them.")
]
Root = Annotated[Path, typer.Option("--to", metavar="CATALOG", help="The catalog's folder.")]
Catalog = Annotated[Path, typer.Argument(metavar="[CATALOG]", help="The catalog's folder.")]
SectionName = Annotated[
    str,
    typer.Option("--section", help="characters, concepts, styles, or one of your own.", show_default="by their tags"),
]
RatingOf = Annotated[
    Literal["", "PG", "PG13", "R", "X"],
    typer.Option("--rating", help="What pictures show of which no sidecar says.", show_default=False),
]
WithFiles = Annotated[bool, typer.Option("--with-files", help="Put the LoRAs beside their pages, to be downloaded.")]
Host = Annotated[str, typer.Option("--host", help="Address to listen at; 0.0.0.0 lets other machines in.")]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")]
HugoSite = Annotated[Path, typer.Argument(metavar="HUGO_SITE", help="Folder of a Hugo site, or a new one.")]
From = Annotated[Path, typer.Option("--from", metavar="CATALOG", help="The catalog's folder.")]


@app.command()
def add(
    sources: Sources, to: Root = HERE, section: SectionName = "", rating: RatingOf = "", with_files: WithFiles = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Add LoRAs, or renew their entries: what a person wrote on a page stays."""
    from likeness.cli.invocation import typed
    from likeness.cli.progress import reporting
    from likeness.pipeline.cataloguing import add_to_catalog

    with reporting(as_json) as report:
        added = add_to_catalog(
            to, sources, section=section, rating=rating or None, with_files=with_files, report=report
        )
    places = ["/" + folder.relative_to(to / "content").as_posix() for folder in added]
    told = f"{len(places)} in {to}. Then: {typed('catalog', 'build', to)}"
    tell(as_json, {"catalog": str(to), "added": places}, told)


@app.command()
def build(catalog: Catalog = HERE, as_json: AsJson = False) -> None:
    """Write the site: pages that need no server, no scripts and nothing from elsewhere."""
    from likeness.catalog.build import build as build_site
    from likeness.cli.progress import reporting

    with reporting(as_json) as report:
        built = build_site(catalog, report=report)
    told = {"home": str(built.home), "files": built.pages, "written": built.written, "removed": built.removed}
    tell(as_json, {**told, "warnings": _rows(built.warnings)}, built_table(built))


@app.command()
def check(catalog: Catalog = HERE, as_json: AsJson = False) -> None:
    """What does not hold together: addresses, related entries, triggers, the same LoRA twice. Exit 1 for faults."""
    from likeness.catalog.check import check as check_catalog

    faults, warnings = check_catalog(catalog)
    tell(as_json, {"faults": _rows(faults), "warnings": _rows(warnings)}, _faults_table(faults, warnings))
    if faults:
        raise typer.Exit(1)


@app.command()
def serve(catalog: Catalog = HERE, host: Host = "127.0.0.1", port: Port = 8765) -> None:
    """Serve the catalog, with search, filters and orders; unless --host says so, no other machine can reach it."""
    from likeness.catalog.serve import serve as serve_site

    serve_site(catalog, host=host, port=port, told=lambda address: typer.echo(address, err=True))


@app.command()
def export_hugo(to: HugoSite, source: From = HERE, as_json: AsJson = False) -> None:
    """Write the pages for Hugo, with the shortcodes that they need, for the Book theme and for none."""
    from likeness.catalog.hugo import export_hugo as export

    written = export(source, to)
    tell(as_json, {"to": str(to), "files": [str(path) for path in written]}, f"{len(written)} files in {to}")


def _rows(faults: "Sequence[Fault]") -> list[dict[str, str]]:
    return [{"place": one.place, "what": one.what} for one in faults]


def built_table(built: "Built") -> "RenderableType":
    """What came of building, and the page to open."""
    from rich.console import Group
    from rich.text import Text

    words = f"{built.pages} files, of which {built.written} were written and {built.removed} are gone."
    warnings = [Text(f"{one.place}: {one.what}") for one in built.warnings[:20]]
    return Group(Text(words), *warnings, Text(f"Open {built.home}"))


def _faults_table(faults: "Sequence[Fault]", warnings: "Sequence[Fault]") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    if not faults and not warnings:
        return Text("All of it holds together.")
    lines = [f"fault: {one.place}: {one.what}" for one in faults]
    lines += [f"odd: {one.place}: {one.what}" for one in warnings]
    return Group(*map(Text, lines))
