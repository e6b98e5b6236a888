"""Write configuration.md from the models that check a configuration, channels.md from what tests of channels check.

`python docs/reference/build.py` does it. With --check nothing is written, and the exit code is 1 if a page is stale.
"""

import importlib.util
import sys
from pathlib import Path

from zoozl import registry
from zoozl.config.schema import Option, options, summary
from zoozl.config.sections import Sections
from zoozl.config.writing import written
from zoozl.settings import RESERVED, TABLES, ChannelOptions, Settings
from zoozl.testing import conformance
from zoozl.testing.conformance.table import table as capabilities

HERE = Path(__file__).parent
TESTS = HERE.parents[1] / "tests" / "channels"

INTRODUCTION = """\
<!-- Made by docs/reference/build.py from the models in zoozl; changes here are lost. -->
# Configuration

One TOML file, named by `--conf` or `ZOOZL_CONF`. `zoozl init` writes one, `zoozl config` shows what is in effect and
where each value comes from, `zoozl doctor` tells whether it works here.

- Any key can come from the environment, which wins over the file: `ZOOZL_` and its path, levels joined by two
  underscores. `ZOOZL_AUTHOR=Robo`, `ZOOZL_WEBSOCKET__PORT=8080`. Values are read as TOML, else as text; lists may be
  written with commas. The file `.env` beside the configuration may hold the same variables and is weaker than the
  environment.
- A root key `<channel>_<option>` is the same as `<option>` in the table of the channel: `websocket_port = 1601`.
- Relative paths start at the folder of the file.
- A channel is on when it has its `port`, or what it needs instead, and `enabled` is not false.
- A plugin's own table has its name or that of its module, and holds whatever the plugin reads.
- An unknown key, or a value of the wrong type, ends the start with the file, the line, the key and the nearest known
  one.

Editors complete and check the file by its JSON schema:

```bash
zoozl config --schema > zoozl.schema.json
```

and, in the first line of the file, `#:schema ./zoozl.schema.json`.
"""


CHANNELS = """\
<!-- Made by docs/reference/build.py from tests/channels/test_conformance_*.py; changes here are lost. -->
# What the channels can do

Each "yes" is one or more tests of `zoozl.testing.conformance`, run with the channel against a server or a client that
speaks the platform's own protocol; each "no" is a property of the platform, said below. Your own channel can be
[run against the same tests](../howto/write-a-channel.md).

"""


def channels() -> str:
    """The text of channels.md."""
    order = ("websocket", "slack", "email", "mattermost")
    files = sorted(TESTS.glob("test_conformance_*.py"), key=lambda path: order.index(path.stem.rpartition("_")[2]))
    return CHANNELS + capabilities([driver for path in files for driver in drivers(path)])


def drivers(path: Path) -> list[type[conformance.Driver]]:
    """Those that the tests in a file are run with, in their order."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = [value for value in vars(module).values() if isinstance(value, type)]
    suites = [suite for suite in found if issubclass(suite, conformance.Conformance) and suite.__name__[:4] == "Test"]
    return [suite.driver_class for suite in suites]


def page() -> str:
    """The text of configuration.md."""
    sections = Sections({})
    # Those that come with zoozl: what else is installed on this computer is no part of its documentation.
    channels = {name: sections.options(name) for name in sorted(sections.channels)}
    own = {name: model for name, model in channels.items() if model.__module__.startswith("zoozl.")}
    built = [name for name in own if name in registry.names("channels")]
    parts = [INTRODUCTION, "## Root keys\n\nThey stand above the first table.\n", table(options(Settings))]
    for name, model in TABLES.items():
        parts += [f"## [{name}]\n\n{summary(model)}\n", table(options(model))]
    common = options(ChannelOptions)
    parts += ["## Channels\n\nEvery channel has these keys, in a table of its name.\n", table(common)]
    for name in built:
        parts += [f"### [{name}]\n\n{summary(own[name])}\n", table(less(options(own[name]), common))]
    planned = [name for name in own if name not in built]
    if planned:
        parts.append("## Planned channels\n\nTheir keys are checked already; the channels do nothing yet.\n")
    for name in planned:
        parts += [f"### [{name}]\n\n{summary(own[name])}\n", table(less(options(own[name]), common))]
    names = ", ".join(f"`[{name}]`" for name in RESERVED if name not in TABLES)
    parts.append(
        f"## Reserved tables\n\n{names}: for what is not built in yet. They do nothing and are warned about.\n"
    )
    return "\n".join(parts)


def less(found: list[Option], common: list[Option]) -> list[Option]:
    """Options that not every channel has, or that mean something else here."""
    return [option for option in found if option not in common]


def table(found: list[Option]) -> str:
    """A table in Markdown."""
    lines = ["| Key | Value | Default | |", "| --- | --- | --- | --- |"]
    for option in found:
        default = "" if option.default is None else f"`{written(option.default)}`"
        cells = (f"`{option.name}`", option.kind, default, option.about)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the pages, or look whether they are as they should be."""
    pages = {HERE / "configuration.md": page(), HERE / "channels.md": channels()}
    if "--check" in sys.argv:
        stale = [path.name for path, text in pages.items() if not path.exists() or path.read_text("utf-8") != text]
        sys.exit(f"stale: {', '.join(stale)}" if stale else 0)
    for path, text in pages.items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
