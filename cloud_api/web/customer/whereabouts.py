"""The way to a store: its place on a map that opens in any browser, WeChat's and Alipay's included."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from cloud_api.stores.models import Store

_AMAP: Final = "https://uri.amap.com/marker"
_GOOGLE: Final = "https://www.google.com/maps/search/"
_OF_AMAP: Final = frozenset({"Asia/Shanghai", "Asia/Urumqi", "Asia/Hong_Kong", "Asia/Macau"})


def map_href(store: Store) -> str:
    """An address that shows the store and leads there; "" without a position.

    A ``geo:`` address (RFC 5870) does nothing on an iPhone and inside WeChat. AMap's (lbs.amap.com, URI API,
    marker: longitude first; ``coordinate=wgs84``; ``callnative`` hands over to its app where there is one)
    knows China; elsewhere it is Google's (developers.google.com, Maps URLs, search).
    """
    if store.lat is None or store.lon is None:
        return ""
    if store.tz not in _OF_AMAP:
        return f"{_GOOGLE}?{urlencode({'api': 1, 'query': f'{store.lat},{store.lon}'})}"
    asked = {
        "position": f"{store.lon},{store.lat}",
        "name": store.name,
        "coordinate": "wgs84",
        "src": "kaimen",
        "callnative": 1,
    }
    return f"{_AMAP}?{urlencode(asked)}"
