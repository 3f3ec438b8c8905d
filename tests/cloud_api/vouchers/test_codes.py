"""Codes and QRs of vouchers: slips are told, forgeries are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_api.kit.crypto import Vault, use_vault
from cloud_api.kit.errors import KaimenError
from cloud_api.vouchers import codes

use_vault(Vault([b"v" * 32]))


def refused(text: str, at: float) -> str:
    with pytest.raises(KaimenError) as error:
        codes.voucher_of_qr(text, at)
    return error.value.code


@given(st.integers(0, 11), st.integers(1, 9))
def test_one_wrong_digit_is_always_found(place: int, by: int) -> None:
    code = codes.new_code()
    assert codes.normal(f" {code[:4]}-{code[4:8]} {code[8:]}") == code
    wrong = code[:place] + str((int(code[place]) + by) % 10) + code[place + 1 :]
    with pytest.raises(KaimenError):
        codes.normal(wrong)


@pytest.mark.parametrize(
    "text", ["", "123", "1234567890123", "abcdefghijkl", "１２３４５６７８９０１２"]
)
def test_what_is_no_code_is_told_as_such(text: str) -> None:
    with pytest.raises(KaimenError) as error:
        codes.normal(text)
    assert (error.value.code, error.value.field) == ("voucher.bad_code", "code")


@given(st.integers(0, 200), st.characters(codec="ascii"))
def test_no_other_text_than_ours_names_a_voucher(place: int, letter: str) -> None:
    at = 1_790_000_000.0
    voucher = "01M8310ND3K5CVN2D9BN77DHF3"
    seen = codes.qr_text(voucher, at)
    assert codes.voucher_of_qr(seen, at + 59) == voucher
    place %= len(seen)
    changed = seen[:place] + letter + seen[place + 1 :]
    if changed != seen:
        assert refused(changed, at) in {"voucher.bad_qr", "voucher.old_qr"}


def test_it_is_good_for_this_minute_and_the_next() -> None:
    at = 1_790_000_040.0
    seen = codes.qr_text("01M8310ND3K5CVN2D9BN77DHF3", at)
    assert codes.voucher_of_qr(seen, at + 60)
    assert refused(seen, at + 120) == "voucher.old_qr"
    assert refused(seen, at - 61) == "voucher.old_qr"
