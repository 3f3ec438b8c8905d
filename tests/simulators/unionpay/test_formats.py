"""The gateway's two formats: the bill's columns, and answers that are not percent-encoded."""

from __future__ import annotations

import base64
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_api.payments.providers.unionpay import bill, signing
from simulators.unionpay import signing as theirs
from simulators.unionpay.book import BEIJING


@pytest.mark.parametrize(
    "content", ["", "!!", base64.b64encode(b"x").decode(), base64.b64encode(b"x\x9c").decode()]
)
def test_a_bill_that_is_no_bill_says_so(content: str) -> None:
    with pytest.raises(bill.Unreadable):
        bill.unpack(content)


def test_a_bill_of_new_year_finds_its_year() -> None:
    row = b" ".join(b" " * width for width in bill.WIDTHS)

    def with_(*parts: tuple[int, str]) -> bytes:
        cut = [bytearray(b" " * width) for width in bill.WIDTHS]
        for index, text in parts:
            cut[index][: len(text)] = text.encode()
        return b" ".join(bytes(one) for one in cut)

    told = with_((0, "S22"), (4, "1231235900"), (6, "000000000100"), (11, "2612312359000001z1"))
    lines = bill.lines_of({"INN27010188ZM_1": told + b"\r\n" + row}, date(2027, 1, 1), "1")
    assert [line.at for line in lines] == [datetime(2026, 12, 31, 23, 59, tzinfo=BEIJING)]
    with pytest.raises(bill.Unreadable, match="no number"):
        bill.lines_of({"ZM_": with_((0, "S22"), (6, "1x"))}, date(2027, 1, 1), "1")
    with pytest.raises(bill.Unreadable, match="too short"):
        bill.lines_of({"ZM_": b"S22"}, date(2027, 1, 1), "1")
    with pytest.raises(bill.Unreadable, match="no ZM"):
        bill.lines_of({"ZME": b""}, date(2027, 1, 1), "1")


def test_numbers_go_there_and_back() -> None:
    for number in ("2611261900000001-1", "2611261900000001-T12-Rlatex2"):
        assert bill.number_of(bill.order_id(number)) == number
    for wrong in ("short-1", "2611261900000001_1", "z611261900000001-1", "x" * 41):
        with pytest.raises(ValueError, match="no order number"):
            bill.order_id(wrong)


@given(
    st.dictionaries(
        st.from_regex(r"[a-zA-Z]{1,12}", fullmatch=True),
        st.text("abc=+/中 0123456789\r\n-", min_size=0, max_size=40),
        max_size=8,
    )
)
def test_an_answer_is_read_as_it_was_written(fields: dict[str, str]) -> None:
    assert signing.parse_answer(theirs.body(fields)) == fields


def test_values_in_braces_are_whole() -> None:
    told = signing.parse_answer("a={x=1&y=2}&b=[{q=1&r=2}]&c=1")
    assert told == {"a": "{x=1&y=2}", "b": "[{q=1&r=2}]", "c": "1"}
