"""The parts of the documents that are generated: python -m tests.helpers.documents writes them."""

import re
from pathlib import Path

from portproof.runtimes import protocol
from tests.conftest import REPOSITORY

ARCHITECTURE = REPOSITORY / "ARCHITECTURE.md"
DOCS = REPOSITORY / "docs"


def protocol_example() -> str:
    """A runner's messages, as ARCHITECTURE.md shows them."""
    messages = (
        protocol.EXAMPLE_HELLO,
        protocol.EXAMPLE_REQUEST,
        protocol.EXAMPLE_ANSWER,
        protocol.EXAMPLE_REFUSAL,
    )
    lines = [message.model_dump_json(exclude_defaults=True) for message in messages]
    return "\n".join(["```json", *lines, "```"])


def generated(text: str, mark: str, content: str) -> str:
    """The text with the block after `<!-- MARK... -->` replaced."""
    pattern = rf"(<!-- {mark}[^\n]*-->\n)```.*?\n```"
    result, count = re.subn(pattern, lambda m: str(m[1]) + content, text, count=1, flags=re.DOTALL)
    assert count == 1, f"no block is marked {mark}"
    return result


def _file_block(language: str, path: Path) -> str:
    return f"```{language}\n{path.read_text()}```"


def _show(page: Path, mark: str, language: str, file: Path) -> None:
    page.write_text(generated(page.read_text(), mark, _file_block(language, file)))


def main() -> None:
    text = ARCHITECTURE.read_text()
    ARCHITECTURE.write_text(generated(text, "protocol", protocol_example()))
    examples = REPOSITORY / "examples"
    _show(DOCS / "plugins.md", "example", "py", examples / "numpy_format.py")
    _show(DOCS / "ci.md", "workflow", "yaml", examples / "github" / "portproof.yml")


if __name__ == "__main__":
    main()
