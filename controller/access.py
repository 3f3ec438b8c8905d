"""Who may enter: pure rules with a closed list of refusals."""

from __future__ import annotations

from controller.state import StoreState
from controller.stay import StayRecord
from controller.timekeeper import Now
from store_link.messages import Door, Reason, StayState


def may_enter(
    state: StoreState, door: Door, grant: str, now: Now
) -> tuple[StayRecord | None, Reason | None]:
    """The stay for which ``door`` opens to ``grant`` now, or why it does not.

    ``state.stays`` must have been advanced to ``now``.
    """
    if grant in state.revoked:
        return None, Reason.REVOKED
    stays = [stay for stay in state.stays.values() if stay.grant == grant]
    if not stays:
        return None, Reason.NO_GRANT
    here = [stay for stay in stays if stay.room in door.rooms]
    if not here:
        return None, Reason.OTHER_ROOM
    for stay in here:
        if stay.state in (StayState.OPEN, StayState.IN_USE):
            return stay, None
    if any(stay.state is StayState.SCHEDULED and now.ms < stay.opens for stay in here):
        return None, Reason.TOO_EARLY
    return None, Reason.OVER
