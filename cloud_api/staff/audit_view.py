"""Reading the log of acts: which entries a member of staff may see, and the words for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit.models import AuditEntry
from cloud_api.kit.actor import Staff, System, scoped
from cloud_api.kit.errors import NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.paging import PAGE, page_of
from cloud_api.staff.models import StaffMember
from cloud_api.staff.permissions import NAMES, ROLE_NAMES

NOUNS: Final = {
    "door": "门",
    "device": "设备",
    "channel": "通知渠道",
    "alarm_rule": "告警规则",
    "platform_admin": "平台管理员",
    "impersonation": "平台代看",
    "invitation": "邀请",
    "room": "包间",
    "store": "门店",
    "order": "订单",
    "series": "每周的订单",
    "order_export": "订单表",
    "refund": "退款",
    "payment_account": "收款账户",
    "price": "价目",
    "staff": "员工",
    "role": "岗位",
    "login": "登录",
    "notice": "通知",
    "alarm": "告警",
    "audit": "操作记录",
    "backup": "备份",
    "campaign": "团购活动",
    "voucher": "团购券",
    "account": "顾客",
    "enrolment": "控制器",
    "cleaning": "保洁任务",
    "merchant": "商家",
    "overtime": "超时费",
    "keys": "密钥",
    "password": "密码",
    "second_factor": "动态码",
    "recovery_code": "恢复码",
}
ACTIONS: Final = {
    "door.unlock": "远程开门",
    "door.unlock_to_clean": "保洁开门",
    "device.set": "开关设备",
    "device.clear": "恢复设备自动",
    "device.bulk": "批量操作设备",
    "device.climate": "调空调",
    "air.edit": "改空调默认",
    "device.say": "喊话",
    "enrolment.code": "生成接入码",
    "room.mode": "切换包间状态",
    "store.edit": "改门店",
    "order.cancel": "取消订单",
    "order.message": "给客人留言",
    "balance.adjust": "调整顾客余额",
    "balance.pay_out": "退还顾客余额",
    "balance.rule": "改储值规则",
    "bill.read": "读取对账单",
    "bill.resolve": "处理对账差异",
    "cash.hand_back": "退现金",
    "cash.take": "收现金",
    "deposit.claim": "扣押金",
    "deposit.drop": "放弃扣押金",
    "deposit.keep": "确认扣押金",
    "deposit.rule": "改押金规则",
    "media.add": "上传图片或视频",
    "media.delete": "删除图片或视频",
    "plan.put": "改储值方案",
    "price.rule": "改价目",
    "refund.ask": "替客人申请退款",
    "refund.approve": "同意退款",
    "refund.decline": "拒绝退款",
    "invoice.issue": "发票开好了",
    "invoice.refuse": "不开发票",
    "refund.pass_up": "把退款交给店长",
    "room.edit": "改包间",
    "room.make": "新建包间",
    "room.order": "调包间顺序",
    "store.make": "新建门店",
    "booking.rules": "改预订规则",
    "cash.bank": "现金存银行",
    "cash.count": "盘点现金",
    "coupon.issue": "发优惠券",
    "coupon.make": "新建优惠券",
    "coupon.stop": "停发优惠券",
    "day.close": "日结",
    "ledger.export": "导出账目",
    "member_level.save": "改会员等级",
    "order.change": "改订单",
    "order.confirm": "确认订单",
    "order.create": "代客下单",
    "order.extend": "给订单续时",
    "review.reply": "回复评价",
    "ticket.close": "关闭工单",
    "member.edit": "改会员资料",
    "board.add": "加板子",
    "board.drop": "拿掉板子",
    "binding.add": "接设备",
    "binding.drop": "拿掉设备",
    "door.add": "加门",
    "member.level": "改会员等级",
    "member.merge": "合并会员",
    "customer.block": "拉黑顾客",
    "customer.unblock": "放开顾客",
    "cleaning.rule": "改保洁规则",
    "cleaning.approve": "保洁验收通过",
    "cleaning.reject": "保洁要返工",
    "cleaning.call_off": "取消保洁任务",
    "campaign.create": "新建团购活动",
    "campaign.edit": "改团购活动",
    "campaign.published": "发布团购活动",
    "campaign.paused": "暂停团购活动",
    "campaign.ended": "结束团购活动",
    "voucher.redeem": "核销团购券",
    "voucher.undo": "撤销核销",
    "voucher.extend": "给券延期",
    "order.finish": "提前结束",
    "order.export": "导出订单",
    "order.create_series": "代客订每周",
    "order.export_fetch": "下载订单表",
    "order.refund": "退款",
    "refund.make": "退款",
    "overtime.waive": "免收超时费",
    "staff.invite": "请员工",
    "staff.edit": "改员工",
    "staff.deactivate": "停用员工",
    "store.overtime_rule": "改超时规则",
    "door.edit": "改门",
    "schedule.edit": "改定时",
    "schedule.remove": "删定时",
    "scene.edit": "改场景",
    "binding.edit": "改设备",
    "staff_key.give": "发卡或开门码",
    "staff_key.take": "收回卡或开门码",
    "diagnostics.ask": "要诊断包",
    "staff.add": "添加员工",
    "platform_admin.add": "添加平台管理员",
    "platform_admin.remove": "移除平台管理员",
    "merchant.make": "开通商家",
    "api_key.make": "新建接口密钥",
    "api_key.revoke": "停用接口密钥",
    "webhook.make": "加推送地址",
    "webhook.rotate": "换推送密钥",
    "webhook.start": "恢复推送",
    "webhook.stop": "停止推送",
    "webhook.remove": "删掉推送地址",
    "report.export": "导出统计",
    "ticket.assign": "派工单",
    "retention.change": "改数据保留",
    "retention.clear": "清掉过期数据",
    "groupbuy.export": "导出团购报表",
    "platform_account.add": "加平台账户",
    "platform_account.change": "改平台账户",
    "platform_account.check": "试平台账户",
    "platform_deal.save": "对应平台商品与套餐",
    "platform_difference.solve": "处理平台差异",
    "platform_voucher.redeem": "核销平台券",
    "platform_voucher.confirm": "人工确认平台券",
    "platform_voucher.refuse": "拒绝平台券",
    "platform_voucher.settle": "记平台券结果",
    "merchant.suspend": "暂停商家",
    "merchant.resume": "恢复商家",
    "role.make": "新建岗位",
    "role.change": "改岗位",
    "role.delete": "删除岗位",
    "staff.change": "改员工",
    "staff.uninvite": "撤回邀请",
    "staff.end_login": "让员工的设备退出",
    "audit.prune": "清理旧操作记录",
    "backup.made": "备份完成",
    "backup.failed": "备份失败",
    "backup.restore": "从备份恢复",
    "keys.rotate": "更换密钥",
    "keys.reindex": "重建手机号索引",
    "merchant.second_factor": "改动态码要求",
    "impersonation.begin": "平台管理员代看控制台",
    "impersonation.end": "平台管理员结束代看",
    "alarm.acknowledge": "接手告警",
    "alarm.resolve": "解决告警",
    "alarm_rule.change": "改告警规则",
    "notice.change": "改通知设置",
    "channel.change": "改通知渠道",
    "channel.remove": "删通知渠道",
    "channel.test": "试发通知",
    "payment_account.add": "加收款账户",
    "payment_account.change": "改收款账户",
    "payment_account.check": "试收款账户",
    "refund.retry": "重试退款",
    "refund.by_hand": "登记线下退款",
    "audit.export": "导出操作记录",
    "backup.run": "立即备份",
    "backup.rehearse": "演练恢复备份",
    "backup.verify": "检查备份",
    "password.set": "设密码",
    "second_factor.set": "设动态码",
    "second_factor.drop": "停用动态码",
    "recovery_code.use": "用了一个恢复码",
    "recovery_code.renew": "换一组恢复码",
    "login.revoke": "退出一台设备",
    "login.revoke_others": "退出别的设备",
    "account.export": "导出资料",
    "account.delete": "注销账号",
}
FIELDS: Final = {
    "name": "名称",
    "notice": "公告",
    "address": "地址",
    "phone": "电话",
    "opens": "开门",
    "closes": "打烊",
    "min_minutes": "最短时长",
    "step_minutes": "时长步长",
    "max_minutes": "最长时长",
    "advance_days": "提前天数",
    "lead_s": "提前进门（秒）",
    "grace_s": "宽限（秒）",
    "cleaning_s": "打扫（秒）",
    "hold_s": "锁定（秒）",
    "mode": "状态",
    "until": "到",
    "on": "打开",
    "for_s": "保持（秒）",
    "force": "强制",
    "door": "门",
    "room": "包间",
    "device": "设备",
    "binding": "设备",
    "command": "指令",
    "command_id": "指令",
    "order": "订单",
    "number": "单号",
    "status": "状态",
    "amount_fen": "金额",
    "refund_fen": "退款",
    "total_fen": "总价",
    "paid_fen": "已付",
    "hourly_fen": "每小时",
    "role": "岗位",
    "active": "在职",
    "store_ids": "门店",
    "permissions": "权限",
    "size": "大小",
    "lines": "行数",
    "error": "错误",
    "temperature": "温度",
    "text": "内容",
    "expires_at": "有效到",
    "minutes": "多久（分钟）",
    "read_only": "只看不改",
    "second_factor": "动态码",
    "limits": "限额",
    "waiver_fen": "一次最多免",
    "state": "状态",
    "kind": "种类",
    "subject": "对象",
    "severity": "轻重",
    "enabled": "启用",
    "what": "做什么",
    "devices": "几个设备",
    "stores": "门店",
    "entries": "条数",
    "before": "到哪天以前",
    "made_at": "备份时间",
    "by": "由谁",
    "setpoint": "温度",
    "clip": "哪一句",
    "values": "几处",
    "bindings": "设备",
    "days": "哪几天",
    "begins": "开",
    "ends": "关",
    "arrival": "到店前",
    "in_use": "使用中",
    "grace": "宽限",
    "after": "结束后",
    "cleaning": "保洁",
    "after_stay": "用完就打扫",
    "least_minutes": "至少用了（分钟）",
    "keep": "打扫好再卖",
    "check_done": "要验收",
    "photos": "照片",
    "pay_fen": "工钱",
    "tags": "标签",
    "orders": "订单",
    "payments": "付款",
    "coupons": "优惠券",
    "vouchers": "团购券",
    "balance_fen": "余额",
    "scenes": "场景",
    "air": "空调默认",
    "summer": "夏季",
    "winter": "冬季",
    "rest": "其他时候",
    "fan": "风速",
    "linger_s": "延后（秒）",
    "tail": "尾号",
    "doors": "门",
}
VALUES: Final[dict[str, Mapping[str, str]]] = {
    "second_factor": {"off": "设置过的人", "owner": "店主都要", "all": "所有人都要"},
    "role": ROLE_NAMES,
    "permissions": NAMES,
    "mode": {
        "normal": "正常",
        "open": "常开",
        "cleaning": "保洁",
        "maintenance": "维护",
        "cool": "制冷",
        "heat": "制热",
        "dry": "除湿",
        "fan": "送风",
        "auto": "自动",
    },
    "fan": {"auto": "自动", "low": "低", "mid": "中", "high": "高"},
    "state": {
        "due": "待付",
        "waived": "已免",
        "open": "待处理",
        "acknowledged": "处理中",
        "resolved": "已解决",
    },
    "by": {"command line": "命令行"},
}
UNSET: Final = {"store_ids": "全部门店", "permissions": "照预设", "until": "一直"}
NO_NAMES: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for. ``action`` is an action or a noun; ``day`` is local."""

    by: str | None = None
    action: str | None = None
    subject: str | None = None
    day: date | None = None


