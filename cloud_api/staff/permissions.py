"""What staff may do: permissions are constants, roles are presets of them."""

from __future__ import annotations

from typing import Final

from cloud_api.kit.actor import Limits

STORE_READ: Final = "store.read"
STORE_EDIT: Final = "store.edit"
BRAND_EDIT: Final = "brand.edit"
PRICE_EDIT: Final = "price.edit"
COUPON_EDIT: Final = "coupon.edit"
ORDER_READ: Final = "order.read"
ORDER_EXPORT: Final = "order.export"
ORDER_CREATE: Final = "order.create"
ORDER_CANCEL: Final = "order.cancel"
ORDER_REFUND: Final = "order.refund"
ORDER_WAIVE: Final = "order.waive"
INVOICE_ISSUE: Final = "invoice.issue"
CASH_TAKE: Final = "cash.take"
MONEY_CLOSE: Final = "money.close"
BALANCE_EDIT: Final = "balance.edit"
CAMPAIGN_READ: Final = "campaign.read"
CAMPAIGN_EDIT: Final = "campaign.edit"
VOUCHER_REDEEM: Final = "voucher.redeem"
VOUCHER_EXTEND: Final = "voucher.extend"
PAYMENT_ACCOUNTS: Final = "payment.accounts"
TICKET_HANDLE: Final = "ticket.handle"
CUSTOMER_READ: Final = "customer.read"
CUSTOMER_EDIT: Final = "customer.edit"
CUSTOMER_MERGE: Final = "customer.merge"
CUSTOMER_EXPORT: Final = "customer.export"
CUSTOMER_DELETE: Final = "customer.delete"
DOOR_OPEN_REMOTE: Final = "door.open.remote"
DEVICE_READ: Final = "device.read"
DEVICE_CONTROL: Final = "device.control"
DEVICE_FORCE: Final = "device.force"
DEVICE_BULK: Final = "device.bulk"
DOOR_OPEN_CLEANING: Final = "door.open.cleaning"
DEVICE_ENROL: Final = "device.enrol"
CLEANING_DO: Final = "cleaning.do"
CLEANING_MANAGE: Final = "cleaning.manage"
ROOM_MODE: Final = "room.mode"
ALARM_READ: Final = "alarm.read"
ALARM_HANDLE: Final = "alarm.handle"
NOTICE_READ: Final = "notice.read"
NOTICE_EDIT: Final = "notice.edit"
REPORT_READ: Final = "report.read"
MONEY_RECONCILE: Final = "money.reconcile"
STAFF_READ: Final = "staff.read"
STAFF_EDIT: Final = "staff.edit"
AUDIT_READ: Final = "audit.read"
AUDIT_EXPORT: Final = "audit.export"
BACKUP_READ: Final = "backup.read"
BACKUP_RUN: Final = "backup.run"

GROUPS: Final[tuple[tuple[str, tuple[tuple[str, str], ...]], ...]] = (
    (
        "门店",
        (
            (STORE_READ, "看门店和包间"),
            (STORE_EDIT, "改门店、包间和门"),
            (BRAND_EDIT, "改品牌：名字、标志、颜色"),
            (PRICE_EDIT, "改价目"),
            (COUPON_EDIT, "做优惠券、发券"),
            (ROOM_MODE, "切换包间状态：常开、保洁、维护"),
            (CLEANING_DO, "看和接保洁任务、开要打扫的门"),
            (CLEANING_MANAGE, "派保洁、验收、看工钱"),
        ),
    ),
    (
        "订单和钱",
        (
            (ORDER_READ, "看订单"),
            (ORDER_EXPORT, "导出订单"),
            (ORDER_CREATE, "代客下单"),
            (ORDER_CANCEL, "取消订单"),
            (ORDER_REFUND, "退款"),
            (ORDER_WAIVE, "免收超时费"),
            (INVOICE_ISSUE, "看谁要发票、标记已开"),
            (CASH_TAKE, "收现金、退现金"),
            (MONEY_CLOSE, "点钞和日结"),
            (BALANCE_EDIT, "改储值方案和会员余额"),
            (PAYMENT_ACCOUNTS, "管收款账户和密钥"),
            (REPORT_READ, "看收入和统计"),
            (MONEY_RECONCILE, "处理对账差异"),
        ),
    ),
    (
        "团购",
        (
            (CAMPAIGN_READ, "看团购活动和核销记录"),
            (CAMPAIGN_EDIT, "发布和修改团购活动"),
            (VOUCHER_REDEEM, "核销团购券、撤销核销"),
            (VOUCHER_EXTEND, "给券延期"),
        ),
    ),
    (
        "顾客",
        (
            (CUSTOMER_READ, "看顾客资料"),
            (CUSTOMER_EDIT, "改会员的称呼、标签、备注和等级"),
            (CUSTOMER_MERGE, "合并两个会员"),
            (TICKET_HANDLE, "回复工单和评价"),
            (CUSTOMER_EXPORT, "导出顾客资料"),
            (CUSTOMER_DELETE, "删除顾客资料"),
        ),
    ),
    (
        "门和设备",
        (
            (DOOR_OPEN_REMOTE, "远程开门"),
            (DEVICE_READ, "看设备状态"),
            (DEVICE_CONTROL, "开关设备、喊话"),
            (DEVICE_FORCE, "客人在用时也能断电"),
            (DEVICE_BULK, "整店开关"),
            (DOOR_OPEN_CLEANING, "开正在保洁的房间的门"),
            (DEVICE_ENROL, "接入门店控制器"),
        ),
    ),
    (
        "告警和通知",
        (
            (ALARM_READ, "看告警"),
            (ALARM_HANDLE, "处理告警"),
            (NOTICE_READ, "看通知记录"),
            (NOTICE_EDIT, "改通知模板和渠道"),
        ),
    ),
    (
        "管理",
        (
            (STAFF_READ, "看员工"),
            (STAFF_EDIT, "管员工和岗位"),
            (AUDIT_READ, "看操作记录"),
            (AUDIT_EXPORT, "导出操作记录"),
            (BACKUP_READ, "看备份"),
            (BACKUP_RUN, "备份和恢复"),
        ),
    ),
)
"""Every permission in words, in the order people read them."""

