"""Files for running zhiyin elsewhere, read as strictly as can be without the engines that run them."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from zhiyin import __version__
from zhiyin.cli.app import app
from zhiyin.serve.settings import VARIABLE, Settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE, UNIT = DEPLOY / "Dockerfile", DEPLOY / "zhiyin.service"
PINNED = re.compile(r"^[\w./-]+:\d+\.\d+(\.\d+)?[\w.-]*$")
SETTINGS = {VARIABLE + name.upper() for name in Settings.model_fields}


def check_command(words: Sequence[str]) -> None:
    """A command line of zhiyin names a command and options that there are."""
    known: Any = get_command(app)
    words = list(words)
    while hasattr(known, "commands"):
        known = known.commands[words.pop(0)]
    options = {name for parameter in known.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options, words


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.M))
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in text.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))


def test_the_image_is_pinned_small_and_runs_as_nobody_in_particular() -> None:
    told = instructions()
    stages = [value.split() for name, value in told if name == "FROM"]
    assert len(stages) == 2 and all(PINNED.match(stage[0]) for stage in stages)
    final = told[max(i for i, (name, _) in enumerate(told) if name == "FROM") :]
    said = dict(final)
    assert said["USER"] == "10001:10001"
    assert list(dict(final)).index("USER") < list(dict(final)).index("ENTRYPOINT")
    assert json.loads(said["ENTRYPOINT"]) == ["zhiyin"]
    assert f":{said['EXPOSE']}/health/ready" in said["HEALTHCHECK"] and said["EXPOSE"] == str(Settings().port)
    check_command(json.loads(said["CMD"]))
    assert not {"ADD", "MAINTAINER"} & {name for name, _ in told}
    for name, value in told:
        if name == "RUN":
            assert "sudo" not in value and not re.search(r"(curl|wget)[^|]*\|\s*(ba)?sh", value)
            assert "apt-get install" not in value or ("--no-install-recommends" in value and "rm -rf /var/lib/apt/lists" in value)
            assert "pip install" not in value or "--no-cache-dir" in value
        if name in ("ENV", "ARG"):
            assert not re.search(r"PASSWORD|SECRET|TOKEN|_KEY", value)
        if name == "COPY" and "--from" not in value:
            assert all((ROOT / source).exists() for source in value.split()[:-1])


def test_what_is_sent_to_the_builder_is_what_it_copies() -> None:
    allowed = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {source for name, value in instructions() if name == "COPY" and "--from" not in value for source in value.split()[:-1]}
    assert allowed == copied


def test_services_are_pinned_watched_and_bounded(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"zhiyin", "postgres", "redis"}
    for name, service in compose["services"].items():
        assert PINNED.match(service["image"]), name
        assert service["restart"] == "unless-stopped"
        assert "no-new-privileges:true" in service["security_opt"]
        assert service["logging"]["options"]["max-size"]
        assert set(service["networks"]) <= set(compose["networks"])
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} is open to everybody"
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in compose["volumes"]
        assert not service.get("privileged") and service.get("user") != "root"
    assert compose["networks"]["stores"]["internal"]
    assert all("healthcheck" in compose["services"][name] for name in compose["services"]["zhiyin"]["depends_on"])


def test_the_server_of_the_services_is_told_what_it_understands(compose: dict[str, Any]) -> None:
    server = compose["services"]["zhiyin"]
    assert server["image"] == f"zhiyin:{__version__}"
    assert (DEPLOY / server["build"]["context"] / server["build"]["dockerfile"]).resolve() == DOCKERFILE
    assert set(server["build"]["args"]) == {value.split("=")[0] for name, value in instructions() if name == "ARG"}
    check_command(server["command"])
    environment = server["environment"]
    assert set(environment) <= SETTINGS
    secret = environment["ZHIYIN_DATABASE"]
    assert "${POSTGRES_PASSWORD:?" in secret, "a password belongs into .env, and there is no default"
    settings = Settings.here({**environment, "ZHIYIN_DATABASE": re.sub(r"\$\{[^}]*\}", "x", secret)}, host="0.0.0.0")
    assert (settings.database, settings.redis) == ("postgresql://zhiyin:x@postgres:5432/zhiyin", "redis://redis:6379/0")
    assert server["read_only"] and server["cap_drop"] == ["ALL"]
    assert server["ports"][0].endswith(f":{settings.port}")


def unit() -> configparser.ConfigParser:
    read = configparser.ConfigParser(strict=True, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read(UNIT)
    return read


def test_the_unit_runs_a_command_that_there_is_and_ends_it_as_it_ends() -> None:
    service = unit()["Service"]
    words = shlex.split(service["ExecStart"])
    assert words[0].startswith("/") and words[0].endswith("/zhiyin")
    check_command(words[1:])
    assert service["User"] not in ("", "root")
    assert service["Restart"] == "on-failure" and service["RestartPreventExitStatus"] == "2"
    assert int(service["TimeoutStopSec"]) > 30  # longer than the server and its workers take at most
    assert {"Unit", "Service", "Install"} == set(unit().sections())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine (apt-get install systemd)")
def test_systemd_takes_the_unit_and_finds_it_closed(tmp_path: Path) -> None:
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/zhiyin/bin/zhiyin", shutil.which("true") or ""))
    checked = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0 and UNIT.name not in checked.stderr, checked.stderr
    closed = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "unrecognized option" in closed.stderr:
        pytest.skip("this systemd cannot look at a unit that is not installed (250 or newer can)")
    assert closed.returncode == 0, closed.stdout[-300:] + closed.stderr
