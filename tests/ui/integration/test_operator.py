"""What the operator switches off stays off, whatever a link asks for; on the pages as visitors see them."""

from __future__ import annotations

import logging
import sys

import pytest
from huggingface_hub import constants
from streamlit.runtime.secrets import Secrets

from tests.models.hub_server import Hub, serving
from tests.ui.integration.test_pages import jpeg, upload
from vitviz.errors import ModelError
from vitviz.images import decoding
from vitviz.models.registry import curated
from vitviz.ui.compute import consent, loading, services
from vitviz.ui.pages import registry
from vitviz.ui.server import session, settings
from vitviz.ui.server.settings import ServerSettings, SettingsError
from vitviz.ui.shell import assembly, opening, sidebar


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch):
    """operator(public=True, ...): the server with these settings."""

    def switch(**chosen: object) -> None:
        # Streamlit runs the frame as a script, which imports its settings anew.
        for module in (settings, loading, services, registry, sidebar, opening):
            monkeypatch.setattr(module, "settings", lambda: ServerSettings(**chosen))

    return switch


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN", "hf_operators_own")
    with serving(Hub(b"x")) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running
    services.models().results.clear()
    services.queue().results.clear()


@pytest.mark.parametrize(
    "name", ["hf:anybody/anything", "hf-hub:anybody/anything", "vit_tiny_patch16_224.augreg_in21k"]
)
def test_a_public_server_asks_the_hub_for_nothing_that_a_link_names(app, hub, operator, name):
    operator(public=True)
    shown = app("patches", model=name)
    assert f"This server does not load {name}" in shown.wrong[0].replace("\\", "")
    assert hub.requests == []


def test_nor_for_a_convolutional_network_or_a_detector(hub, operator):
    """Pages that load models beside the selected one go by the same rules."""
    operator(public=True)
    for ask, name in ((loading.cnn_of, "resnet18.a1_in1k"), (loading.detector_of, "hf:anybody/anything")):
        with pytest.raises(ModelError, match="This server does not load"):
            ask(name)
    assert hub.requests == []


def test_nothing_of_a_picture_is_logged(app, caplog):
    caplog.set_level(logging.DEBUG)
    shown = upload(app("patches"), jpeg(1), "our-holiday.jpg")
    assert not shown.wrong
    scoped = [key for key in services.queue().results if key.scope]
    assert scoped, "there is something that could be logged"
    assert upload(shown, b"\xff\xd8\xff nothing", "broken-holiday.jpg").wrong
    assert "holiday" not in caplog.text
    assert not [key for key in scoped if key.image in caplog.text or key.scope in caplog.text]


def test_a_public_server_offers_the_curated_models_and_no_search(app, operator):
    operator(public=True)
    kinds = app("patches").at.selectbox(key="model kind").options
    assert kinds == ["Embedded", "Well-known"]


def test_an_allow_list_is_what_is_offered(app, operator):
    names = [entry.name for entry in curated()]
    operator(models=(names[1],))
    shown = app("patches")
    shown.at.selectbox(key="model kind").select("known").run()
    assert len(shown.at.selectbox(key="choice of model").options) == 1
    assert shown.parameters["model"] == names[1]


def test_no_account_is_shown_to_the_hub_for_a_visitor(app, hub, operator):
    operator()
    shown = app("patches", model="test_vit.r160_in1k")
    assert shown.wrong and hub.requests
    assert set(hub.accounts) == {None}


def test_a_large_download_is_asked_about_and_a_larger_one_refused(app, hub, operator, monkeypatch):
    operator(max_download=2_000_000)
    monkeypatch.setattr(consent, "ASK_WEIGHT_BYTES", 1_600_000)  # of memory the model takes 1.5 MB
    hub.claims = 1_700_000
    shown = app("patches", model="test_vit.r160_in1k")
    (question,) = [warning.value for warning in shown.at.warning]
    assert "The download of" in question and not shown.wrong
    assert not [path for method, path in hub.requests if method == "GET"]
    hub.claims = 2_500_000
    services.queue().results.clear()
    shown = app("patches", model="test_vit.r160_in1k")
    assert "downloads files of at most 2 MB" in shown.wrong[0]
    assert not [path for method, path in hub.requests if method == "GET"]


def test_a_size_that_is_switched_off_is_shown_at_the_models_own(app, operator):
    operator(max_size=300)
    shown = app("patches", size="336")
    assert not shown.wrong
    assert any("at most 300 pixels" in info.value for info in shown.at.info)
    assert "size" not in shown.parameters


