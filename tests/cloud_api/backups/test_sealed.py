"""The sealed form: what was changed, moved, left out or cut off is found; the wrong key opens nothing."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import IO, cast

import pytest

from cloud_api.backups import archive, key, sealed
from cloud_api.backups.key import OwnerKey, WrongKey
from cloud_api.backups.sealed import CHUNK, Damaged, Opener, Sealer
from cloud_api.kit.errors import KaimenError
from cloud_api.settings import Settings

KEY = OwnerKey(b"k" * 32)
TAGGED = CHUNK + 16


def seal(plain: bytes, owner: OwnerKey = KEY) -> bytes:
    target = io.BytesIO()
    sealer = Sealer(target, owner, {"engine": "sqlite"})
    for at in range(0, len(plain), 300_001):
        sealer.write(plain[at : at + 300_001])
    sealer.finish()
    return target.getvalue()


def unseal(data: bytes, owner: OwnerKey = KEY) -> bytes:
    opener = Opener(io.BytesIO(data), owner)
    return b"".join(iter(lambda: opener.read(1 << 20) or b"", b""))


def parts(data: bytes) -> tuple[bytes, list[bytes]]:
    end = data.index(b"\n", len(sealed.MAGIC)) + 1
    body = data[end:]
    return data[:end], [body[at : at + TAGGED] for at in range(0, len(body), TAGGED)]


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_what_goes_in_comes_out(size: int):
    plain = os.urandom(size)
    assert unseal(seal(plain)) == plain


def test_every_kind_of_damage_is_found():
    head, chunks = parts(seal(os.urandom(3 * CHUNK + 5)))
    assert len(chunks) == 4
    flipped = bytearray(chunks[1])
    flipped[7] ^= 1
    damaged = {
        "changed": [chunks[0], bytes(flipped), *chunks[2:]],
        "moved": [chunks[1], chunks[0], *chunks[2:]],
        "left out": [chunks[0], *chunks[2:]],
        "repeated": [chunks[0], *chunks],
        "cut at a chunk": chunks[:3],
        "cut in a chunk": [*chunks[:3], chunks[3][:-1]],
        "more at the end": [*chunks, b"x"],
        "nothing": [],
    }
    for broken in damaged.values():
        with pytest.raises(Damaged):
            unseal(head + b"".join(broken))
    for other in (head.replace(b"sqlite", b"sqlitf"), head.replace(b'"v":1', b'"v":2')):
        with pytest.raises(Damaged):
            unseal(other + b"".join(chunks))
    with pytest.raises(Damaged):
        unseal(b"PK\3\4" + bytes(100))


def test_chunks_of_another_backup_do_not_fit():
    one, other = seal(b"a" * (CHUNK + 9)), seal(b"a" * (CHUNK + 9))
    assert one != other  # a salt of its own each
    with pytest.raises(Damaged):
        unseal(parts(one)[0] + b"".join([parts(one)[1][0], parts(other)[1][1]]))


def test_the_wrong_key_is_named_before_anything_is_read():
    with pytest.raises(WrongKey):
        unseal(seal(b"x"), OwnerKey(b"o" * 32))


def test_a_passphrase_opens_what_it_sealed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(key, "SCRYPT_N", 1 << 10)
    settings = Settings(secrets="11" * 32, backup_passphrase="三更灯火五更鸡正是男儿读书时")
    owner = key.from_passphrase(str(settings.backup_passphrase), b"s" * 16, 1 << 10)
    data = seal(b"hello", owner)
    header = sealed.read_header(parts(data)[0])
    assert unseal(data, key.for_header(settings, header, None)) == b"hello"
    settings.backup_passphrase = "另一句口令另一句口令另一句"
    with pytest.raises(WrongKey):
        unseal(data, key.for_header(settings, header, None))
    header["key"]["kdf"]["n"] = 1 << 30  # a header cannot make us take all memory
    with pytest.raises(WrongKey):
        key.for_header(settings, header, None)


def test_keys_that_are_none_are_refused(tmp_path: Path):
    settings = Settings(secrets="11" * 32, backup_passphrase="kurz")
    with pytest.raises(KaimenError) as short:
        key.from_settings(settings)
    assert short.value.code == "backup.bad_key"
    settings.backup_passphrase = None
    with pytest.raises(key.NoKey):
        key.from_settings(settings)
    made = key.make_file(tmp_path / "k")
    assert key.from_file(tmp_path / "k").id == made.id
    assert (tmp_path / "k").stat().st_mode & 0o077 == 0
    with pytest.raises(FileExistsError):
        key.make_file(tmp_path / "k")


def test_an_archive_names_what_does_not_fit():
    target = io.BytesIO()
    writer = archive.Writer(target)
    writer.add("a", io.BytesIO(b"first" * 100_000))
    writer.add("b/c", io.BytesIO(b""))
    manifest = writer.finish({"engine": "sqlite"})
    data = target.getvalue()
    got: dict[str, io.BytesIO] = {}

    class Kept(io.BytesIO):
        def close(self) -> None: ...

    def sink(path: str) -> IO[bytes]:
        return got.setdefault(path, Kept())

    assert archive.read(io.BytesIO(data), sink) == manifest
    assert got["a"].getvalue() == b"first" * 100_000
    for broken in (data[:-1], data[:1000], data + b"x", data.replace(b"first", b"fIrst", 1)):
        with pytest.raises(Damaged):
            archive.read(io.BytesIO(broken), lambda _path: None)


@pytest.mark.parametrize("path", ["../keys.json", "/etc/passwd", "a/../../b", ""])
def test_a_member_stays_below_its_folder(path: str):
    target = io.BytesIO()
    writer = archive.Writer(cast(IO[bytes], target))
    writer.add(path, io.BytesIO(b"x"))
    writer.finish({})
    with pytest.raises(Damaged):
        archive.read(io.BytesIO(target.getvalue()), lambda _path: pytest.fail("written"))
