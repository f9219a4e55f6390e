"""What a stranger wrote is shown as text, wherever it is shown."""

import pytest

from portproof.bundle.text import (
    for_code,
    for_markdown,
    for_terminal,
    is_printable,
    printable,
    strings_in,
)

HIDDEN = ("\x1b[2J", "\u202e", "\u200b", "\x00", "\x9b", "\ud800", "\u3164")


@pytest.mark.parametrize("hidden", HIDDEN)
def test_what_is_not_seen_is_written_out(hidden: str) -> None:
    assert not is_printable(f"a{hidden}b")
    assert is_printable(printable(f"a{hidden}b"))


def test_names_of_people_stay_as_they_are() -> None:
    for name in ("größe", "模型", "модель", "résumé_2", "a b", "👩‍🔬"):
        assert is_printable(name)
        assert printable(name) == name


@pytest.mark.parametrize(
    "line", ["::error::x", "::ERROR title=a:b::x", "  ::Stop-Commands::token", "a\n::add-mask::b"]
)
def test_no_line_is_a_command_of_githubs(line: str) -> None:
    shown = for_terminal(line)
    assert not any(part.lstrip().startswith("::") for part in shown.splitlines())


def test_the_older_form_of_commands_is_broken_anywhere() -> None:
    assert "##[" not in for_terminal("a ##[error]b")


def test_names_of_c_stay_in_a_line() -> None:
    assert for_terminal("in tflite::ops::builtin") == "in tflite::ops::builtin"


def test_markdown_has_no_element_link_or_cell_of_a_strangers() -> None:
    shown = for_markdown("<img src=x> [a](b) | `c` *d* my_module\n# e")
    assert "<" not in shown
    for sign in "[]|`*":
        assert f"\\{sign}" in shown
    assert "my_module" in shown
    assert "\n" not in shown


def test_code_ends_where_it_ends() -> None:
    assert "`" not in for_code("a`b")


def test_all_strings_of_a_document_are_looked_at() -> None:
    assert set(strings_in({"a": ["b", {"c": "d"}], "e": 1})) == {"a", "b", "c", "d", "e"}
