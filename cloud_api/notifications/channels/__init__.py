"""The ways out, by kind. In-app is none of them: every notice to a person is there anyway."""

from __future__ import annotations

from typing import Final

from cloud_api.notifications.channels.aliyun import AliyunSms
from cloud_api.notifications.channels.base import Channel
from cloud_api.notifications.channels.gateway import GatewaySms
from cloud_api.notifications.channels.generic import Generic
from cloud_api.notifications.channels.mail import Mail
from cloud_api.notifications.channels.robots import DingtalkRobot, FeishuRobot, WecomRobot
from cloud_api.notifications.channels.speaker import Speaker
from cloud_api.notifications.channels.tencent import TencentSms
from cloud_api.notifications.channels.wechat import WechatSubscribe

CHANNELS: Final[dict[str, Channel]] = {
    channel.kind: channel
    for channel in (
        AliyunSms(),
        TencentSms(),
        GatewaySms(),
        WechatSubscribe(),
        WecomRobot(),
        DingtalkRobot(),
        FeishuRobot(),
        Mail(),
        Generic(),
        Speaker(),
    )
}
SMS: Final = ("sms_aliyun", "sms_tencent", "sms_gateway")
"""A person gets one text message, however many providers a merchant has: the first of these."""
