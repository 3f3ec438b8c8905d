"""By hand: an owner without access to a platform. The guest enters the code, staff verify it in the
platform's own app and say so here.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from cloud_api.platform_vouchers.platforms.base import Kind


class ByHand(BaseModel):
    """Nothing secret: which platform, as guests read it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    label: Annotated[str, Field(title="平台名称", min_length=1, max_length=12)] = "美团"


KIND: Final = Kind(
    name="手工确认",
    family="manual",
    label="平台券",
    credentials=ByHand,
    make=None,
    guide="没有平台接口也能收平台券：顾客输券码、选时间，房间先留着；店员在平台的商家版里核销，再回来点「核销好了」。",
    lengths=(6, 20),
    has_records=False,
)
