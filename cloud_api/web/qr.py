"""QR codes as SVG without a style attribute: black on white in both themes, so that any reader reads them."""

from __future__ import annotations

import qrcode
from qrcode.constants import ERROR_CORRECT_M

QUIET = 4  # modules of white around it (ISO/IEC 18004)


def matrix(text: str) -> list[list[bool]]:
    """The modules of ``text``, rows from the top, without the white around; True is black."""
    code = qrcode.QRCode(error_correction=ERROR_CORRECT_M, border=0)
    code.add_data(text)
    code.make(fit=True)
    return code.get_matrix()


def svg(text: str) -> str:
    """A drawing of ``text``; its size is set by whoever shows it."""
    modules = matrix(text)
    size = len(modules) + 2 * QUIET
    path = "".join(
        f"M{QUIET + x} {QUIET + y}h{width}v1h-{width}z"
        for y, row in enumerate(modules)
        for x, width in runs(row)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" '
        f'shape-rendering="crispEdges"><path fill="#fff" d="M0 0h{size}v{size}H0z"/>'
        f'<path fill="#000" d="{path}"/></svg>'
    )


def runs(row: list[bool]) -> list[tuple[int, int]]:
    """(start, length) of what is black."""
    found: list[tuple[int, int]] = []
    for x, black in enumerate(row):
        if not black:
            continue
        if found and sum(found[-1]) == x:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((x, 1))
    return found
