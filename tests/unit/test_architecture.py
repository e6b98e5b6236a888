"""Imports point one way: errors, registry <- chatbot <- channels | embedders | stores | plugins <- server <- cli."""

import ast
import sys
from pathlib import Path

import pytest

import zoozl
from zoozl import registry

ROOT = Path(zoozl.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# What each part may import of zoozl, apart from itself. The composition root and what is above it may import all.
ALLOWED = {
    "errors": set(),
    "backoff": set(),
    "failpoints": set(),
    "redaction": set(),
    "logs": {"errors", "redaction", "chatbot.trace", "settings", "config"},
    "fresh": {"errors"},
    "reload": {"errors", "chatbot", "config", "fresh", "redaction"},
    "registry": {"errors"},
    "settings": {"errors"},
    "storage": {"errors", "registry", "chatbot", "config"},
    "config": {"errors", "redaction", "registry", "settings", "chatbot", "channels.planned"},
    "chatbot": {"errors", "registry", "backoff", "failpoints"},
    "cipher": {"errors", "redaction", "settings", "config"},
    "doctor": set(),
    "health": {"errors", "chatbot"},
    "processes": set(),
    "channels": {"errors", "backoff", "doctor", "failpoints", "chatbot", "settings", "channels.http"},
    "embedders": {"errors", "settings"},
    "stores": {"errors", "failpoints", "chatbot"},
    "plugins": {"chatbot"},
    "testing": {"errors", "redaction", "registry", "chatbot", "cipher", "stores", "config", "server"},
    "routes": {"errors", "registry", "chatbot", "config", "server", "testing"},
    "torture": {"errors", "failpoints", "chatbot", "config", "storage", "stores"},
}
# What channels have in common, and what stores have.
IN_COMMON = ("access", "bucket", "http", "loop_breaker", "pace")
SHARED = (*(f"channels.{name}" for name in IN_COMMON), "stores.jsontext")
SIBLINGS = ("channels", "embedders", "stores", "plugins")
FREE = {"__init__", "__main__", "server", "cli", "cli_store", "cli_torture"}
FREE |= {"checks", "cli_completion", "cli_config", "cli_doctor", "cli_init", "cli_new", "cli_slack", "cli_vault"}
FREE |= {"cli_explain", "cli_record", "cli_routes", "cli_test"}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            module = node.module or ""
            for alias in node.names:
                below = ROOT.parent / Path(*module.split("."), alias.name)
                yield f"{module}.{alias.name}" if below.with_suffix(".py").exists() or below.is_dir() else module


def part_of(path):
    """("channels", "channels.slack") of zoozl/channels/slack.py."""
    names = path.relative_to(ROOT).with_suffix("").parts
    return names[0], ".".join(name for name in names if name != "__init__")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_arrow_points_the_right_way(path):
    part, module = part_of(path)
    if part in FREE:
        return
    for name in imports(path):
        if not name.startswith("zoozl"):
            continue
        target = name.removeprefix("zoozl").lstrip(".")
        top = target.split(".")[0]
        if not target:
            continue
        if top == part:
            if part in SIBLINGS:
                # A build script belongs to the module that it builds for, the modules of a package to each other.
                own = module.replace("build_", "")
                same_package = target.split(".")[:2] == module.split(".")[:2]
                shared = target in (own, *SHARED) or target.startswith("channels.render")
                assert same_package or shared, f"{module} imports its sibling {target}"
            continue
        allowed = ALLOWED[part]
        assert top in allowed or target in allowed, f"{module} imports {target}"


@pytest.mark.parametrize("kind", ["channels", "embedders", "stores"])
def test_what_can_be_named_in_a_configuration_is_there(kind):
    assert all(registry.find(kind, name) for name in registry.names(kind))


# They are imported in functions there, for plugins that declare arguments.
PYDANTIC = {"arguments.py", "declared.py"}


@pytest.mark.parametrize("path", sorted((ROOT / "chatbot").rglob("*.py")), ids=lambda path: path.name)
def test_the_core_imports_the_standard_library_and_numpy_only(path):
    allowed = sys.stdlib_module_names | {"numpy", "zoozl"}
    if path.name in PYDANTIC:
        allowed |= {"pydantic", "pydantic_core"}
    for name in imports(path):
        assert name.split(".")[0] in allowed, f"{path.name} imports {name}"


OPTIONAL = {
    "onnxruntime": {"embedders/minilm.py", "embedders/build_minilm.py"},
    "httpx2": {"embedders/openai.py"},
    "tokenizers": {"embedders/minilm.py", "embedders/build_minilm.py"},
    "torch": {"embedders/build_minilm.py"},
    "jwt": {"channels/websocket/auth.py"},
    "prompt_toolkit": {"channels/terminal.py"},
    "cryptography": {"cipher.py", "channels/websocket/auth.py", "channels/websocket/check.py"},
    "matplotlib": {"routes/plot.py"},
    "markdown_it": {"channels/render/html.py", "channels/render/slack.py"},
    "aiosmtpd": {"channels/email/lmtp.py"},
    "aiosmtplib": {"channels/email/submit.py", "channels/email/check.py"},
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_libraries_are_imported_in_one_place(path):
    for name in imports(path):
        owners = OPTIONAL.get(name.split(".")[0])
        assert owners is None or str(path.relative_to(ROOT)) in owners, f"{path} imports {name}"
