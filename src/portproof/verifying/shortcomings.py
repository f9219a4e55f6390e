"""Bundle -> by signature, why its test vectors prove nothing."""

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import one_line
from portproof.bundle.manifest import DECIDING
from portproof.bundle.text import printable
from portproof.comparing.yardstick import shortcoming


def shortcomings_of(bundle: Bundle) -> dict[str, str]:
    """By signature a line, of the signatures whose test vectors prove nothing."""
    found = {name: _shortcoming(bundle, name) for name in bundle.manifest.signatures}
    return {name: reason for name, reason in found.items() if reason}


def _shortcoming(bundle: Bundle, name: str) -> str:
    vectors = [vector for vector in bundle.vectors(name) if vector.regime in DECIDING]
    try:
        cases = ((vector, bundle.read(vector)) for vector in vectors)
        return printable(shortcoming(bundle.manifest.signatures[name], cases))
    except Exception as error:  # whatever a stranger wrote into them
        return f"they cannot be read: {one_line(error)}"
