"""The server as users start it, asked without a browser."""

from __future__ import annotations

import http.client
import os
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from .serving import ROOT, served


def status(address: str) -> int:
    try:
        return urllib.request.urlopen(address, timeout=20).status
    except urllib.error.HTTPError as error:
        return error.code


def test_addresses_that_are_no_page_are_not_found(server):
    assert status(f"{server}/") == status(f"{server}/rollout") == status(f"{server}/_stcore/health") == 200
    assert status(f"{server}/readyz/x") == status(f"{server}/robots.txt") == status(f"{server}/_stcore/nothing") == 404


@pytest.mark.parametrize("up", ["../" * 9, "%2e%2e/" * 9, "..%2f" * 9, "..%5c" * 9, "/", "%2f"])
def test_no_address_leads_to_a_file_of_the_server(server, up):
    """Whatever answers: Streamlit's pages and files, components, and the app's own routes."""
    own = ("frontend/x", "payload", "pictures")
    streamlits = ("static", "app/static", "media", "component/x", "_stcore/bidi-components/x", "_stcore/upload_file/x")
    for start in ("", *own, *streamlits):
        connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=20)  # which sends the address as it is
        connection.request("GET", f"/{start}/{up}etc/passwd".replace("//", "/", 1))
        answer = connection.getresponse()
        assert answer.status in (400, 403, 404, 405) and b"root:" not in answer.read(), start
        connection.close()


def test_settings_may_stand_in_streamlits_secrets(tmp_path):
    """As on Streamlit Community Cloud, where an operator can set nothing else."""
    secrets = tmp_path / "secrets.toml"
    secrets.write_text(
        'VITVIZ_ALLOWED_HOSTS = "*.streamlit.app"\nVITVIZ_FRAME_ANCESTORS = "https://share.streamlit.io"\n'
    )
    with served(ROOT / "app.py", {"STREAMLIT_SECRETS_FILES": str(secrets)}, asked="/healthz") as address:
        for host, wanted in (("vitviz.streamlit.app", 200), ("vitviz.example.org", 400)):
            try:
                asked = urllib.request.Request(f"{address}/healthz", headers={"Host": host})
                answer = urllib.request.urlopen(asked, timeout=20)
            except urllib.error.HTTPError as error:
                answer = error
            assert answer.status == wanted, host
            assert "frame-ancestors https://share.streamlit.io;" in answer.headers["Content-Security-Policy"]


@pytest.mark.skipif(sys.platform != "linux", reason="open files are read from /proc")
@pytest.mark.long
def test_an_upload_opens_no_file(server):
    """4 MB are sent but for the last piece, and the server's open files are looked at."""
    host = urlsplit(server).netloc
    with urllib.request.urlopen(f"{server}/_stcore/health", timeout=20) as answered:
        cookies = [each.partition(";")[0] for each in answered.headers.get_all("Set-Cookie")]
    xsrf = next(value for name, _, value in (each.partition("=") for each in cookies) if name == "_streamlit_xsrf")
    with connect(f"ws://{host}/_stcore/stream", origin=server, subprotocols=["streamlit"], max_size=None) as page:
        page.send(BackMsg(rerun_script={}).SerializeToString())
        session = ""
        while not session:
            message = ForwardMsg.FromString(page.recv(timeout=60))
            session = message.new_session.initialize.session_id
        start = (
            b'--x\r\nContent-Disposition: form-data; name="f"; filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        )
        end = b"\r\n--x--\r\n"
        whole = start + bytes(4 << 20) + end
        head = (
            f"PUT /_stcore/upload_file/{session}/file HTTP/1.1\r\nHost: {host}\r\nCookie: {'; '.join(cookies)}\r\n"
            f"X-Xsrftoken: {xsrf}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            f"Content-Length: {len(whole)}\r\nConnection: close\r\n\r\n"
        )
        before = open_files(server.pid)
        with socket.create_connection((urlsplit(server).hostname, urlsplit(server).port)) as upload:
            upload.sendall(head.encode() + whole[: -len(end)])
            page.ping().wait(20)  # answered by the loop that has read the upload meanwhile
            status(f"{server}/_stcore/health")
            during = open_files(server.pid)
            upload.sendall(end)
            answer = upload.recv(1000)
    assert answer.startswith(b"HTTP/1.1 204"), answer
    assert not during - before


def open_files(pid: int) -> set[str]:
    """What a process has open that lies on a disk, deleted files included."""
    opened = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith("/") and not target.startswith(("/dev/", "/proc/")):
            opened.add(target)
    return opened