def test_a_page_that_is_switched_off_is_not_there(app, operator):
    operator(pages_off=("what_if", "compare"))
    names = [page.name for page in registry.pages_shown()]
    assert names == [page.name for page in registry.pages() if page.name not in ("what_if", "compare")]
    assert not app("rollout").wrong  # a page with links to those
    operator(pages_off=("start",))
    with pytest.raises(SettingsError, match="start; pages that can be switched off: patches"):
        registry.pages_shown()


def test_nothing_is_shown_before_signing_in(app, operator):
    operator(sign_in=True)
    shown = app("patches")
    assert [button.label for button in shown.at.button] == ["Sign in"]
    assert not shown.at.selectbox and not shown.wrong


def test_whoever_has_signed_in_sees_the_app_until_signing_out(app, operator):
    operator(sign_in=True)
    shown = app("patches")
    for signed_in in (True, False):
        shown.at.user = {"is_logged_in": signed_in, "email": "ann@example.org"}
        shown.at.run()
        assert not shown.wrong
        assert ("Sign in" in [button.label for button in shown.at.button]) != signed_in
        assert bool(shown.at.selectbox) == bool(shown.at.get("bidi_component")) == signed_in
        assert "ann@example.org" not in shown.text


def test_an_upload_is_decoded_in_another_process_and_refused_once(app, monkeypatch):
    monkeypatch.setattr(decoding, "read_image", lambda *_: pytest.fail("decoded in the server"))
    shown = upload(app("patches"), jpeg(1))
    assert not shown.wrong
    asked = []
    real = services.decoders().read
    monkeypatch.setattr(services.decoders(), "read", lambda *given: asked.append(1) or real(*given))
    shown = upload(shown, b"\xff\xd8\xff nothing")
    assert "damaged" in shown.wrong[0]
    shown.at.run()
    assert not shown.wrong and asked == [1], "said once, and not tried again"


def test_files_of_all_tabs_of_a_browser_have_one_sender(app, monkeypatch):
    """Of which one at a time is decoded; a browser without a cookie is told by its tab."""
    senders = []
    real = services.decoders().read

    def read(content, check, sender):
        senders.append(sender)
        return real(content, check, sender)

    monkeypatch.setattr(services.decoders(), "read", read)
    for number, cookie in enumerate(("first browser", "first browser", "", "")):
        monkeypatch.setattr(session, "visitor_of", lambda _, cookie=cookie: cookie)
        assert not upload(app("patches", model="test_vit", weights="random"), jpeg(number)).wrong
    assert senders[:2] == ["first browser"] * 2
    assert all(senders[2:]) and len(set(senders)) == 3


def test_a_sign_in_that_nobody_could_pass_keeps_the_server_from_starting(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # without secrets
    assembly.need_sign_in(ServerSettings())
    with pytest.raises(SettingsError, match="section \\[auth\\]"):
        assembly.need_sign_in(ServerSettings(sign_in=True))
    monkeypatch.setattr(assembly.st, "secrets", {"auth": {"client_id": "x"}})
    assembly.need_sign_in(ServerSettings(sign_in=True))
    for name in [name for name in sys.modules if name.startswith("authlib.integrations")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("httpx", "httpx2"):
        monkeypatch.setitem(sys.modules, name, None)  # as where nothing installs what an old authlib imports
    with pytest.raises(SettingsError, match=r"vitviz\[sign-in\].*httpx"):
        assembly.need_sign_in(ServerSettings(sign_in=True))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("VITVIZ_PUBLIC = true", "VITVIZ_PUBLIC in the secrets has to be a text in quotes"),
        ('[auth]\nclient_id = "x"\nVITVIZ_PUBLIC = "1"', r"VITVIZ_PUBLIC stands in the section \[auth\]"),
        ("VITVIZ_PUBLIC = ", "secrets cannot be read"),
    ],
)
def test_a_setting_in_the_secrets_that_nobody_would_read_keeps_the_server_from_starting(
    monkeypatch, tmp_path, text, wrong
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(assembly.st, "secrets", Secrets())
    monkeypatch.setattr(Secrets, "_maybe_install_file_watchers", lambda _: None)
    assembly.take_secrets()  # there are none
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "secrets.toml").write_text(text)
    with pytest.raises(SettingsError, match=wrong):
        assembly.take_secrets()


def test_what_was_computed_of_a_picture_goes_when_the_next_one_comes(app):
    results = services.queue().results
    before = {key.scope for key in results}
    shown = upload(app("patches"), jpeg(1))
    (scope,) = {key.scope for key in results} - before - {None}
    shared = {key for key in results if key.scope is None}
    first = {key for key in results if key.scope == scope}
    upload(shown, jpeg(2))
    second = {key for key in results if key.scope == scope}
    assert first and second and not first & second
    assert shared <= set(results)
