"""A small class at the served app, the short form of `benchmarks/load/classroom.py`; and visitors whose network fails."""

from __future__ import annotations

import json
import re
import socket
import time
import urllib.request
from pathlib import Path

import pytest
from PIL import Image
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from benchmarks.load import classroom
from benchmarks.load.soak import MOST_GROWTH, Soaked, soak
from benchmarks.load.soak import report as soak_report
from benchmarks.load.visitor import XSRF, Visitor, pattern, photograph

from .serving import ROOT, Address, served


def test_three_visitors_get_their_own_pictures_and_no_error(server: str) -> None:
    log = classroom.walk(server, sessions=3, steps=2, pace=0.0)
    assert log.wrong == []
    assert len(log.seconds["upload"]) == 3 and log.pictures >= 3
    assert sum(map(len, log.seconds.values())) == 3 * (1 + 1 + 2)


@pytest.mark.long
def test_a_picture_of_somebody_else_is_noticed(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both visitors send the same photograph; the second expects its own."""
    real = classroom.photograph
    monkeypatch.setattr(classroom, "photograph", lambda number: real(7))
    log = classroom.walk(server, sessions=1, steps=1, pace=0.0)
    assert any("not this visitor's" in said for said in log.wrong)


def test_a_visitor_without_an_answer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    log = classroom.walk("http://127.0.0.1:9", sessions=1, steps=1, pace=0.0)
    (said,) = log.wrong
    assert "without an answer" in said


def test_what_happens_is_written_down_at_once_and_reported(tmp_path: Path) -> None:
    with (tmp_path / "class.jsonl").open("w") as file:
        log = classroom.Log(file=file)
        log.took(classroom.OPENING, 1.5)
        log.failed("lost upload", "visitor 3")
        lines = [json.loads(line) for line in (tmp_path / "class.jsonl").read_text().splitlines()]
    assert lines[0]["kind"] == classroom.OPENING and lines[0]["seconds"] == 1.5 and lines[1]["wrong"] == "lost upload"
    log.took(classroom.OPENING, 2.5)  # of a visitor who still waited when the file was closed
    said = classroom.report(log, [900.0, 950.0, 940.0], 10.0)
    assert "| opening the app | 2 | 2.00 |" in said and "lost upload: 1" in said and "at the end 940 MB" in said


def test_a_bound_that_is_missed_is_said() -> None:
    log = classroom.Log()
    for seconds in (0.1, 0.9, 3.9):
        log.took(classroom.FIRST, seconds)
        log.took(classroom.HEAD, seconds)
    assert classroom.missed(log) == [] and "Bounds that were missed: none." in classroom.report(log, [])
    log.took(classroom.LAYER, 6.1)
    log.took(classroom.LONG_TEST, 600.0)
    assert classroom.missed(log) == [
        "every later run: median 2.40 s in place of 1 s",
        "every later run: 95th percentile 5.77 s in place of 4 s",
    ]
    for seconds in (4.5, 4.7):
        log.took(classroom.FIRST, seconds)
    assert classroom.missed(log)[0] == "first run of a page: median 3.90 s in place of 2 s"
    assert "every later run | 4 | 2.40 | 5.77 | 6.10 | 1.0 and 4.0 s |" in classroom.report(log, [])


def test_layers_heads_and_queries_are_chosen(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each choice of a student arrives: the microscope, which comes last, says what all pages share."""
    log = classroom.Log()
    student = classroom.Student(5, server, log, lambda: None)
    student.upload()
    reports, report = [], student.visitor.report
    monkeypatch.setattr(student.visitor, "report", lambda *given: reports.append(given[2]) or report(*given))
    for page, choices in classroom.CHOICES.items():
        student.visitor.open(page)
        for kind, key in choices:
            student.change(kind, key)
    (told,) = student.visitor.view.components("microscope")
    *_, layer, head, query = reports
    kept = {"layer": layer["layer"], "head": head["head"], "token": query["token"]}
    assert told["view"] == query and query.items() >= kept.items()
    assert type(kept["layer"]) is type(kept["head"]) is int and kept["token"].startswith("r")
    student.visitor.close()
    assert log.wrong == []
    kinds = [kind for choices in classroom.CHOICES.values() for kind, _ in choices]
    assert {kind: len(log.seconds[kind]) for kind in {*kinds}} == {kind: kinds.count(kind) for kind in kinds}


def test_patterns_are_told_apart() -> None:
    def shown(number: int) -> Image.Image:
        return Image.fromarray(pattern(number)).resize((224, 224), Image.Resampling.BICUBIC)

    for number in range(40):
        picture = shown(number)
        assert [other for other in range(max(0, number - 20), number + 20) if classroom.is_of(picture, other)] == [
            number
        ]


@pytest.mark.long
def test_photographs_one_after_the_other_are_all_shown(server: Address) -> None:
    """The short form of `benchmarks/load/soak.py`, on the app with its stores as they are."""
    soaked = soak(server, images=4)
    assert soaked.lost == [] and len(soaked.megabytes) == 4 and min(soaked.megabytes) > 100


def test_memory_that_grows_and_memory_that_does_not() -> None:
    full = [500.0 + 5 * min(at, 30) for at in range(100)]
    assert Soaked(full, []).growth < MOST_GROWTH / 2
    readings = [400.0] * 33 + [float(each) for each in range(500, 567)]  # the first third fills the stores
    assert "median 533 MB, quartiles 516 and 550 MB" in soak_report(Soaked(readings, []))
    assert Soaked([500.0 + at for at in range(100)], []).growth > MOST_GROWTH


def test_a_connection_that_is_lost_between_an_upload_and_its_page(server: str) -> None:
    """The file has arrived and the page has not heard of it; the browser comes back to its session and says so."""
    visitor = Visitor(server)
    visitor.open("patches")
    visitor.upload(classroom.photograph(3), show=False)
    name = visitor.session
    visitor.lose_connection()
    view = visitor.reconnect()
    assert visitor.session == name and not view.wrong
    picture = visitor.picture()
    assert picture is not None and classroom.is_of(picture, 3)
    visitor.close()


def test_a_page_elsewhere_can_send_no_file_and_open_no_connection(server: str) -> None:
    """Streamlit's protection against forged requests: a page of another server has neither the token nor the origin."""
    visitor = Visitor(server)
    visitor.open("patches")
    visitor.choose("picture source", string_array_value=["Upload"])
    place = server + visitor.ask_for_place("photo.png").upload_url
    files = {"file": ("photo.png", classroom.photograph(3))}
    for token in ({}, {"X-Xsrftoken": "made up"}):
        assert visitor.http.put(place, files=files, headers=token, timeout=60).status_code == 403
    sent = visitor.http.put(place, files=files, headers={"X-Xsrftoken": visitor.http.cookies[XSRF]}, timeout=60)
    assert sent.ok, "the same request with the token"
    visitor.close()
    address = server.replace("http", "ws", 1) + "/_stcore/stream"
    with pytest.raises(InvalidStatus, match="403"), connect(address, origin="https://evil.example"):  # type: ignore[arg-type]
        pass
    with connect(address, origin=server, subprotocols=["streamlit"]):  # type: ignore[arg-type, list-item]
        pass


def test_an_upload_that_breaks_off_in_the_middle(server: str) -> None:
    """Half of the bytes come, then the network fails; the same session uploads again."""
    visitor = Visitor(server)
    visitor.open("patches")
    visitor.choose("picture source", string_array_value=["Upload"])
    place = visitor.ask_for_place("photo.png")
    host, port = server.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as half:
        head = f"PUT {place.upload_url} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 100000\r\n"
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.http.cookies)
        token = visitor.http.cookies.get(XSRF)
        head += f"Cookie: {cookies}\r\nX-Xsrftoken: {token}\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n"
        half.sendall(head.encode() + b"--x\r\n" + b"a" * 5_000)
    visitor.lose_connection()
    assert not visitor.reconnect().wrong
    assert not visitor.upload(classroom.photograph(4)).wrong
    picture = visitor.picture()
    assert picture is not None and classroom.is_of(picture, 4)
    visitor.close()


@pytest.mark.long
def test_nothing_is_left_of_the_last_who_leaves() -> None:
    """But for what a reload finds for half an hour. Streamlit itself would keep the last tab until another one is closed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def uploaded() -> int:
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20).read().decode()
        return int(float(re.search(r"^vitviz_uploads_bytes (\S+)$", text, re.MULTILINE)[1]))

    settings = {"STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL": "2", "VITVIZ_METRICS": str(port)}
    with served(ROOT / "app.py", settings) as server:
        visitor, content = Visitor(server), photograph(1)
        visitor.open("patches")
        assert not visitor.upload(content).wrong
        assert uploaded() == 2 * len(content)
        visitor.close()
        until = time.monotonic() + 60
        while uploaded() > len(content):
            assert time.monotonic() < until
            time.sleep(0.2)
