import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from releases import card_of, interval, released, trained
from starlette.testclient import TestClient

from likeness.catalog.add import add_card, add_release
from likeness.catalog.scores import AxisScore, Evaluated
from likeness.catalog.serve import app_of, serve


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A server of 31 entries."""
    root = tmp_path_factory.mktemp("served")
    lora = trained(root / "a.safetensors")
    add_release(root / "catalog" / "content", released(root / "release", lora, rating="PG"))
    for place in range(30):
        card = card_of(lora, name=f"ship {place}", tags=("ship", "even" if place % 2 == 0 else "odd"))
        scores = (AxisScore(axis="identity", kind="likeness", value=interval(place / 30)),)
        file = card.file.model_copy(update={"tensors": f"{place:064d}"})
        told = {"file": file, "summary": "A ship.", "evaluated": Evaluated(reason="x", scores=scores)}
        add_card(root / "catalog" / "content", card.model_copy(update=told), {})
    with TestClient(app_of(root / "catalog", hosts=("testserver",))) as client:
        yield client


def found(client: TestClient, **asked: str) -> list[str]:
    text = client.get("/search", params=asked).text
    return re.findall(r"<dt><a [^>]*>(.*?)</a>", text)


def test_pages_are_those_of_the_site(client: TestClient):
    assert "LoRAs" in client.get("/").text
    assert "A <strong>fox</strong> knight." in client.get("/characters/sd-1.5/mira/").text
    assert client.get("/characters/sd-1.5/mira/thumb.webp").headers["content-type"] == "image/webp"
    assert client.get("/characters/sd-1.5/mira/index.json").json()["card"]["title"] == "Mira"
    assert client.get("/style.css").headers["content-type"].startswith("text/css")
    assert client.get("/characters/sd-1.5/mira", follow_redirects=False).status_code == 307


def test_what_is_not_there_is_told(client: TestClient):
    assert client.get("/no/such/").status_code == 404
    assert client.get("/%2e%2e/%2e%2e/etc/passwd").status_code == 404
    assert client.get("/search?q=%00").status_code == 200
    assert client.get("/search?page=99999999999999").status_code == 200
    assert client.get("/characters/sd-1.5/mira/card.json").status_code == 404


def test_a_search_finds_by_title_trigger_and_tag_and_by_the_beginnings_of_words(client: TestClient):
    assert found(client, q="mira")[0] == "Mira"
    assert found(client, q="knig") == ["Mira"]
    assert found(client, q="ship 7") == ["Ship 7"]
    assert found(client, q='"; DROP') == []
    assert "Mira" in found(
        client, q=client.get("/characters/sd-1.5/mira/index.json").json()["card"]["file"]["tensors"][:12]
    )
    assert "31 found" in client.get("/search/?q=").text


def test_a_search_filters_and_orders(client: TestClient):
    assert found(client, tag="odd", order="likeness")[:2] == ["Ship 29", "Ship 27"]
    assert found(client, base="SDXL 1.0") == []
    assert found(client, least="0.9", order="likeness") == ["Ship 29", "Ship 28", "Ship 27"]
    assert found(client, since="2999-01-01") == []
    assert len(found(client, least="many", since="")) == 24
    assert len(found(client, base="SD 1.5")) == 24


def test_pages_of_what_was_found_lead_to_each_other(client: TestClient):
    text = client.get("/search", params={"tag": "ship", "order": "title"}).text
    (address,) = re.findall(r'rel="next" href="([^"]*)"', text)
    more = client.get(address.replace("&amp;", "&")).text
    assert len(re.findall(r"<dt>", more)) == 6
    assert 'rel="prev"' in more


def test_the_same_is_there_as_json(client: TestClient):
    assert client.get("/search.json", params={"q": "mira"}).json()["total"] >= 1


def test_a_page_that_has_not_changed_is_not_sent_again(client: TestClient):
    first = client.get("/")
    assert client.get("/", headers={"If-None-Match": first.headers["etag"]}).status_code == 304


def test_a_page_elsewhere_cannot_ask_under_a_name_of_its_own(client: TestClient):
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400


def test_it_answers_to_any_name_where_it_listens_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    add_card(tmp_path / "content", card_of(trained(tmp_path / "a.safetensors")), {})
    apps, told = [], []
    monkeypatch.setattr("uvicorn.Server.run", lambda server, sockets: apps.append(server.config.app))
    for host in ("0.0.0.0", "127.0.0.1"):
        serve(tmp_path, host=host, port=0, told=told.append)
    codes = [TestClient(app).get("/", headers={"Host": "nas.example"}).status_code for app in apps]
    assert codes == [200, 400]
    assert "0.0.0.0" not in told[0]


def test_what_a_page_may_load_is_from_here_alone(client: TestClient):
    assert "default-src 'none'" in client.get("/").headers["content-security-policy"]


def test_what_was_changed_on_disk_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lora = trained(tmp_path / "a.safetensors")
    content = tmp_path / "catalog" / "content"
    folder = add_card(content, card_of(lora), {})
    monkeypatch.setattr("likeness.catalog.serve.FRESH", 0.0)
    with TestClient(app_of(tmp_path / "catalog", hosts=("testserver",))) as client:
        assert "Mine" not in client.get("/characters/sd-1.5/mira/").text
        (folder / "index.md").write_text("---\ntitle: Mira\n---\nMine.")
        assert "Mine" in client.get("/characters/sd-1.5/mira/").text


def test_an_entry_is_found_once_it_was_added_and_not_by_what_it_was_called_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lora, content = trained(tmp_path / "a.safetensors"), tmp_path / "catalog" / "content"
    folder = add_card(content, card_of(lora), {})
    monkeypatch.setattr("likeness.catalog.serve.FRESH", 0.0)
    with TestClient(app_of(tmp_path / "catalog", hosts=("testserver",))) as client:
        assert found(client, q="ship") == []
        add_card(content, card_of(lora, name="ship"), {})
        assert found(client, q="ship") == ["Ship"]
        (folder / "index.md").write_text("---\ntitle: Ship of stone\n---\n")
        assert sorted(found(client, q="ship")) == ["Ship", "Ship of stone"]
        (folder / "index.md").write_text("---\ntitle: Tower\n---\n")
        assert found(client, q="stone") == []
