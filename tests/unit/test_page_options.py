"""What `[websocket]` says about the chat page, and what becomes of it."""

import re
from importlib import resources

import pytest

from zoozl import config
from zoozl.channels.websocket import colours, page
from zoozl.errors import ConfigError


def options(**keys):
    return page.PageOptions(**keys)


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("accent", "blue", "must be a colour like #2563eb"),
        ("accent", "#12345", "must be a colour like #2563eb"),
        ("accent", "#12345g", "must be a colour like #2563eb"),
        ("accent", "#fff;}body{display:none", "must be a colour like #2563eb"),
        ("accent", "#+1+1+1", "must be a colour like #2563eb"),
        ("accent", "#fff\n", "must be a colour like #2563eb"),
        ("background", "#101010", "too dark for the dark text"),
        ("background_dark", "#fafafa", "too light for the light text"),
        ("embed_origins", ["https://www.example.com/"], "must be an origin"),
        ("embed_origins", ["www.example.com"], "must be an origin"),
        ("embed_origins", ["*"], "must be an origin"),
        ("embed_origins", ["https://a.b; script-src *"], "must be an origin"),
        ("embed_origins", ["https://a.b\n"], "must be an origin"),
    ],
)
def test_a_mistake_is_told_with_its_key(key, value, why):
    with pytest.raises(ConfigError) as told:
        config.from_dict({"websocket": {"port": 0, key: value}})
    assert f"websocket.{key}" in str(told.value) or f"{key}" in str(told.value)
    assert why in str(told.value)


def test_nobody_may_frame_the_page_unless_named():
    assert page.headers(options())["Content-Security-Policy"].endswith("frame-ancestors 'none'")
    policy = page.headers(options(embed_origins=["https://a.b", "http://localhost:8000"]))["Content-Security-Policy"]
    assert policy.endswith("frame-ancestors 'self' https://a.b http://localhost:8000")
    assert "unsafe" not in policy


def test_what_is_configured_is_text_wherever_it_goes():
    html, _ = page.read(options(title='<b>"{{greeting}}', greeting="<i>&"), "page/", 1000)
    text = html.decode()
    assert "<title>&lt;b&gt;&quot;{{greeting}}</title>" in text
    assert '<p id="greeting" hidden>&lt;i&gt;&amp;</p>' in text
    assert 'data-limit="1000"' in text


@pytest.mark.parametrize(("folder", "back"), [("page/", "../"), ("chat/page/", "../../chat")])
def test_the_script_for_other_sites_knows_where_the_page_is(folder, back):
    _, files = page.read(options(accent="#fe0"), folder, 1000)
    script = files["embed.js"].decode()
    assert f'new URL("{back}", script.src)' in script
    assert 'background: "#fe0"' in script
    assert 'color: "#000"' in script
    assert "{{" not in script


def test_every_file_that_is_there_is_served_and_every_module_is_fetched_at_once():
    names = {entry.name for entry in (resources.files("zoozl") / "web").iterdir()}
    assert names - {"index.html"} == set(page.FILES)
    html, files = page.read(options(), "page/", 1000)
    imported = set()
    for name, content in files.items():
        if name.endswith(".js"):
            imported.update(re.findall(r'from "\./([\w.]+)"', content.decode()))
    assert imported == {name for name in files if name.endswith(".js")} - {"chat.js", "embed.js"}
    assert set(re.findall(r'modulepreload" href="page/([\w.]+)"', html.decode())) == imported | {"chat.js"}


def test_files_name_no_other_server():
    for name, content in page.read(options(), "page/", 1000)[1].items():
        code = re.sub(r"^\s*(//|/\*).*$", "", content.decode(), flags=re.MULTILINE)
        assert set(re.findall(r"https?://[^\s\"'`]+", code)) <= {"http://www.w3.org/2000/svg"}, name


@pytest.mark.parametrize("accent", ["#000", "#fff", "#2563eb", "#ffe600", "#808080", "#767676", "#f00", "#0f0"])
def test_any_accent_leaves_everything_readable(accent):
    colour = colours.parse(accent)
    assert colours.contrast(colour, colours.ink_on(colour)) >= colours.READABLE
    css = colours.theme(accent, None, None)
    light, dark = (colours.parse(found) for found in re.findall(r"--accent-text:(#\w+)", css))
    for ground in (colours.LIGHT_BACK, colours.LIGHT_PAPER, colours.LIGHT_CODE):
        assert colours.contrast(light, ground) >= colours.READABLE
    for ground in (colours.DARK_BACK, colours.DARK_PAPER, colours.DARK_CODE):
        assert colours.contrast(dark, ground) >= colours.READABLE


def test_the_colours_are_those_of_the_style_sheet():
    css = (resources.files("zoozl") / "web" / "chat.css").read_text("utf-8").replace("#fff;", "#ffffff;")
    for theme, names in ((css, "LIGHT"), (css[css.index("@media") :], "DARK")):
        for name in ("paper", "back", "faint", "code"):
            first = re.search(rf"--{name}: (#\w+);", theme)[1]
            assert colours.parse(first) == getattr(colours, f"{names}_{name.upper()}"), (names, name)
