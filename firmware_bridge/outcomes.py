"""What an exchange on the line means for the act that was asked for.

The one question that matters for a pulse is whether a byte left: if none did it certainly did not
happen (failed, expired); if any did and the board did not answer, nobody knows (unknown).
"""

from __future__ import annotations

from typing import Any

from firmware_bridge.bus import Exchange
from firmware_bridge.contract import Outcome, OutcomeState

# Modbus exceptions after which the order was certainly not carried out: it was refused unread.
_NOT_DONE = frozenset({1, 2, 3, 6})


def evidence(exchange: Exchange) -> dict[str, Any]:
    """Frames in hex and times in ms, for the journal."""
    told: dict[str, Any] = {"tx": exchange.tx.hex(" "), "rx": exchange.rx.hex(" ")}
    told |= {"took_ms": exchange.took_ms, "attempts": exchange.attempts}
    return told


def after_pulse(exchange: Exchange, confirmed: dict[str, Any]) -> Outcome:
    """The outcome of a pulse. A missed confirmation is noted; it does not undo the board's answer."""
    told = {**evidence(exchange), **confirmed}
    if exchange.result == "answered":
        missed = "confirm" in confirmed and confirmed["confirm"].get("read") is not True
        detail = (
            "answered by the board, not seen when read back" if missed else "answered by the board"
        )
        return Outcome(OutcomeState.DONE, None, detail, told)
    return _unanswered(exchange, told)


def after_say(exchange: Exchange) -> Outcome:
    """The outcome of playing a clip; a device that gives no answer is believed when it was sent."""
    if exchange.result == "answered":
        return Outcome(
            OutcomeState.DONE, None, exchange.detail or "answered by the device", evidence(exchange)
        )
    return _unanswered(exchange, evidence(exchange))


def together(parts: list[tuple[str, Outcome]]) -> Outcome:
    """The outcome of several levels of one device: that of the last one tried, with all the evidence."""
    last = parts[-1][1]
    if len(parts) == 1:
        return last
    told = {point: dict(outcome.evidence) for point, outcome in parts}
    detail = last.detail if last.state is OutcomeState.DONE else f"{parts[-1][0]}: {last.detail}"
    return Outcome(last.state, last.reason, detail, told)


def after_level(
    exchange: Exchange,
    back: Exchange | None,
    value: float | str | None,
    wanted: float | str,
    rounds: int,
) -> Outcome:
    """The outcome of asserting a level: what is read back says more than what was answered."""
    told = {**evidence(exchange), "rounds": rounds}
    if back is not None:
        told["confirm"] = {"read": value, **evidence(back)}
    if value is not None and value == wanted:
        return Outcome(OutcomeState.DONE, None, "read back", told)
    if value is not None:
        read = ("on" if value else "off") if isinstance(value, bool) else str(value)
        read = f"{value:g}" if isinstance(value, float) else read
        detail = f"the board was told {rounds} times and still reads {read}"
        return Outcome(OutcomeState.FAILED, "device_error", detail, told)
    if exchange.result == "answered":
        return Outcome(OutcomeState.DONE, None, "answered by the board, not read back", told)
    return _unanswered(exchange, told)


def _unanswered(exchange: Exchange, told: dict[str, Any]) -> Outcome:
    detail = exchange.detail
    if exchange.result == "expired" and not exchange.sent and not exchange.attempts:
        return Outcome(OutcomeState.EXPIRED, "deadline", detail, told)
    if exchange.result == "refused":
        # A spoken device has no codes: by its refusal it says that it did nothing.
        certain = exchange.exception is None or exchange.exception in _NOT_DONE
        state = OutcomeState.FAILED if certain else OutcomeState.UNKNOWN
        return Outcome(state, "device_error", f"the board answered {detail}", told)
    if not exchange.sent and not exchange.attempts:
        return Outcome(OutcomeState.FAILED, "device_offline", detail, told)
    return Outcome(OutcomeState.UNKNOWN, "no_answer", detail, told)
