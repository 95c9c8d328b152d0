from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from html import unescape
from html.parser import HTMLParser

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.openapi import HEADERS, document, error_classes
from gateway.operations.table import OPERATIONS
from gateway.pages import add_routes
from gateway.reference import highlighted, pretty, type_words, with_code

Client = TestClient[web.Request, web.Application]


class Page(HTMLParser):
    """What a browser would load, run and link to, and the text of every element that has an id."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self.text = ""
        self._in_script = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids += [given["id"]] if "id" in given else []
        self.loaded += [given["src"]] if "src" in given else []
        if tag == "link":
            self.loaded.append(given["href"])
        elif "href" in given:
            self.links.append(given["href"])
        self.inline += [name for name in given if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    app = web.Application()
    add_routes(app)
    async with TestClient(TestServer(app)) as client:
        yield client


async def page_of(client: Client) -> Page:
    return Page(await (await client.get("/docs")).text())


async def test_every_operation_and_nothing_else_is_on_the_page(client: Client) -> None:
    html = await (await client.get("/docs")).text()
    sections = re.findall(r'<section id="(\w+)" class="split operation">', html)
    assert sorted(sections) == sorted(OPERATIONS)


async def test_every_operation_shows_its_fields_its_description_and_its_example(client: Client) -> None:
    html = await (await client.get("/docs")).text()
    components = document(OPERATIONS, server_url=None)["components"]["schemas"]
    for operation in OPERATIONS.values():
        section = html.partition(f'<section id="{operation.name}"')[2].partition("</section>")[0]
        page = Page(section)
        fields = set(components[operation.request.__name__]["properties"]) - {"operation"}
        assert fields <= set(re.findall(r'<code class="field">(\w+)</code>', section))
        assert operation.description in page.text
        body = unescape(section.partition("<textarea")[2].partition(">")[2].partition("</textarea>")[0])
        assert json.loads(body) == {"operation": operation.name, **operation.example}


async def test_every_error_and_header_is_on_the_page(client: Client) -> None:
    page = await page_of(client)
    for error in error_classes():
        assert error.code in page.text
    for name in HEADERS:
        assert name in page.text


async def test_the_page_runs_nothing_inline_and_loads_nothing_from_elsewhere(client: Client) -> None:
    page = await page_of(client)
    assert page.inline == []
    assert page.loaded
    for address in (*page.loaded, *page.links):
        assert re.match(r"/(?!/)|#", address), address
    for asset in page.loaded:
        reply = await client.get(asset)
        assert reply.status == 200
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|//cdn|@import", await reply.text())


async def test_every_link_on_the_page_leads_somewhere(client: Client) -> None:
    page = await page_of(client)
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids
        else:
            assert (await client.get(link)).status == 200


@pytest.mark.parametrize(
    "path", ["/docs", "/openapi.json", "/docs/reference.css", "/docs/reference.js", "/docs/icon.svg"]
)
async def test_everything_is_served_under_a_strict_policy_and_only_sent_once(client: Client, path: str) -> None:
    first = await client.get(path)
    assert first.status == 200
    assert await first.read()
    assert first.headers["Content-Security-Policy"].startswith(
        "default-src 'none'; style-src 'self'; script-src 'self'"
    )
    assert "unsafe" not in first.headers["Content-Security-Policy"]
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    again = await client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert (await client.get(path, headers={"If-None-Match": '"other"'})).status == 200


async def test_the_document_is_served_as_it_is_made(client: Client) -> None:
    reply = await client.get("/openapi.json")
    assert reply.content_type == "application/json"
    assert await reply.json() == document(OPERATIONS, server_url=None)


async def test_the_root_leads_to_the_page(client: Client) -> None:
    reply = await client.get("/", allow_redirects=False)
    assert (reply.status, reply.headers["Location"]) == (302, "/docs")


def test_json_is_marked_up_without_changing_what_it_says() -> None:
    text = pretty({"name": 'a"<b>&', "n": -1.5, "list": [["1", "2"]], "none": None, "on": True})
    marked = highlighted(text)
    assert marked.striptags().split() == text.split()
    assert "<b>" not in marked
    assert '<span class="name">&#34;n&#34;</span>: <span class="value">-1.5</span>' in marked
    assert '["1", "2"]' in text


def test_prose_is_escaped_and_only_backticks_become_code() -> None:
    assert with_code("a <script> `x_y` & b") == "a &lt;script&gt; <code>x_y</code> &amp; b"


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": ["string", "number"], "pattern": "…"}, "decimal"),
        ({"type": ["string", "null"]}, "string"),
        ({"type": "string", "format": "uuid"}, "UUID"),
        ({"type": "integer", "minimum": 1, "maximum": 500}, "integer, 1 to 500"),
        ({"type": "array", "minItems": 1, "maxItems": 10}, "array, 1 to 10"),
        ({"enum": [1, 5, "1", "5"]}, "1 | 5"),
        ({"type": "boolean"}, "boolean"),
    ],
)
def test_a_type_is_told_in_a_word_or_two(schema: dict[str, object], words: str) -> None:
    assert type_words(schema) == words
