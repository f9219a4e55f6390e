"""Names for devices, by what their browsers say that they are."""

import re
from collections.abc import Collection

# What a browser says that it is, and the words for it; the first that fits.
_SYSTEMS = (
    (r"iPhone", "iphone"),
    (r"iPad", "ipad"),
    (r"Android", "android"),
    (r"Macintosh", "mac"),
    (r"Windows", "windows"),
    (r"Linux", "linux"),
)
_BROWSERS = (
    (r"Edg\w*/(\d+)", "edge"),
    (r"(?:Firefox|FxiOS)/(\d+)", "firefox"),
    (r"(?:Chrom\w*|CriOS)/(\d+)", "chrome"),
    (r"Version/(\d+).* Safari/", "safari"),
)


def named(agent: str) -> str:
    """A name for a device by its browser's words: `iphone-safari-18`."""
    system = next((name for pattern, name in _SYSTEMS if re.search(pattern, agent)), "device")
    for pattern, name in _BROWSERS:
        if match := re.search(pattern, agent):
            return f"{system}-{name}-{match[1]}"
    return system


def unused(name: str, known: Collection[str]) -> str:
    """The name, or with a number one that nothing has yet."""
    numbers = (f"{name}-{n}" for n in range(2, len(known) + 3))
    return name if name not in known else next(other for other in numbers if other not in known)
