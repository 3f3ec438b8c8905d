"""Write the golden vectors, or with ``--check`` say which committed file differs."""

from __future__ import annotations

import sys

from store_link.vectors import DIRECTORY, render
from store_link.vectors.build import build


def main(arguments: list[str]) -> int:
    """Returns the exit code: 1 if ``--check`` found a difference."""
    differing = []
    for name, document in build().items():
        file, text = DIRECTORY / f"{name}.json", render(document)
        if not file.exists() or file.read_text("utf-8") != text:
            differing.append(file.name)
            if "--check" not in arguments:
                file.write_text(text, "utf-8")
    for name in differing:
        sys.stdout.write(f"{'differs' if '--check' in arguments else 'written'}: {name}\n")
    return 1 if differing and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
