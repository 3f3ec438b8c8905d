"""kaimen-cloud, loaded once: each line of input is a command, which a fork of this process runs.

    {"words": ["init", …], "env": {…}, "out": "file for what it prints"}

answered by its exit code. Loading it costs seconds of two shared cores, and a page of commands has many.
"""

from __future__ import annotations

import json
import os
import sys

import cloud_api.app
import cloud_api.migrations.runner
import cloud_api.store_channel.broker_files
import cloud_api.store_plan  # noqa: F401  what the commands load when they run
from cloud_api.cli import app


def main() -> None:
    """Until the input ends."""
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            _be(asked)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _be(asked: dict[str, object]) -> None:
    out = os.open(str(asked["out"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for mine, theirs in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(mine, theirs)
    os.environ.clear()
    os.environ.update(asked["env"])  # type: ignore[call-overload]
    sys.argv = ["kaimen-cloud", *asked["words"]]  # type: ignore[misc]
    code = 1
    try:
        app()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001  as the interpreter ends a program
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