NAMES: Final[dict[str, str]] = {one: name for _, group in GROUPS for one, name in group}
ALL: Final = frozenset(NAMES)

ROLES: Final[dict[str, frozenset[str]]] = {
    "owner": ALL,
    "manager": ALL
    - {
        BRAND_EDIT,
        PAYMENT_ACCOUNTS,
        STAFF_EDIT,
        CUSTOMER_MERGE,
        CUSTOMER_EXPORT,
        CUSTOMER_DELETE,
        AUDIT_EXPORT,
        BACKUP_READ,
        BACKUP_RUN,
    },
    "cashier": frozenset(
        {
            STORE_READ,
            ORDER_READ,
            ORDER_CREATE,
            ORDER_CANCEL,
            ORDER_REFUND,
            ORDER_WAIVE,
            INVOICE_ISSUE,
            CASH_TAKE,
            CAMPAIGN_READ,
            VOUCHER_REDEEM,
            CUSTOMER_READ,
            DEVICE_READ,
            ALARM_READ,
        }
    ),
    "customer_service": frozenset(
        {
            STORE_READ,
            ORDER_READ,
            TICKET_HANDLE,
            ORDER_CANCEL,
            ORDER_REFUND,
            ORDER_WAIVE,
            CAMPAIGN_READ,
            VOUCHER_EXTEND,
            CUSTOMER_READ,
            DEVICE_READ,
            DEVICE_CONTROL,
            DOOR_OPEN_REMOTE,
            ALARM_READ,
            ALARM_HANDLE,
            NOTICE_READ,
        }
    ),
    "cleaner": frozenset({STORE_READ, DEVICE_READ, DOOR_OPEN_CLEANING, CLEANING_DO}),
    "finance": frozenset(
        {STORE_READ, ORDER_READ, ORDER_REFUND, CAMPAIGN_READ, MONEY_CLOSE, MONEY_RECONCILE}
        | {ORDER_EXPORT, REPORT_READ, AUDIT_READ, INVOICE_ISSUE}
    ),
}

ROLE_NAMES: Final[dict[str, str]] = {
    "owner": "店主",
    "manager": "店长",
    "cashier": "收银员",
    "customer_service": "客服",
    "cleaner": "保洁",
    "finance": "财务",
}

ROLE_LIMITS: Final[dict[str, Limits]] = {
    "owner": Limits(),
    "manager": Limits(),
    "cashier": Limits(refund_fen=10_000, waiver_fen=5_000),
    "customer_service": Limits(refund_fen=0, waiver_fen=5_000),  # answers, and passes up
    "cleaner": Limits(refund_fen=0, waiver_fen=0),
    "finance": Limits(waiver_fen=0),
}
"""What a preset role may give away, until the owner says otherwise (fen)."""

OWN_ACTS: Final = frozenset(
    {PAYMENT_ACCOUNTS, BALANCE_EDIT, CASH_TAKE, MONEY_CLOSE, CUSTOMER_MERGE, CUSTOMER_EXPORT}
)
"""What nobody does in an owner's name; refunds and waivers are refused by their amount."""

NOTHING: Final = Limits(refund_fen=0, waiver_fen=0)


def of_role(role: str) -> frozenset[str]:
    """The permissions of a preset role; none for one that is not known."""
    return ROLES.get(role, frozenset())
