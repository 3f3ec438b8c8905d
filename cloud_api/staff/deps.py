"""Which member of staff makes a console request."""

from fastapi import Request

from cloud_api.auth.deps import customer
from cloud_api.kit.actor import Staff
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.http import cloud_of
from cloud_api.staff import service

HEADER = "X-Kaimen-Merchant"
COOKIE = "kaimen_merchant"


async def staff_actor(request: Request) -> Staff:
    """The staff actor of this login.

    Who works for several merchants chooses with the header ``X-Kaimen-Merchant`` or a cookie; else
    it is the oldest. Raises LoginNeeded (401) and KaimenError ``staff.none`` (403).
    """
    person = await customer(request)
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        places = await service.workplaces(session, person.account_id)
    asked, kept = request.headers.get(HEADER), request.cookies.get(COOKIE)
    chosen = [member for member, _ in places if member.merchant_id == (asked or kept)]
    if not chosen and asked is None:
        chosen = [member for member, _ in places]
    if not chosen:
        raise KaimenError("staff.none", "这个手机号不是店员，请让店主把你加进来", status=403)
    return service.actor_of(chosen[0], login_id=person.login_id, ip=person.ip)
