"""What goes with the files: the page, the schema for editors, families, and files to begin with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from device_profiles import Catalog, ProfileError, catalogue, json_schema, load_profile
from device_profiles.capabilities import RULES
from device_profiles.loader import CATALOG
from firmware_bridge.installer import words
from firmware_bridge.installer.wiring import wiring
from firmware_bridge.profiles_cli import app

ROOT = Path(__file__).parents[2]
CLI = CliRunner()
PROFILES = Catalog.built_in().profiles


def test_the_page_says_what_the_files_say() -> None:
    """``kaimen-bridge profiles docs > docs/catalogue.md``"""
    assert CLI.invoke(app, ["docs"]).stdout == (ROOT / "docs" / "catalogue.md").read_text("utf-8")


def test_the_schema_for_editors_is_that_of_the_loader() -> None:
    """``kaimen-bridge profiles schema > device_profiles/profile.schema.json``"""
    text = (ROOT / "device_profiles" / "profile.schema.json").read_text("utf-8")
    assert CLI.invoke(app, ["schema"]).stdout == text == json_schema.as_text()


def test_the_schema_for_editors_takes_every_file_and_no_typing_mistake() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json.loads(json_schema.as_text()))
    for file in sorted(CATALOG.glob("*.yaml")):
        data = yaml.safe_load(file.read_text("utf-8"))
        assert [e.message for e in validator.iter_errors(data)][:3] == [], file.name
    relay = yaml.safe_load((CATALOG / "waveshare.modbus-rtu-relay-8ch.yaml").read_text("utf-8"))
    assert list(validator.iter_errors(relay | {"vender": "x"}))
    assert list(validator.iter_errors(relay | {"kind": "toaster"}))


def test_there_are_boards_of_every_kind_and_transport() -> None:
    assert {profile.kind for profile in PROFILES.values()} == set(catalogue.KINDS)
    assert {profile.transport.type for profile in PROFILES.values()} == {
        "modbus_rtu",
        "modbus_tcp",
        "serial_lines",
        "serial_frames",
        "mqtt_local",
        "http_local",
    }
    assert len(PROFILES) >= 45


def test_every_model_says_where_its_facts_are_from() -> None:
    for profile in PROFILES.values():
        assert profile.sources, profile.id
        assert profile.caveats, profile.id
        assert profile.verified == "doc", f"{profile.id}: no board of ours was on a bench yet"
        linked = [source for source in profile.sources if "https://" in source]
        noted = [source for source in profile.sources if len(source) > 80]
        assert linked or noted, f"{profile.id}: its sources cannot be found by anybody"


def test_whoever_opens_a_door_says_how_it_fails_or_leaves_it_to_what_is_wired() -> None:
    for profile in PROFILES.values():
        opens = any(name == "lock.pulse" for name, _ in profile.services)
        assert profile.safety.egress == "hardware", profile.id
        assert profile.safety.on_start == "leave", profile.id
        if profile.kind in ("lock", "lock_board"):
            assert opens, profile.id
            assert profile.safety.fail is not None, profile.id
            assert not profile.channels("switch.set"), f"{profile.id}: a lock could be left open"


def test_the_list_and_the_sheet_of_a_board() -> None:
    listed = CLI.invoke(app, ["list", "--kind", "meter", "--serves", "energy.wh"]).stdout
    assert "peacefair.pzem-016" in listed
    assert "waveshare" not in listed
    assert "验证：照文档" in listed
    assert listed.startswith("电表 (meter)")
    assert "没有“toaster”这一类" in CLI.invoke(app, ["list", "--kind", "toaster"]).stderr
    words.choose("en")
    try:
        english = CLI.invoke(app, ["list", "--kind", "meter"]).stdout
        assert english.startswith("Meters (meter)")
        assert "There is no kind “toaster”" in CLI.invoke(app, ["list", "--kind", "toaster"]).stderr
        for kind, title in catalogue.KINDS.items():
            assert words.say(kind) == title
        for capability, rule in RULES.items():
            assert words.say(f"means.{capability}") == rule.meaning
        sheet = CLI.invoke(app, ["show", "securitron.m680e-on-waveshare-8ch"]).stdout
        assert "Without power the lock lets go." in sheet.split("Wiring")[1]
    finally:
        words.choose("zh")
    sheet = CLI.invoke(app, ["show", "securitron.m680e-on-waveshare-8ch"]).stdout
    assert "action    pulse.8, pulse, raw_fc05 0x0207" in sheet  # from its base
    assert "switch.set" not in sheet.split("接线")[0]
    assert "EGRESS" in sheet
    assert "断电后锁会松开。" in sheet
    every = [wiring(profile) for profile in Catalog.built_in().profiles.values()]
    assert all(note.startswith("接线\n  ") and "{" not in note for note in every)
    assert "kaimen-bridge" not in CLI.invoke(app, ["show", "acme.relay"]).stdout


@pytest.mark.parametrize("kind", catalogue.KINDS)
def test_a_new_file_of_each_kind_passes_the_check(tmp_path: Path, kind: str) -> None:
    made = CLI.invoke(app, ["new", kind, "acme.thing-8", "--folder", str(tmp_path)])
    assert made.exit_code == 0, made.output
    file = tmp_path / "acme.thing-8.yaml"
    assert CLI.invoke(app, ["check", str(file)]).stdout.startswith("acme.thing-8.yaml：没问题，")
    assert load_profile(file).kind == kind
    again = CLI.invoke(app, ["new", kind, "acme.thing-8", "--folder", str(tmp_path)])
    assert "已经有了" in again.stderr
    bad = CLI.invoke(app, ["new", kind, "Acme Thing", "--folder", str(tmp_path)])
    assert bad.exit_code == 1
    assert list(tmp_path.iterdir()) == [file]


FAMILY = """
schema: 1
id: acme.bigger
extends: acme.base
revision: 1
kind: relay_board
vendor: Acme
model: Bigger
sources: [{title: made up}]
verified: doc
points: {relay: {repeat: {to: 3}}, level: null}
capabilities: {lock.pulse: null, switch.set: {channels: {to: 3}}}
simulator: {coils: {count: 3}}
tests:
  - name: relay 3 on
    call: {write: relay.3, value: true}
    tx: "01 05 00 02 FF 00 2D FA"
    rx: "01 05 00 02 FF 00 2D FA"
