"""The end of what is held until its money comes: did it come? then see to it that it cannot, then let go.

Whoever holds something (an order, a change of one, a group order) registers a due job that calls
``money_came`` and, under its own lock, ``nothing_comes`` before it lets go: in between a payment may be
opened or arrive, then the job looks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import Again, looked
from cloud_api.kit.models import DueJob
from cloud_api.payments import dispatch, service
from cloud_api.payments.models import PaymentAttempt
from cloud_api.payments.transitions import OPEN_PAYMENT

_ASK_AGAIN_S: Final = (2, 4, 8, 15, 30, 60, 120, 300)


async def money_came(cloud: Cloud, job: DueJob, attempts: Sequence[PaymentAttempt]) -> bool:
    """Whether one of the attempts was paid after all, and has its effect now; else all are closed for good.

    Raises Again while a provider does not say. One that came before and went back (it is ``applied``)
    counts for nothing.
    """
    for attempt in attempts:
        if attempt.applied is not None:
            continue
        state = attempt.state
        if state in OPEN_PAYMENT:
            state = await service.settle_or_close(cloud, attempt.id)
        if state == "succeeded":
            async with cloud.db.write() as session:
                await dispatch.settle(session, attempt.id, cloud.clocks)
            return True
        if state == "unknown":
            after = _ASK_AGAIN_S[min(looked(job), len(_ASK_AGAIN_S) - 1)]
            raise Again(after, "the provider does not say whether the money came")
    return False


def nothing_comes(attempts: Sequence[PaymentAttempt]) -> None:
    """Raise Again where a payment was opened, or arrived, since ``money_came``."""
    waiting = [one for one in attempts if one.applied is None]
    if any(one.state in (*OPEN_PAYMENT, "succeeded") for one in waiting):
        raise Again(1, "a payment was opened or arrived meanwhile")
