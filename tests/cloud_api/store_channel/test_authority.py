"""The installation's keys and certificates: made once, kept secret, renewed in time."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from cloud_api.kit.keys import load_keys, rotate
from cloud_api.settings import Settings
from cloud_api.store_channel.authority import load_authority
from cloud_api.store_channel.broker_admin import NatsBrokerAdmin, nats_users
from cloud_api.store_channel.office import issue_broker_certificate

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_many_processes_starting_at_once_make_one_set_of_keys(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: load_keys(tmp_path).public(), range(16)))
    assert len(set(made)) == 1
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    with ThreadPoolExecutor(8) as pool:
        roots = list(pool.map(lambda _: load_authority(tmp_path, NOW).ca_pem, range(16)))
    assert len(set(roots)) == 1
    assert stat.S_IMODE((tmp_path / "authority" / "ca.key").stat().st_mode) == 0o600


def test_a_new_key_signs_while_the_old_one_is_still_believed(tmp_path: Path) -> None:
    old = load_keys(tmp_path)
    new = rotate(tmp_path, "pass")
    assert [key.kid for key in new.public() if key.purpose == "pass"] == ["p1", "p2"]
    assert new.signing("pass").kid == "p2"
    assert new.signing("desired").kid == old.signing("desired").kid
    assert [key.kid for key in rotate(tmp_path, "pass").public()][-2:] == ["p2", "p3"]
    assert load_keys(tmp_path).signing("pass").kid == "p3"


def test_a_damaged_key_file_is_no_reason_to_make_new_keys(tmp_path: Path) -> None:
    load_keys(tmp_path)
    (tmp_path / "keys.json").write_text('{"desired": []}')
    with pytest.raises(ValueError, match="backup"):
        load_keys(tmp_path)


def test_a_broker_certificate_is_kept_until_it_must_change(tmp_path: Path) -> None:
    authority = load_authority(tmp_path / "data", NOW)
    folder = tmp_path / "broker"
    names = ["kaimen-broker", "127.0.0.1"]
    files = authority.issue_broker(folder, names, NOW)
    first = files.cert.read_bytes()
    authority.issue_broker(folder, names, NOW + timedelta(days=300))
    assert files.cert.read_bytes() == first
    authority.issue_broker(folder, [*names, "192.168.1.9"], NOW)
    second = files.cert.read_bytes()
    assert second != first
    authority.issue_broker(folder, [*names, "192.168.1.9"], NOW + timedelta(days=800))
    assert files.cert.read_bytes() != second
    certificate = x509.load_pem_x509_certificate(second)
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(one.value) for one in found} == {*names, "192.168.1.9"}


def test_a_revocation_list_names_what_was_revoked(tmp_path: Path) -> None:
    authority = load_authority(tmp_path, NOW)
    crl = x509.load_pem_x509_crl(authority.revocation_list([("ab12", NOW)], NOW).encode())
    assert crl.get_revoked_certificate_by_serial_number(0xAB12) is not None
    assert crl.get_revoked_certificate_by_serial_number(0xAB13) is None
    assert crl.is_signature_valid(authority.certificate.public_key())  # type: ignore[arg-type]


def test_nothing_but_a_name_becomes_a_broker_user() -> None:
    for bad in ('a" }', "a b", "A", ""):
        with pytest.raises(ValueError, match="name"):
            nats_users([(bad, "S1")])
    with pytest.raises(ValueError, match="store id"):
        nats_users([("a", 'x.>"')])


async def test_a_stale_pid_file_hurts_nobody(tmp_path: Path) -> None:
    """A broker was killed, its number went to another program, and SIGHUP ended that."""
    import subprocess
    import sys

    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        (tmp_path / "nats.pid").write_text(str(bystander.pid))
        admin = NatsBrokerAdmin(tmp_path / "users.conf", tmp_path / "nats.pid")
        await admin.ensure_store("a", "S1")
        assert bystander.poll() is None
    finally:
        assert bystander.stdin is not None
        bystander.stdin.write(b"\n")
        bystander.stdin.close()
        assert bystander.wait(10) == 0


def test_what_the_operator_calls_to_set_up_a_broker(tmp_path: Path) -> None:
    settings = Settings(secrets="11" * 32, data_dir=tmp_path / "data", store_mqtt_host="mqtt.shop")
    files = issue_broker_certificate(settings, tmp_path / "broker", ["10.9.8.7"])
    certificate = x509.load_pem_x509_certificate(files.cert.read_bytes())
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    names = {str(one.value) for one in found}
    assert {"kaimen-broker", "localhost", "127.0.0.1", "mqtt.shop", "10.9.8.7"} <= names
    root = x509.load_pem_x509_certificate(files.ca.read_bytes())
    certificate.verify_directly_issued_by(root)
