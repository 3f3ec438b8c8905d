"""The arithmetic of profiles: right where Python is, and nothing but arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles.expressions import ExpressionError, bind, evaluate, fill, is_expression, names

NUMBERS = st.integers(-70_000, 70_000)


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> str:
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(["ch", "n", "0x0200", "7", "100"]))
    left, right = draw(expressions(depth - 1)), draw(expressions(depth - 1))
    return f"({left} {draw(st.sampled_from(['+', '-', '*', '//']))} {right})"


@given(expressions(), NUMBERS, NUMBERS)
def test_comes_to_what_python_comes_to(text: str, ch: int, n: int) -> None:
    known = {"ch": ch, "n": n}
    if len(text) > 80:
        with pytest.raises(ExpressionError, match="longer than 80"):
            evaluate("{" + text + "}", known)
        return
    try:
        wanted = eval(text, {}, dict(known))
    except ZeroDivisionError:
        with pytest.raises(ExpressionError, match="division by nought"):
            evaluate("{" + text + "}", known)
    else:
        assert evaluate("{" + text + "}", known) == wanted


@given(NUMBERS, NUMBERS)
def test_binding_in_two_steps_is_evaluating_in_one(ch: int, n: int) -> None:
    text = "{0x0200 + ch * 2 - n // 3}"
    half = bind(text, {"ch": ch})
    assert names(half) == {"n"}
    assert evaluate(half, {"n": n}) == evaluate(text, {"ch": ch, "n": n})
    assert bind(text, {"ch": ch, "n": n}) == evaluate(text, {"ch": ch, "n": n})


@pytest.mark.parametrize(
    "text",
    ["ch ** 9", "ch / 2", "ch % 2", "~ch", "+ch", "ch.real", "f(ch)", "[1][0]", "1 if ch else 2", "True",
     "'a'", "1.5", "lambda: 1", "ch := 1", "", "1 +", "ch << 3", "(1, 2)", "__import__('os')"],
)  # fmt: skip
def test_nothing_but_arithmetic(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate("{" + text + "}", {"ch": 1})


def test_numbers_pass_and_text_is_filled() -> None:
    assert evaluate(7, {}) == 7
    assert fill("relay.{ch + 1} of {ch}", {"ch": 2}) == "relay.3 of 2"
    assert is_expression("{ch - 1}")
    assert not is_expression("relay.{ch}")
    with pytest.raises(ExpressionError, match="neither a whole number nor an expression"):
        evaluate("relay.{ch}", {"ch": 1})
