"""The image, the proxy and the pinned versions: linted here, and built and run where Docker is."""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vitviz.ui.server.settings import ServerSettings, variable

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
DEPLOY = (ROOT / "docs" / "deploy.md").read_text()
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yml").read_text())


def pinned() -> dict[str, str]:
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.!]+", line) for line in lines)
    return dict(line.split("==") for line in lines)


def test_the_dockerfile_has_no_remarks() -> None:
    linter = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if linter is None:
        pytest.skip("hadolint is not installed; the extra test brings it for Linux on x86-64")
    done = subprocess.run([linter, str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stdout, done.stdout + done.stderr


def test_the_image_and_the_build_say_what_they_are_made_of() -> None:
    """Of the pinned versions: an audit against known weaknesses, and a list in CycloneDX's form."""
    said = subprocess.run(
        ["make", "--dry-run", "audit", "sbom"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert re.search(r"pip-audit .*-r requirements.lock", said)
    assert re.search(r"cyclonedx-py requirements .*-o build/sbom.cdx.json requirements.lock", said)
    assert "cyclonedx-py environment --of JSON -o /venv/sbom.cdx.json" in DOCKERFILE


def test_the_image_runs_without_root_and_says_how_it_is() -> None:
    final = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert re.search(r"^USER (?!0\b|root\b)\d+$", final, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", final, re.MULTILINE) and "readyz" in final
    assert "ARG TORCH_INDEX=" in DOCKERFILE and '--index-url "${TORCH_INDEX}"' in DOCKERFILE
    assert "COPY . " not in final, "the source and what it was built with stay behind"


def test_what_goes_into_the_image_is_there_and_nothing_else() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = [rule[1:] for rule in rules if rule.startswith("!")]
    assert all((ROOT / name).exists() for name in allowed)
    assert not {".git", ".env", "tests", "secrets.toml"} & set(allowed)
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "include"
    ]
    for each in build:  # the wheel's own contents, without which the build fails
        assert any((name := each.strip("/")) == kept or kept.startswith(f"{name}/") for kept in allowed), each


def test_settings_in_the_files_exist() -> None:
    text = DOCKERFILE + (ROOT / "deploy" / "compose.yml").read_text() + DEPLOY
    known = {variable(name) for name in ServerSettings.__dataclass_fields__}
    elsewhere = {"VITVIZ_HOST", "VITVIZ_CHECKPOINTS", "VITVIZ_DEVICE", "VITVIZ_DTYPE"}
    assert set(re.findall(r"\bVITVIZ_[A-Z_]*[A-Z]", text)) <= known | elsewhere


def test_replicas_are_locked_down_and_the_proxy_keeps_a_visitor_on_one() -> None:
    services = COMPOSE["services"]
    replicas = {name: service for name, service in services.items() if name != "proxy"}
    assert len(replicas) > 1
    for service in replicas.values():
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and "ports" not in service
        assert service["security_opt"] == ["no-new-privileges:true"]
        (most,) = re.findall(r":-(\d+)", service["environment"]["VITVIZ_MAX_CONNECTIONS"])
        assert service["mem_limit"] == "6g" and 1.1 + int(most) * 0.05 < 6.5, "GB, as docs/deploy.md plans"
        assert service["pids_limit"] > int(most) * 3 + 200
    public = services["proxy"]
    assert public["read_only"] and public["cap_drop"] == ["ALL"] and public["cap_add"] == ["NET_BIND_SERVICE"]
    proxy = (ROOT / "deploy" / "Caddyfile").read_text()
    assert "lb_policy cookie" in proxy
    assert not re.search(r"^\s*trusted_proxies", proxy, re.MULTILINE), "whose X-Forwarded-For would be appended to"
    assert set(re.findall(r"(\w+):8501", proxy)) == set(replicas)


def test_every_requirement_is_pinned_to_a_version_that_it_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    wanted = [Requirement(line) for line in (*project["dependencies"], "vitviz[app,metrics,sign-in]")]
    versions = pinned()
    for each in wanted:  # which grows on the way: extras name extras
        if each.name == "vitviz":
            wanted += [Requirement(line) for extra in each.extras for line in optional[extra]]
        else:
            version = versions[canonicalize_name(each.name)]
            assert each.specifier.contains(version), f"{each} is pinned to {version}: run make lock"


def test_the_image_is_computed_to_take_less_than_2_gb() -> None:
    said = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "lock.py"), "--size"], capture_output=True, text=True, check=True
    ).stdout
    (computed,) = re.findall(r"([\d.]+) GB  computed, not built", said)
    assert 1 < float(computed) < 2, said
    (documented,) = re.findall(r"The image takes about ([\d.]+) GB", DEPLOY)
    assert float(documented) == pytest.approx(float(computed), abs=0.1)


def test_the_sign_in_and_the_hub_are_told_nothing_they_need_not_know() -> None:
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert settings["browser"]["gatherUsageStats"] is False
    assert settings["server"]["enableXsrfProtection"] is True
    assert settings["server"]["enableCORS"] is True
    assert settings["server"]["enableAgentApi"] is False
    assert settings["client"]["showErrorDetails"] == "none"
    assert settings["logger"]["enableRich"] is False
    assert "HF_HUB_DISABLE_TELEMETRY=1" in DOCKERFILE
    assert all("--disable-usage-stats" in line for line in DEPLOY.splitlines() if "ray start" in line)
    nginx = (ROOT / "deploy" / "nginx.conf").read_text()
    assert re.search(r"^  access_log off;", nginx, re.MULTILINE) and "error_log stderr alert;" in nginx
    assert re.search(r"^ +proxy_request_buffering off;", nginx, re.MULTILINE), "uploads would be files on its disk"
    assert re.search(r"^ +proxy_max_temp_file_size 0;", nginx, re.MULTILINE), "and so would what pages show"


def docker_is_there() -> bool:
    docker = shutil.which("docker")
    return bool(docker) and subprocess.run([docker, "info"], capture_output=True).returncode == 0


@pytest.mark.skipif(not docker_is_there(), reason="no Docker here")
@pytest.mark.timeout(1800)
def test_the_image_is_built_and_answers() -> None:  # pragma: no cover
    subprocess.run(["docker", "build", "--tag", "vitviz-test", str(ROOT)], check=True)
    inspect = ["docker", "image", "inspect", "--format", "{{.Size}}", "vitviz-test"]
    assert int(subprocess.run(inspect, check=True, capture_output=True, text=True).stdout) < 2_000_000_000
    run = ["docker", "run", "--rm", "--detach", "--read-only", "--tmpfs", "/tmp", "--publish", "127.0.0.1::8501"]
    name = subprocess.run([*run, "vitviz-test"], check=True, capture_output=True, text=True).stdout.strip()
    try:
        port = subprocess.run(["docker", "port", name, "8501"], check=True, capture_output=True, text=True).stdout
        for _ in range(120):
            try:
                with urllib.request.urlopen(f"http://{port.strip()}/readyz", timeout=5) as answer:
                    assert json.load(answer)["ready"]
                    break
            except OSError:
                time.sleep(1)
        else:
            pytest.fail("it does not become ready")
    finally:
        subprocess.run(["docker", "kill", name], check=True)


@pytest.mark.skipif(not docker_is_there(), reason="no Docker here")
@pytest.mark.timeout(1800)
def test_two_replicas_behind_their_proxy_come_up() -> None:  # pragma: no cover
    compose = ["docker", "compose", "--project-name", "vitviz-test", "--file", str(ROOT / "deploy" / "compose.yml")]
    if subprocess.run([*compose[:2], "version"], capture_output=True).returncode:
        pytest.skip("no Docker Compose here")
    environment = {**os.environ, "VITVIZ_HOST": "localhost", "COOKIE_SECRET": "of a test"}
    own_certificate = ssl.create_default_context()
    own_certificate.check_hostname, own_certificate.verify_mode = False, ssl.CERT_NONE
    try:
        subprocess.run([*compose, "up", "--build", "--detach"], check=True, env=environment)
        for _ in range(180):
            try:
                with urllib.request.urlopen("https://localhost/readyz", timeout=5, context=own_certificate) as answer:
                    assert json.load(answer)["ready"]
                    assert "vitviz_replica=" in str(answer.headers.get_all("Set-Cookie"))
                    break
            except OSError:
                time.sleep(1)
        else:
            pytest.fail("it does not become ready")
    finally:
        subprocess.run([*compose, "down", "--volumes"], check=True, env=environment)
