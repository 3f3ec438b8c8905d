"""Every act that the code writes down has words: nobody reads ``noun.verb`` on the page."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import cloud_api
from cloud_api.staff.audit_view import ACTIONS, in_words

WRITERS = re.compile(r"(^|[._])(record|changed|note|audit)$")
OWN = re.compile(r"(^|[._])(changed|tell)$")  # of the package auth: elsewhere "tell" sends notices
ACTION = re.compile(r"[a-z_]+\.[a-z_]+")


def written() -> set[str]:
    """The actions in calls of ``record`` and of what calls it."""
    found = set()
    for path in Path(cloud_api.__file__).parent.rglob("*.py"):
        writers = OWN if path.parent.name == "auth" else WRITERS
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not writers.search(ast.unparse(node.func)):
                continue
            for one in (*node.args, *(keyword.value for keyword in node.keywords)):
                for value in (one.body, one.orelse) if isinstance(one, ast.IfExp) else (one,):
                    if isinstance(value, ast.Constant) and ACTION.fullmatch(str(value.value)):
                        found.add(str(value.value))
    return found


def test_every_act_has_words():
    found = written()
    assert {"backup.made", "merchant.suspend", "password.set", "role.delete"} <= found
    assert found - set(ACTIONS) == set()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("second_factor", "owner", ("动态码", "店主都要")),
        ("store_ids", None, ("门店", "全部门店")),
        ("store_ids", ["s1"], ("门店", "静安店")),
        ("permissions", ["order.refund"], ("权限", "退款")),
        ("read_only", True, ("只看不改", "是")),
        ("limits", {"refund_fen": 5000, "on": False}, ("限额", "退款：¥50.00，打开：否")),
        ("mode", "open", ("状态", "常开")),
        ("notice", "", ("公告", "无")),
    ],
)
def test_what_changed_is_told_in_words(name: str, value: object, told: tuple[str, str]):
    assert in_words(name, value, {"s1": "静安店"}) == told
