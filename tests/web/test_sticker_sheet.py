"""The printed sheet: every code on every page reads as its door's address; Chinese names are drawn."""

from __future__ import annotations

from datetime import date

import pypdfium2
import pytest
import zxingcpp

from cloud_api.web.console.sticker_sheet import GRIDS, Label, sheets

DAY = date(2026, 11, 22)


def labels(count: int) -> list[Label]:
    names = ("竹间门", "梅间门", "听雨门", "大门")
    return [
        Label(
            "雀友会·静安店",
            f"{names[i % 4]}",
            "竹间、梅间、听雨" if i % 4 == 3 else names[i % 4].removesuffix("门"),
            f"https://kaimen.example/d/{i:026d}",
            keypad=i % 2 == 0,
        )
        for i in range(count)
    ]


@pytest.mark.parametrize("grid", list(GRIDS))
def test_every_code_on_the_paper_opens_its_door(grid: str) -> None:
    columns, rows = GRIDS[grid]
    wanted = labels(columns * rows + 1)  # one more than fits
    document = pypdfium2.PdfDocument(sheets(wanted, grid, DAY))
    assert len(document) == 2
    read = []
    for page in document:
        width, height = page.get_size()
        assert (round(width), round(height)) == (595, 842)  # A4 in points
        picture = page.render(scale=200 / 72).to_pil()
        read += [code.text for code in zxingcpp.read_barcodes(picture)]
    assert sorted(read) == [label.url for label in wanted]


def test_the_text_is_in_the_file_as_text() -> None:
    document = pypdfium2.PdfDocument(sheets(labels(4), "2x2", DAY))
    text = document[0].get_textpage().get_text_range()
    for word in ("雀友会·静安店", "竹间门", "大门", "竹间、梅间、听雨", "旧贴失效", "2026-11-22"):
        assert word in text
