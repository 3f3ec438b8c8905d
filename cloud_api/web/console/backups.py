"""Backups for the owner: the last ones, where they go, one more now, look whether one is good."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.backups import checks, service
from cloud_api.backups.models import BackupRun
from cloud_api.kit.actor import Staff
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.settings import Settings
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import BACKUP_RUN
from cloud_api.web.console.frame import console_page, frame_of
from cloud_api.web.console.listing import asked
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models import Column, Empty, Listing
from cloud_api.web.view_models.safety import BackupRow, BackupsPage

router = APIRouter(prefix="/console/backups", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
PATH = "/console/backups"
BUSY = (checks.ASKED, checks.GOING)


@router.get("")
async def all_backups(request: Request, seen: Seen, who: Who) -> Response:
    """The last runs. Needs backup.read, and an installation of one merchant."""
    wish = asked(request, names=(), sorts=("created",), path=PATH)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        here = seen.at(frame.tz)
        runs, trouble, running = await _runs(session, seen, who)
    model = BackupsPage(
        Listing(
            path=PATH,
            caption=_("备份"),
            columns=(
                Column(_("时间")),
                Column(_("结果")),
                Column(_("名称")),
                Column(_("大小"), number=True),
            ),
            rows=tuple(_row(here, one) for one in runs),
            query=wish.query,
            sort=wish.sort,
            empty=Empty(_("每天夜里自动备份一次，结果会出现在这里")),
        ),
        facts=() if trouble else _facts(seen.cloud.settings),
        trouble=trouble,
        can_run=BACKUP_RUN in who.permissions and not trouble,
        running=running,
    )
    return console_page(here, who, frame, "console/backups.html", model, here="backups")


async def _runs(
    session: AsyncSession, seen: Visit, who: Staff
) -> tuple[list[BackupRun], str, bool]:
    """The runs, what is in the way, and whether one is on its way now."""
    try:
        runs = await service.runs(session, who)
    except KaimenError as error:
        if error.code != "backup.platform":
            raise
        return [], _(error.message), False
    running = any(one.state == "asked" or one.stage in BUSY for one in runs)
    running = running or await service.running(session, seen.cloud.clocks.real) is not None
    return runs, _trouble(seen.cloud.settings), running


def _trouble(settings: Settings) -> str:
    if not settings.backup_to:
        return _("还没有设置备份放哪里，现在没有备份。请管理服务器的人按 docs/backup.md 设置")
    if settings.backup_key_file is None and not settings.backup_passphrase:
        return _("还没有备份密钥，现在没有备份。请管理服务器的人按 docs/backup.md 设置")
    return ""


def _facts(settings: Settings) -> tuple[tuple[str, str], ...]:
    if not settings.backup_to:
        return ()
    kept = _("每天 {d} 份、每周 {w} 份、每月 {m} 份").format(
        d=settings.backup_keep_daily,
        w=settings.backup_keep_weekly,
        m=settings.backup_keep_monthly,
    )
    return (
        (_("放在"), settings.backup_to),
        (_("每天"), settings.backup_at or _("只手动")),
        (_("保留"), kept),
        (_("加密"), _("密钥文件") if settings.backup_key_file else _("口令")),
    )


def _row(seen: Visit, run: BackupRun) -> BackupRow:
    words = {"asked": _("排队中"), "running": _("进行中"), "good": _("完好"), "failed": _("失败")}
    note = (run.error or "").partition(": ")[2] or (run.error or "")
    word = words[run.state]
    if run.state == "running":
        note = _("已处理 {size}").format(size=_size(run.done_bytes))
    elif run.stage in BUSY:
        word, note = _("检查中"), _("已核对 {size}").format(size=_size(run.done_bytes))
    return BackupRow(
        id=run.id,
        state="running" if run.stage in BUSY else run.state,
        word=word,
        name=run.name or "",
        size=_size(run.size_bytes) if run.size_bytes else "",
        note=note,
        at=seen.local(run.finished_at or run.created_at),
        checked_at=None if run.verified_at is None else seen.local(run.verified_at),
    )


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} KB"