async def find(
    session: AsyncSession,
    actor: Staff,
    wanted: Wanted,
    tz: str,
    *,
    cursor: str | None = None,
    limit: int = PAGE,
) -> tuple[list[AuditEntry], str | None]:
    """Entries of the actor's merchant (and stores, if only some are theirs), newest first."""
    query = scoped(actor, AuditEntry)
    if wanted.by:
        query = query.where(col(AuditEntry.by) == wanted.by)
    if wanted.action and "." in wanted.action:
        query = query.where(col(AuditEntry.action) == wanted.action)
    elif wanted.action:
        query = query.where(col(AuditEntry.action).startswith(f"{wanted.action}.", autoescape=True))
    if wanted.subject:
        query = query.where(col(AuditEntry.subject) == wanted.subject)
    if wanted.day is not None:
        begins = datetime.combine(wanted.day, time(), ZoneInfo(tz)).astimezone(UTC)
        query = query.where(
            col(AuditEntry.at) >= begins, col(AuditEntry.at) < begins + timedelta(days=1)
        )
    return await page_of(
        session, query, by=AuditEntry.seq, key=AuditEntry.id, cursor=cursor, limit=limit
    )


async def one(session: AsyncSession, actor: Staff, entry_id: str) -> AuditEntry:
    """An entry. Raises NotFound."""
    query = scoped(actor, AuditEntry).where(col(AuditEntry.id) == entry_id)
    found = (await session.exec(query)).one_or_none()
    if found is None:
        raise NotFound("audit")
    return found