"""


def test_a_family_says_only_how_it_differs(tmp_path: Path) -> None:
    base = (Path(__file__).parent / "made" / "example.relay.yaml").read_text("utf-8")
    (tmp_path / "acme.base.yaml").write_text(base.replace("example.relay", "acme.base"))
    file = tmp_path / "acme.bigger.yaml"
    file.write_text(FAMILY)
    bigger = load_profile(file)
    assert sorted(bigger.points) == ["relay.1", "relay.2", "relay.3"]
    assert bigger.vendor == "Acme"
    assert bigger.channels("switch.set") == (1, 2, 3)
    assert bigger.channels("lock.pulse") == ()
    assert [test.name for test in bigger.tests] == ["relay 3 on"]
    for old, new, message in (
        (
            "acme.base",
            "acme.none",
            "4: extends: there is no profile 'acme.none' in the same folder",
        ),
        ("kind: relay_board\n", "", "2: kind: is missing"),
        ("to: 3}}, level", "to: x}}, level", "points.relay.repeat.to: should be a valid integer"),
    ):
        file.write_text(FAMILY.replace(old, new, 1))
        with pytest.raises(ProfileError) as caught:
            load_profile(file)
        assert message in str(caught.value)
    file.write_text(FAMILY)
    (tmp_path / "acme.third.yaml").write_text(
        FAMILY.replace("acme.bigger", "acme.third").replace("acme.base", "acme.bigger")
    )
    with pytest.raises(ProfileError, match="only one level is allowed"):
        load_profile(tmp_path / "acme.third.yaml")
