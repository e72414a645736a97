"""The catalog in a real browser: from disk and from its server, light and dark, narrow and wide, without scripts."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from releases import MIRA, card_of, interval, pictures, released, trained

from likeness.catalog.add import add_card, add_release
from likeness.catalog.build import build
from likeness.catalog.card import Client
from likeness.catalog.publish import publish
from likeness.catalog.scores import AxisScore, Evaluated
from likeness.catalog.serve import app_of
from likeness.catalog.withdraw import withdraw_entry
from likeness.recipe import PublishConfig

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next((path for path in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if Path(path).exists()), "")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed: apt install chromium"),
    # Playwright's own loop is left open when a worker ends in the middle of a test
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ENTRY = "characters/sd-1.5/mira/"
PAGES = ("", "characters/", "characters/by-likeness/", "characters/sd-1.5/", ENTRY, "tags/fox/", "search/")
OTHERS = ("about/", "characters/sd-1.5/unrated/", "characters/sd-1.5/gone/")
"""A page of words with a table of contents, an entry without pictures, and one that was withdrawn."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog with all that a page can show."""
    home = tmp_path_factory.mktemp("browsed")
    lora = trained(home / "mira.safetensors")
    scores = [
        AxisScore(axis=axis, kind="likeness", value=interval(0.8), base=interval(0.1)) for axis in ("identity", "face")
    ]
    curves = {axis: ((100, 0.5, 0.3, 0.7), (200, 0.8, 0.7, 0.9)) for axis in ("identity", "leak")}
    findings = ("Its left profile is weak.",)
    told = Evaluated(reason="Step 200 is the best.", scores=tuple(scores), curves=curves, findings=findings)
    clients = (
        Client(name="ComfyUI", works=True, matched=6, total=6),
        Client(name="Forge", works=False, matched=0, total=6, why="it knows no DoRA", mend="likeness convert"),
    )
    shown = [*pictures(3), *weighed()]
    card = card_of(lora, rating="PG", evaluated=told, clients=clients)
    config = PublishConfig(rating="PG")
    publish(
        card.model_copy(update={"aliases": ("/old/mira/",)}),
        lora,
        shown,
        character=MIRA,
        config=config,
        to=home / "release",
    )
    add_release(home / "catalog" / "content", home / "release" / "mira", with_file=True)
    for place in range(30):
        file = card.file.model_copy(update={"tensors": f"{place:064d}"})
        other = {"name": f"n{place}", "title": f"Ship {place}", "file": file, "preview": None, "samples": ()}
        add_card(home / "catalog" / "content", card.model_copy(update=other), {})
    for seed, name in enumerate(("unrated", "gone"), start=2):
        folder = released(home / "release", trained(home / f"{name}.safetensors", seed=seed), name=name)
        page = add_release(home / "catalog" / "content", folder)
        (page / "card.json").write_text(card.model_copy(update={"rating": None}).model_dump_json())
    withdraw_entry(home / "catalog", "/characters/sd-1.5/gone", "She asked for it.")
    words = "\n\n".join(f"## Part {number}\n\nWords, a [link](/characters/) and `code`." for number in range(4))
    (home / "catalog" / "content" / "about.md").write_text(f"---\ntitle: About\n---\n{words}")
    build(home / "catalog")
    return home / "catalog"


def weighed() -> list:
    """One scene at three weights."""
    from dataclasses import replace

    one = pictures(1)[0]
    return [
        replace(one, row="a", how=one.how.model_copy(update={"weight": weight}), alt=f"Mira at weight {weight}")
        for weight in (0.0, 0.8, 1.2)
    ]


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def served(root: Path) -> Iterator[str]:
    """The address of a server of the catalog."""
    import socket

    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app_of(root), log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    server.should_exit = True
    thread.join()
    listener.close()


def opened(browser, address: str, **context: object):
    """A page, and the addresses that it asked for."""
    asked: list[str] = []
    page = browser.new_context(**context).new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    return page, asked


def on_disk(root: Path, place: str) -> str:
    return (root / "site" / place / "index.html").as_uri()


@pytest.mark.parametrize("is_served", [True, False])
@pytest.mark.parametrize("place", ["", ENTRY, "search?q=ship"])
def test_nothing_is_asked_for_elsewhere_by_searching(browser, root: Path, served: str, place: str, is_served: bool):
    page, asked = opened(browser, served + place if is_served else on_disk(root, place.partition("?")[0]))
    page.locator("#q").fill("mira")
    page.locator("#found a").first.wait_for()
    assert [one for one in asked if not one.startswith((served if is_served else "file://", "data:"))] == []
    page.context.close()