async def names_of(session: AsyncSession, entries: Iterable[AuditEntry]) -> dict[str, str]:
    """Who the references in ``by`` and ``via`` are, for people, and staff that an act was about.

    Customers have no name here.
    """
    entries = list(entries)
    refs = {ref for entry in entries for ref in (entry.by, entry.via) if ref}
    refs |= {entry.subject for entry in entries if entry.subject.startswith("staff:")}
    return await names(session, refs)


async def names(session: AsyncSession, refs: Iterable[str]) -> dict[str, str]:
    """Who references to actors are: staff by name, others by what they are."""
    refs = set(refs)
    ids = [ref.partition(":")[2] for ref in refs if ref.startswith("staff:")]
    query = scoped(System(), StaffMember).where(col(StaffMember.id).in_(ids))
    staff = {f"staff:{one.id}": one.name for one in (await session.exec(query)).all()}
    kinds = {
        "customer": _("顾客"),
        "platform": _("平台管理员"),
        "system": _("系统"),
        "anyone": _("访客"),
    }
    return {ref: staff.get(ref) or kinds.get(ref.partition(":")[0], ref) for ref in refs}


def action_name(action: str) -> str:
    """``door.unlock`` → 远程开门; an action without words by its noun."""
    noun, _, verb = action.partition(".")
    return ACTIONS.get(action) or f"{NOUNS.get(noun, noun)} {verb}"


def in_words(name: str, value: Any, named: Mapping[str, str] = NO_NAMES) -> tuple[str, str]:
    """A field of ``before`` or ``after`` as label and text. ``named``: what ids are called."""
    label = FIELDS.get(name, name.replace("_", " "))
    if isinstance(value, str):
        value = VALUES.get(name, NO_NAMES).get(value) or named.get(value, value)
    if value is None or value == "":
        return label, UNSET.get(name, _("无"))
    if isinstance(value, bool):
        return label, _("是") if value else _("否")
    if name.endswith("_fen") and isinstance(value, int):
        return label, f"¥{value / 100:.2f}"
    if isinstance(value, list):
        return label, _("、").join(in_words(name, one, named)[1] for one in value) or _("无")
    if isinstance(value, dict):
        told = (in_words(key, one, named) for key, one in value.items())
        return label, _("，").join("：".join(one) for one in told)
    return label, str(value)
