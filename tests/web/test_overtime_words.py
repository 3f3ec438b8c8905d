"""What a guest is told of overtime: the rule before booking, and what it costs while it grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, update

from cloud_api.stores.models import Store
from cloud_api.web.customer.checkout import overtime_rule
from tests.web.town import running_town

LINES = [{"hourly_fen": 3800}, {"hourly_fen": 4800}, {"hourly_fen": 0}]  # the last is a discount


@pytest.mark.parametrize(
    ("told", "values"),
    [
        ("到点后有 10 分钟收拾，请按时离开", {}),
        ("到点请按时离开", {"grace_s": 0}),
        (
            "到点后 10 分钟内离开不加钱；超时每 15 分钟加 ¥6，不满也算；最多加 ¥60",
            {"overtime_mode": "per_unit", "overtime_unit_fen": 600, "overtime_cap_fen": 6000},
        ),
        (
            "到点后 15 分钟内离开不加钱；超时每 15 分钟加 ¥18，不满也算",
            {"overtime_mode": "per_cent", "overtime_per_cent": 150, "overtime_free_minutes": 5},
        ),
        (
            "超时每 30 分钟加 ¥20，不满也算",
            {
                "overtime_mode": "per_unit",
                "overtime_unit_minutes": 30,
                "overtime_unit_fen": 2000,
                "grace_s": 0,
            },
        ),
    ],
)
def test_the_rule_is_told_at_the_price_of_the_last_hour(told: str, values: dict[str, Any]):
    store = Store(merchant_id="m", name="店", **{"grace_s": 600, **values})
    assert overtime_rule(store, LINES) == told


def test_the_running_stay_tells_what_overtime_costs_so_far(tmp_path: Path):
    with running_town(tmp_path) as visitor:
        shop, path = visitor.site.shop, f"/orders/{visitor.town.order('over')}/stay"
        assert "目前" not in visitor.get("stranger", path).text  # this store does not charge
        rule = {"overtime_mode": "per_unit", "overtime_unit_fen": 600, "grace_s": 600}
        visitor.site.write(
            lambda s: s.exec(update(Store).where(col(Store.id) == shop.store.id).values(**rule))
        )
        text = visitor.get("stranger", path).text  # ended half an hour ago: two units of a quarter
        assert "超时中，目前 ¥12，离开就停止计费" in text
        assert "+0:30" in text
        assert "11:30 到点了，你还在使用" in visitor.get("stranger", path[:-5]).text
        assert (
            "目前" not in visitor.get("guest", f"/orders/{visitor.town.order('in_use')}/stay").text
        )
