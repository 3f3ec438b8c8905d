"""A merchant's colour as the tokens that all pages name (static/css/tokens.css); nothing else is in it.

Only digits that the ramp made stand in it, never what somebody typed.
"""

from __future__ import annotations

from cloud_api.branding.colour import Ramp, Tones

_DARK = ':root[data-theme="dark"], .dusk'


def stylesheet(ramp: Ramp) -> str:
    """CSS that goes after tokens.css: the same layer and the same selectors."""
    light, dark = _rules(ramp.light), _rules(ramp.dark)
    return (
        f"@layer tokens {{\n:root, .paper {{ {light} }}\n"
        f'@media (prefers-color-scheme: dark) {{ :root:not([data-theme="light"]) {{ {dark} }} }}\n'
        f"{_DARK} {{ {dark} }}\n:root .night {{ {dark} }}\n}}\n"
    )


def _rules(tones: Tones) -> str:
    return " ".join(f"{name}: {colour};" for name, colour in tones.properties().items())
