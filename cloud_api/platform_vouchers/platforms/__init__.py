"""Every kind of access to a platform, by its key."""

from __future__ import annotations

from typing import Final

from cloud_api.platform_vouchers.platforms import douyin, manual, meituan, relay
from cloud_api.platform_vouchers.platforms.base import Kind

KINDS: Final[dict[str, Kind]] = {
    "douyin": douyin.KIND,
    "meituan": meituan.TECHNICAL,
    "dianping": meituan.POLARIS,
    "relay": relay.KIND,
    "manual": manual.KIND,
}
FAMILIES: Final = {"douyin": "抖音", "meituan": "美团"}