@pytest.mark.parametrize("place", [*PAGES, *OTHERS, "search?q=ship", "search?q=nobody"])
def test_axe_finds_nothing_no_page_is_wider_than_the_screen_and_nothing_is_asked_for_elsewhere(
    browser, root: Path, served: str, place: str
):
    from axe_playwright_python.sync_playwright import Axe

    page, asked = opened(browser, served + place if "?" in place else on_disk(root, place))
    assert [one for one in asked if not one.startswith((served, "file://", "data:"))] == []
    all_of_it = {"rules": {"target-size": {"enabled": True}}}  # WCAG 2.2's own, which axe leaves out unless asked
    colours_alone = {"runOnly": ["color-contrast"]}  # what else there is does not hang on the scheme
    for scheme, thorough, options in (("light", 360, all_of_it), ("dark", 1280, colours_alone)):
        page.emulate_media(color_scheme=scheme)
        for width in (360, 768, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
            if width == thorough:
                found = Axe().run(page, options=options).response["violations"]
                assert [(one["id"], one["nodes"][0]["html"][:120]) for one in found] == []
    page.context.close()


def test_without_scripts_all_but_searching_works(browser, root: Path):
    page, _ = opened(browser, on_disk(root, ""), java_script_enabled=False)
    page.get_by_role("link", name="Characters").first.click()
    page.get_by_role("link", name="SD 1.5").first.click()
    page.get_by_role("link", name="Mira", exact=True).first.click()
    assert page.get_by_role("heading", name="Mira").first.is_visible()
    assert page.get_by_alt_text("Mira at weight 0.8").is_visible()
    page.get_by_label("1.2").check()
    assert page.get_by_alt_text("Mira at weight 1.2").is_visible()
    assert not page.get_by_alt_text("Mira at weight 0.8").is_visible()
    assert page.get_by_role("button", name="Copy").count() == 0
    page.context.close()


def test_an_old_address_leads_on_without_scripts(browser, root: Path):
    page, _ = opened(browser, on_disk(root, "old/mira"), java_script_enabled=False)
    page.wait_for_url(on_disk(root, ENTRY))
    page.context.close()


def test_searching_from_the_disk_finds_as_one_types(browser, root: Path):
    page, _ = opened(browser, on_disk(root, ENTRY))
    page.locator("#q").press_sequentially("ship 1")
    links = page.locator("#found a")
    links.first.wait_for()
    assert links.first.text_content() == "Ship 1"
    links.first.click()
    assert page.get_by_role("heading", name="Ship 1").first.is_visible()
    page.context.close()


def test_searching_on_the_server_works_without_scripts(browser, served: str):
    page, _ = opened(browser, served, java_script_enabled=False)
    page.locator("#q").fill("mira")
    page.get_by_role("button", name="Search").first.click()
    page.get_by_text("found.").wait_for()
    assert page.get_by_role("link", name="Mira", exact=True).is_visible()
    page.context.close()


def test_the_keyboard_reaches_everything_and_shows_where_it_is(browser, root: Path):
    page, _ = opened(browser, on_disk(root, ENTRY))
    wanted = page.evaluate(
        "[...document.querySelectorAll('a[href],button:not([hidden]),input,summary,pre[tabindex],[tabindex=\"0\"]')]"
        ".filter(one => one.checkVisibility({contentVisibilityAuto: true}))"
        ".filter(one => one.type !== 'radio' || one.checked).length"
    )
    reached = set()
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        told = page.evaluate(
            "(() => { const one = document.activeElement; const style = getComputedStyle(one);"
            " if (!one.dataset.n) one.dataset.n = String(Math.random());"
            " const isSeen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;"
            " return [one.tagName, one.dataset.n, isSeen]; })()"
        )
        if told[0] != "BODY":
            reached.add(told[1])
            assert told[2], told
    assert len(reached) >= wanted
    page.context.close()


def test_the_weight_is_chosen_with_arrow_keys(browser, root: Path):
    page, _ = opened(browser, on_disk(root, ENTRY))
    page.get_by_label("0.8", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_alt_text("Mira at weight 1.2").is_visible()
    page.context.close()
