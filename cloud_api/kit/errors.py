"""Refusals that a person can act on: a stable code, a status, a sentence, the field it is about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlmodel.ext.asyncio.session import AsyncSession


class KaimenError(Exception):
    """A refusal. ``code`` is stable and public; ``message`` says what is so and what to do (zh_Hans).

    ``field`` names the input at fault, ``extra`` carries machine-readable facts (for instance the
    next free time). Rendered as application/problem+json by the app.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        field: str | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.field = field
        self.extra = extra or {}
        self._looking: Callable[[AsyncSession], Awaitable[dict[str, Any]]] | None = None

    def explain_later(
        self, look: Callable[[AsyncSession], Awaitable[dict[str, Any]]] | None
    ) -> None:
        """More facts for ``extra`` that take a look around: ``look`` tells them, once and when asked.

        ``Database.write()`` asks when the refusal leaves it: by then no lock is held any more.
        """
        self._looking = look

    @property
    def unexplained(self) -> bool:
        """Whether there is more to tell."""
        return self._looking is not None

    async def explain(self, session: AsyncSession) -> None:
        """Look around now, with ``session``."""
        look, self._looking = self._looking, None
        if look is not None:
            self.extra.update(await look(session))


class NotFound(KaimenError):
    """There is no such thing, or it is not this actor's: the two look the same from outside."""

    def __init__(self, what: str, message: str = "没有找到，可能已经删除或不属于你") -> None:
        super().__init__(f"{what}.not_found", message, status=404)


class Forbidden(KaimenError):
    """The actor is known but lacks a permission."""

    def __init__(
        self, permission: str, message: str = "你的岗位没有这个权限，请找店主开通"
    ) -> None:
        super().__init__("forbidden", message, status=403, extra={"permission": permission})


class Conflict(KaimenError):
    """The thing is in another state than this act needs."""

    def __init__(self, code: str, message: str, **extra: Any) -> None:
        super().__init__(code, message, status=409, extra=extra)
