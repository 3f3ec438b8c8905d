"""Topics: what is built is parsed, and nothing else is."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store_link import topics
from store_link.topics import ParsedTopic, Plane, TopicError
from tests.store_link.strategies import NAMES


@given(NAMES, st.sampled_from(Plane), NAMES)
def test_round_trip(store, plane, instance):
    who = instance if plane is Plane.ACK else None
    text = topics.topic(plane, store, who)
    parsed = topics.parse(text)
    assert parsed == ParsedTopic(store, plane, who)
    assert str(parsed) == text
    assert parsed.shard == zlib.crc32(store.encode()) % 64
    assert len(text) <= topics.MAX_TOPIC


@given(NAMES, st.sampled_from(Plane), st.data())
def test_no_part_of_a_topic_is_a_topic(store, plane, data):
    text = topics.topic(plane, store, "i" if plane is Plane.ACK else None)
    cut = data.draw(st.integers(0, len(text) - 1))
    for other in (text[:cut], text[cut + 1 :], text + "/", "/" + text, text + "\n"):
        with pytest.raises(TopicError):
            topics.parse(other)


@given(st.text() | st.from_regex(r"km/1/[0-9]{2}/[^/]*/(up|down)/.*"))
def test_noise_raises_only_topic_error(text):
    try:
        parsed = topics.parse(text)
    except TopicError:
        return
    assert str(parsed) == text


@pytest.mark.parametrize("junk", [None, b"km/1/00/a/up/event", 7, ["km"]])
def test_what_is_no_text_is_no_topic(junk):
    with pytest.raises(TopicError):
        topics.parse(junk)


@pytest.mark.parametrize("name", ["", "a/b", "a+", "#", "a b", "a.b", "门", "a\n", "x" * 65])
def test_ids_that_a_broker_would_read_otherwise_are_refused(name):
    with pytest.raises(TopicError):
        topics.root(name)
    with pytest.raises(TopicError):
        topics.ack("S", name)


def test_only_an_ack_has_an_instance():
    with pytest.raises(TopicError):
        topics.topic(Plane.ACK, "S")
    with pytest.raises(TopicError):
        topics.topic(Plane.EVENT, "S", "i")


def test_only_states_are_retained_and_never_an_order():
    assert {plane for plane in Plane if plane.retain} == {
        Plane.DESIRED,
        Plane.REPORTED,
        Plane.PRESENCE,
    }


def test_builders_by_name_give_their_plane():
    named = {
        Plane.DESIRED: topics.desired("S"),
        Plane.COMMAND: topics.command("S"),
        Plane.EVENT_ACK: topics.event_ack("S"),
        Plane.EVENT: topics.event("S"),
        Plane.ACK: topics.ack("S", "i"),
        Plane.REPORTED: topics.reported("S"),
        Plane.PRESENCE: topics.presence("S"),
        Plane.TELEMETRY: topics.telemetry("S"),
    }
    assert set(named) == set(Plane)
    assert all(topics.parse(text).plane is plane for plane, text in named.items())


@pytest.mark.parametrize("shard", [-1, 64])
def test_there_are_64_shards(shard):
    with pytest.raises(TopicError):
        topics.ingest_filter(shard)
