"""A program that speaks SFTP on its pipes: what it wrote last is read, whenever it ended."""

from typing import Any

import pytest

from sshkit.client.sftp import _Program


class Both:
    """Stands for the session and for the process."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *values: self.events.append((name, *values))


@pytest.mark.parametrize("exit_first", [False, True])
def test_what_a_program_wrote_before_it_ended_is_read(exit_first: bool) -> None:
    session, process = Both(), Both()
    program = _Program(session)
    program.process_started(process)
    if exit_first:
        program.process_exited("status")
    program.output_received(1, b"last words")
    program.output_received(2, b"a warning")
    program.output_closed(2)
    program.output_closed(1)
    if not exit_first:
        program.process_exited("status")
    names = [event[0] for event in session.events]
    assert names == [
        "connection_made",
        "data_received",
        "extended_data_received",
        "eof_received",
        "connection_lost",
    ]
    assert process.events == [("close",)]
    assert program.exit_status == "status"


def test_a_program_that_is_closed_ends_with_its_process_alone() -> None:
    session, process = Both(), Both()
    program = _Program(session)
    program.process_started(process)
    program.close()
    program.process_exited("status")
    assert [event[0] for event in session.events] == ["connection_made", "connection_lost"]
