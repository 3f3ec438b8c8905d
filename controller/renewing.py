"""Has ``kaimen-edge renew`` run now and then, in a process of its own, beside a store at work."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

FIRST_S = 600.0  # a store that just started has better things to do
EVERY_S = 6 * 3600.0
LONGEST_S = 120.0


async def run(state_dir: Path) -> None:
    """For ever."""
    await asyncio.sleep(FIRST_S)
    while True:
        await once(state_dir)
        await asyncio.sleep(EVERY_S)


async def once(state_dir: Path) -> int:
    """Look once; its exit code. What it says goes into this log."""
    command = [sys.executable, "-m", "controller.cli", "renew", "--state", str(state_dir)]
    try:
        looking = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
    except OSError as error:
        log.warning("renewal_not_run", why=str(error))
        return 1
    try:
        async with asyncio.timeout(LONGEST_S):
            said, _ = await looking.communicate()
    except TimeoutError:
        looking.kill()
        log.warning("certificate_not_renewed", why="it took too long")
        return 1
    text = said.decode(errors="replace").strip()[:500]
    if looking.returncode:
        log.warning("certificate_not_renewed", why=text)
    elif text:
        log.info("certificate_renewed", said=text)
    return int(looking.returncode or 0)
