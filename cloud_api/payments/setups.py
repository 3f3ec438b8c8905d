"""What an owner is asked for each kind of provider, and what payers read beside its name.

``ProviderKind`` says how a provider works; this says how its account is set up. Secret fields go in and
never come out; ``identity`` names whose account it is, which does not change once money has moved.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel

from cloud_api.payments.providers import PROVIDERS


@dataclass(frozen=True, slots=True)
class Setup:
    """How an account of one kind is set up. ``hosts`` are the provider's own, for ``addresses``."""

    name: str  # as the owner chooses it
    hint: str = ""  # as payers read it, beside the account's name
    icon: str = "credit-card"
    guide: str = ""
    secret: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    long: frozenset[str] = frozenset()
    identity: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    addable: bool = True  # the cashier is for demonstrations
    choices: dict[str, tuple[str, ...]] = field(default_factory=dict)


SETUPS: Final[dict[str, Setup]] = {
    "cashier": Setup(
        "收银台（演示）",
        "演示用，不动真钱",
        secret=frozenset({"private_key"}),
        identity=frozenset({"merchant"}),
        addresses=frozenset({"base_url"}),
        addable=False,
    ),
    "wechat": Setup(
        "微信支付",
        "微信里直接付，电脑上扫码付",
        icon="smartphone",
        guide="都在微信支付商户平台的「账户中心 → API 安全」里：商户 API 证书、APIv3 密钥、微信支付公钥。没有公钥的老商户不用填那两格，我们用平台证书。要在微信里直接付，再填公众号的 AppSecret（微信公众平台 → 设置与开发 → 基本配置），并把本站域名填进网页授权域名和 JSAPI 支付授权目录。",
        secret=frozenset({"private_key", "api_v3_key", "app_secret", "mini_secret"}),
        long=frozenset({"private_key", "public_key"}),
        identity=frozenset({"mchid"}),
        addresses=frozenset({"base_url", "open_url", "api_url"}),
        hosts=frozenset(
            {
                "api.mch.weixin.qq.com",
                "api2.mch.weixin.qq.com",
                "open.weixin.qq.com",
                "api.weixin.qq.com",
            }
        ),
    ),
    "alipay": Setup(
        "支付宝",
        "手机跳到支付宝，电脑上扫码或登录付",
        icon="smartphone",
        guide="在支付宝开放平台的应用里：接口加签方式选「公钥」，把应用私钥和支付宝公钥填进来；PID 是 2088 开头的商户号。",
        secret=frozenset({"private_key"}),
        long=frozenset({"private_key", "alipay_public_key"}),
        identity=frozenset({"seller_id"}),
        addresses=frozenset({"base_url", "open_url"}),
        hosts=frozenset(
            {
                "openapi.alipay.com",
                "openapi-sandbox.dl.alipaydev.com",
                "openauth.alipay.com",
                "openauth-sandbox.dl.alipaydev.com",
            }
        ),
    ),
    "unionpay": Setup(
        "银联在线支付（银行卡）",
        "跳到银联页面，用银行卡付",
        guide="证书在银联商户服务平台下载：签名证书是 .pfx，银联的根证书和中级证书是 .cer。",
        secret=frozenset({"pfx", "pfx_password"}),
        files=frozenset({"pfx", "middle", "root"}),
        identity=frozenset({"merchant"}),
        addresses=frozenset({"base_url", "file_url"}),
        hosts=frozenset(
            {
                "gateway.95516.com",
                "filedownload.95516.com",
                "gateway.test.95516.com",
                "filedownload.test.95516.com",
            }
        ),
    ),
    "stripe": Setup(
        "Stripe（境外信用卡）",
        "Visa、万事达等信用卡",
        guide="在 Stripe 后台的 Webhooks 里添加下面的通知地址，勾选 checkout.session 和 refund 的事件，再把签名密钥填进来。",
        secret=frozenset({"secret_key", "webhook_secret"}),
        addresses=frozenset({"base_url"}),
        hosts=frozenset({"api.stripe.com"}),
    ),
}


def setup_of(provider: str) -> Setup:
    """The setup of a kind; one that is not named here shows no field it should not."""
    known = SETUPS.get(provider)
    if known is not None:
        return known
    kind = PROVIDERS[provider]
    return Setup(kind.label, secret=frozenset(kind.credentials.model_fields))


def ends_at(provider: str, credentials: str) -> datetime | None:
    """The end of the first certificate among the credentials; None where there is none, or no sense."""
    try:
        known: Any = PROVIDERS[provider].credentials.model_validate_json(credentials)
    except (ValueError, KeyError):
        return None
    facts = known.facts() if hasattr(known, "facts") else []
    return min((fact.until for fact in facts if fact.until is not None), default=None)


def public_fields(provider: str, credentials: str) -> dict[str, str]:
    """The credentials that may be shown; secret ones and files are not among them."""
    setup = setup_of(provider)
    try:
        known: BaseModel = PROVIDERS[provider].credentials.model_validate_json(credentials)
    except ValueError:
        return {}
    hidden = setup.secret | setup.files
    return {name: str(value) for name, value in known.model_dump().items() if name not in hidden}
