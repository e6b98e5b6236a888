"""`zoozl config`: the merged configuration and where each value came from, or its JSON schema."""

from __future__ import annotations

import difflib
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from zoozl.cli import BAD_CONFIGURATION, _load, conf_option, verbose_option

if TYPE_CHECKING:
    from zoozl.config.report import Row

# Where the origins begin, if the values are not longer.
COLUMN = 48


@click.command()
@conf_option
@verbose_option
@click.option("-k", "--config-key", "key", metavar="KEY", help="Only this key, or the keys of this table.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@click.option("--schema", is_flag=True, help="Instead, the JSON schema of the file, for editors.")
@click.pass_obj
def config(
    common: dict[str, Any], conf: str | None, verbose: bool, key: str | None, as_json: bool, schema: bool
) -> None:
    """Show each setting and where it was made.

    The file, .env and the environment are merged. Secrets are shown as ***. What is shown is TOML.
    """
    if schema:
        if key or as_json:
            raise click.UsageError("--schema goes alone.")
        from zoozl.config.schema import json_schema
        from zoozl.config.sections import Sections

        click.echo(json.dumps(json_schema(Sections({})), indent=2))
        return
    loaded = _load(conf or common["conf"], verbose or common["verbose"], channels=False)
    from zoozl.config.layers import spelled
    from zoozl.config.report import rows, select

    if key is None:
        found = rows(loaded)
    else:
        path = loaded.layers.sections.canonical(tuple(key.split(".")))
        wanted = spelled(path)
        found = rows(loaded, also=str(path[0]))
        known = [spelled(row.path) for row in found]
        found = select(found, wanted)
        if not found:
            near = difflib.get_close_matches(key, known, n=1)
            click.echo(f"error: there is no key {key}" + (f"; did you mean {near[0]}?" if near else ""), err=True)
            sys.exit(BAD_CONFIGURATION)
    if as_json:
        shown = {spelled(row.path): {"value": row.value, "origin": row.origin} for row in found}
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False, default=str))
        return
    for row in found:
        click.echo(_line(row))


def _line(row: Row) -> str:
    from zoozl.config import writing

    name = writing.key(*map(str, row.path))
    text = f"# {name} is not set" if row.value is None else f"{name} = {writing.written(row.value)}"
    return f"{text:{COLUMN}}  # {row.origin}"
