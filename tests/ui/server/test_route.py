"""Addresses that are no page, behind Streamlit's own file server and its rule to answer anything with the app's page."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from streamlit.web.server.starlette.starlette_static_routes import create_streamlit_static_assets_routes

from vitviz.frontend import FOLDER
from vitviz.ui.pages.registry import pages
from vitviz.ui.server.payloads import PayloadStore
from vitviz.ui.server.route import (
    COOKIE,
    NARROW_COOKIE,
    KnownPages,
    VisitorCookie,
    address,
    frontend_address,
    frontend_route,
    is_narrow,
    payload_route,
    picture_route,
    publish,
)
from vitviz.ui.shell import styles


def client(base: str, store: PayloadStore | None = None) -> TestClient:
    prefix = f"/{base.strip('/')}" if base else ""
    routes = [
        payload_route(PayloadStore() if store is None else store, base),
        frontend_route(base),
        picture_route(base),
        Route(f"{prefix}/_stcore/health", lambda _: PlainTextResponse("ok")),
        Route(f"{prefix}/media/page.html", lambda _: HTMLResponse("<p>offered by a page</p>")),
        *create_streamlit_static_assets_routes(base),
    ]
    known = Middleware(KnownPages, pages=[view.name for view in pages()], base_path=base)
    return TestClient(Starlette(routes=routes, middleware=[Middleware(VisitorCookie, base_path=base), known]))


@pytest.mark.parametrize("base", ["", "lab/vit", "/lab/vit/"])
def test_only_pages_are_answered_with_the_page(base):
    browser = client(base)
    prefix = f"/{base.strip('/')}" if base else ""
    for page in ["", *(view.name for view in pages())]:
        answer = browser.get(f"{prefix}/{page}?model=embedded&layer=3")
        assert answer.status_code == 200 and "<title>" in answer.text
    for nothing in (
        *(
            "readyz",
            "robots.txt",
            "sitemap.xml",
            "favicon.ico",
            ".env",
            ".git/config",
            "index.php",
            "rollout/x",
            "Rollout",
        ),
        *("_stcore/nothing", "static/js/nothing.js", "payload", "index.html", "docs", "api/v1", "é", "app.py"),
    ):
        for method in ("GET", "HEAD"):
            answer = browser.request(method, f"{prefix}/{nothing}", follow_redirects=True)
            assert answer.status_code == 404, (method, nothing)
            assert "<title>" not in answer.text
    assert browser.get(f"{prefix}/readyz").text == "not found"


@pytest.mark.parametrize("base", ["", "lab"])
def test_what_is_no_page_and_is_there_is_answered_as_before(base):
    store = PayloadStore()
    browser = client(base, store)
    prefix = f"/{base}" if base else ""
    health = browser.get(f"{prefix}/_stcore/health")
    assert health.text == "ok"
    assert browser.get(f"{prefix}/favicon.png").headers["content-type"] == "image/png"
    assert "offered" in browser.get(f"{prefix}/media/page.html").text
    name = store.offer("s", "k", lambda: b"x", visitor=health.cookies[COOKIE])
    assert browser.get(address(name, base)).content == b"x"


@pytest.mark.parametrize("base", ["", "lab/vit"])
def test_the_front_end_is_served_under_its_version(base):
    browser = client(base)
    folder = frontend_address(base)
    assert folder.startswith(f"/{base}/frontend/" if base else "/frontend/")
    for folder_asked in (folder, f"{folder}.2"):  # an address for another attempt
        answer = browser.get(f"{folder_asked}/core/scale.js")
        assert answer.status_code == 200
        assert answer.content == (FOLDER / "core/scale.js").read_bytes()
        assert answer.headers["content-type"].startswith("text/javascript")
        assert "immutable" in answer.headers["cache-control"]
    former = folder[: folder.rindex("/") + 1] + "0" * 16
    for nothing in (f"{former}/core/scale.js", f"{folder}/core/nothing.js", f"{folder}/__init__.py", f"{folder}/"):
        answer = browser.get(nothing)
        assert answer.status_code == 404
        assert "no-store" in answer.headers["cache-control"], "a module of the next version may come"
    for outside in ("../ui/main.py", "..%2fui%2fmain.py", "core/../../errors.py", "%2e%2e/errors.py"):
        assert browser.get(f"{folder}/{outside}").status_code == 404


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
def test_the_visitors_cookie_keeps_to_an_encrypted_connection_where_there_is_one(scheme, secure):
    browser = client("")
    browser.base_url = f"{scheme}://testserver"
    (cookie,) = [value for value in browser.get("/").headers.get_list("set-cookie") if value.startswith(COOKIE)]
    assert {"HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
    assert ("Secure" in cookie.split("; ")) == secure


@pytest.mark.parametrize(("base", "path"), [("", "/"), ("/lab/vit/", "/lab/vit")])
def test_the_visitors_cookie_is_for_this_app_alone(base, path):
    browser = client(base)
    answer = browser.get(f"{base or '/'}")
    assert f"{COOKIE}=" in answer.headers["set-cookie"] and f"Path={path};" in answer.headers["set-cookie"]


@pytest.mark.parametrize("own", ["", "ann", "x" * 21, "x" * 23, "é" * 22, "x" * 21 + "."])
def test_a_cookie_of_anothers_making_is_replaced(own):
    answer = client("").get("/", headers={"cookie": f"{COOKIE}={own}".encode()})
    assert len(answer.cookies[COOKIE]) == 22
    assert "set-cookie" not in client("").get("/", headers={"cookie": f"{COOKIE}={answer.cookies[COOKIE]}"}).headers


def test_a_cookie_of_anothers_making_opens_nothing():
    store = PayloadStore()
    name = store.offer("s", "k", lambda: b"x", visitor="ann")
    assert client("", store).get(address(name), headers={"cookie": f"{COOKIE}=ann"}).status_code == 404


def test_a_published_picture_is_made_once_and_may_be_kept_by_every_browser():
    made = []
    address = publish("a photograph, small", lambda: made.append(1) or b"a jpeg file")
    browser = client("")
    assert not made, "a page that only names it does not wait for it"
    answer = browser.get(address)
    assert answer.content == b"a jpeg file" and answer.headers["content-type"] == "image/jpeg"
    assert "set-cookie" not in answer.headers, "a cache would hand one visitor's cookie to all"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    again = publish("a photograph, small", lambda: b"")
    assert again == address and browser.get(again).content == b"a jpeg file" and made == [1]
    assert browser.get(f"{address[:-5]}0.jpg" if address[-5] != "0" else f"{address[:-5]}1.jpg").status_code == 404


@pytest.mark.parametrize(
    ("said", "name", "narrow"), [("1", "", True), ("0", "Mobi", False), ("x", "Mobi", True), (None, "", False)]
)
def test_a_window_is_as_narrow_as_its_page_says(said, name, narrow):
    assert is_narrow({"User-Agent": name}, {} if said is None else {NARROW_COOKIE: said}) == narrow
    assert f"{NARROW_COOKIE}=$" in styles.WIDTH_SCRIPT
