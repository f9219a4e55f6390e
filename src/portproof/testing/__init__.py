"""Tests for those who add a format or a runtime: what Portproof relies on, tried on small models.

def test_runtime(tmp_path):
    portproof.add_format(FORMAT)
    result = check_runtime(RUNTIME, tmp_path)
    assert result.ok, result

It needs TensorFlow, which makes the models. Portproof's own runtimes pass it.
"""

from portproof.testing.conformance import Check, Conformance
from portproof.testing.format_checks import check_format
from portproof.testing.runtime_checks import check_runtime

__all__ = ["Check", "Conformance", "check_format", "check_runtime"]
