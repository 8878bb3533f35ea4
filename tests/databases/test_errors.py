"""What an error of a database shows, and what it does not."""

import re
from typing import Any

import pytest

from sshkit.databases import DatabaseError, StatementError
from sshkit.databases.errors import cause_text, shown, statement_error, target_text


class Error(Exception):
    """A driver's own, by its name."""


class Final(Error):
    """A class of a driver that nothing can be derived from."""

    def __init_subclass__(cls) -> None:
        raise TypeError("it is final")


def test_a_statement_is_shown_in_one_short_line_whatever_its_type() -> None:
    assert shown(b"SELECT \xff\n  1") == r"'SELECT \xff 1'"
    assert shown(7) == "'7'"
    assert len(shown("x" * 5000)) < 200


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        (["hunter2", ""], "key (...) has 'x'"),
        ({"a": "hunter2", "b": "x"}, "key (...) has '...'"),
        ([["hunter2", {"deep": b"x"}]], "key (...) has '...'"),
        ("hunter2", "key (...) has 'x'"),
        (7, "key (hunter2) has 'x'"),
    ],
)
def test_no_value_of_a_parameter_is_shown(parameters: Any, text: str) -> None:
    assert cause_text(Error("key (hunter2) has 'x'\nand more"), parameters) == f"Error: {text}"


def test_an_error_without_words_is_its_class() -> None:
    assert cause_text(Error()) == "Error"


def test_a_drivers_class_that_is_final_gives_our_own_error() -> None:
    error = statement_error("'SELECT 1'", Final("broken"))
    assert type(error) is StatementError
    assert (str(error), error.statement) == ("'SELECT 1': Final: broken", "'SELECT 1'")
    assert isinstance(error.cause, Final)
    derived = statement_error("'SELECT 1'", Error("broken"))
    assert isinstance(derived, Error)
    assert isinstance(derived, DatabaseError)


def test_a_place_shows_no_password() -> None:
    place, secrets = target_text(("postgresql://joe:hunter2@db/x",), {"user": "joe", "password": "s3cr3t"})
    assert re.fullmatch(r"postgresql://joe:\.\.\.@db/x user=joe", place)
    assert {"hunter2", "s3cr3t"} <= set(secrets)
