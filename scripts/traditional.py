"""zh_Hans → zh_Hant when texts are written, not when pages are served: OpenCC, then the trade's words.

OpenCC's s2twp converts characters and the common words of computing; what it does not know of our trade
stands here. A translation that somebody wrote into the catalogue is never overwritten.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import opencc

# After the conversion, longest first.
GLOSSARY: Final = {
    "包間": "包廂",
    "賬": "帳",
    "命令": "指令",
    "二維碼": "QR 碼",
    "收銀臺": "收銀台",
    "臺": "台",
    "充值": "儲值",
    "檯": "桌",
    "許可權": "權限",
    "引數": "參數",
    "稽核": "審核",
    "閘道器": "閘道",
    "釋出": "發佈",
    "列表里": "列表裡",
    "打印": "列印",
    "周裡": "週裡",
    "每周": "每週",
    "新增到主螢幕": "加入主畫面",
    "“": "「",
    "”": "」",
}


@cache
def _converter() -> Any:
    return opencc.OpenCC("s2twp")


def convert(text: str) -> str:
    """``text`` in traditional characters, in the words used where they are written."""
    made = str(_converter().convert(text))
    for ours, theirs in sorted(GLOSSARY.items(), key=lambda pair: -len(pair[0])):
        made = made.replace(ours, theirs)
    return made
