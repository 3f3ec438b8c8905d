"""Enrolment against a small HTTP server, and what the command line says when things are wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from controller.cli import app
from controller.cloud_http import authorization
from controller.enroll import make_csr
from controller.identity import load
from store_link.signing import SigningKey


class Authority:
    """Signs requests as the cloud does: the name in them is ignored."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        self.pem = self._issue(self.name, self.key.public_key())
        self.seen: list[dict[str, Any]] = []

    def _issue(self, subject: x509.Name, public: Any) -> str:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=1))
            .not_valid_after(now + timedelta(days=90))
        )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    def answer(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.seen.append(request)
        if request["code"] != "GOOD":
            return 403, {"code": "enrolment_code_invalid", "detail": "this code is not valid"}
        csr = x509.load_pem_x509_csr(request["csr"].encode())
        assert csr.is_signature_valid
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "st1")])
        return 200, {
            "store_id": "st1",
            "certificate": self._issue(subject, csr.public_key()),
            "ca": self.pem,
            "mac_kid": "m1",
            "mac_key": "11" * 32,
            "keys": [
                SigningKey.generate("d1", "desired").public().model_dump(),
                SigningKey.generate("c1", "command").public().model_dump(),
            ],
            "mqtt": {"host": "broker.example", "port": 8883, "tls": True, "server_name": None},
            "ports_hint": {"rs485-1": "/dev/serial/by-id/usb-1"},
        }


@pytest.fixture
def cloud() -> Iterator[tuple[str, Authority]]:
    authority = Authority()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = authority.answer(body)
            raw = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", authority
    server.shutdown()
    server.server_close()
    thread.join()


def run(*args: str) -> Any:
    return CliRunner().invoke(app, list(args))


def test_a_code_makes_this_machine_the_controller(
    cloud: tuple[str, Authority], tmp_path: Path
) -> None:
    url, _ = cloud
    state = tmp_path / "state"
    result = run("enroll", "--cloud", url, "--code", "GOOD", "--state", str(state))
    assert result.exit_code == 0, result.output
    identity = load(state)
    assert (identity.store, identity.cloud) == ("st1", url)
    for name in ("identity.json", "client.key", "client.pem", "ca.pem"):
        assert (state / name).stat().st_mode & 0o777 == 0o600
    assert not list(state.glob("*.new"))
    assert (state / "ports.yaml").read_text() == "rs485-1: /dev/serial/by-id/usb-1\n"
    assert "11" * 32 not in result.output
    assert identity.endpoint(state).tls is not None


def test_a_bad_code_is_explained_and_leaves_nothing(
    cloud: tuple[str, Authority], tmp_path: Path
) -> None:
    state = tmp_path / "state"
    result = run("enroll", "--cloud", cloud[0], "--code", "BAD", "--state", str(state))
    assert result.exit_code == 1
    assert "enrolment_code_invalid" in result.output
    assert "make a new one in the console" in result.output
    assert not state.exists()


def test_a_cloud_that_is_not_there_is_explained(tmp_path: Path) -> None:
    result = run(
        "enroll", "--cloud", "http://127.0.0.1:1", "--code", "X", "--state", str(tmp_path / "s")
    )
    assert result.exit_code == 1
    assert "cannot be reached" in result.output


def test_run_status_and_doctor_say_that_the_store_is_not_enrolled(tmp_path: Path) -> None:
    for command in ("run", "status", "doctor"):
        result = run(command, "--state", str(tmp_path))
        assert result.exit_code == 1
        assert "kaimen-edge enroll" in result.output


def test_a_setting_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAIMEN_EDGE_DIAGNOSTICS", "perhaps")
    result = run("status")
    assert result.exit_code == 1
    assert "KAIMEN_EDGE_DIAGNOSTICS=perhaps cannot be read" in result.output


def test_doctor_names_a_missing_port(cloud: tuple[str, Authority], tmp_path: Path) -> None:
    state = tmp_path / "state"
    run("enroll", "--cloud", cloud[0], "--code", "GOOD", "--state", str(state))
    result = run("doctor", "--state", str(state))
    assert "✗ port rs485-1: /dev/serial/by-id/usb-1 is not there." in result.output
    assert "valid for 89 days" in result.output


def test_the_key_never_leaves() -> None:
    private, csr = make_csr()
    assert b"PRIVATE KEY" in private
    assert "PRIVATE" not in csr


def test_the_header_for_fetching_desired_is_fixed() -> None:
    """A golden value: the cloud computes the same."""
    header = authorization("st1", bytes(32), 1_800_000_000_000)
    assert header == (
        "KaimenStore st1 1800000000000 "
        "cfa141c27cfc5fb09ca15629d0dfb2694ebbdf8b93c8c2572fce468d1d821c32"
    )
