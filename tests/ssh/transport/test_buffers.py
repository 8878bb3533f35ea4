"""The buffers that connections borrow."""

import os

import pytest

from sshkit.ssh.transport.buffers import LARGE, SMALL, give, take


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_r41_a_forked_child_shares_no_buffer_with_its_parent(size: int) -> None:
    buffer = take(size)
    buffer[:6] = b"parent"
    child = os.fork()
    if not child:
        buffer[:6] = b"child!"
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert bytes(buffer[:6]) == b"parent"
    give(buffer)
