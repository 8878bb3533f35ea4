"""Giving up rights, step by step, with a system that refuses; no right of this process is touched."""

import os
from typing import Any

import pytest

import sshkit.service
from sshkit.server import privileges
from sshkit.server.privileges import RightsNotGiven
from sshkit.service import OptionError, ProgramOptions
from sshkit.service.rights import Rights, give_up, look_up

NAME = "root"


def refuse(*args: Any) -> None:
    raise RightsNotGiven("ChrootDirectory /x: no such folder")


def test_a_user_and_a_group_are_found_by_name_and_by_number() -> None:
    for name in (NAME, "0"):
        rights = look_up(ProgramOptions(user=name, group="0"))
        assert rights.account is not None
        assert (rights.account.name, rights.account.uid, rights.gid) == (NAME, 0, 0)
    assert look_up(ProgramOptions(group="0")) == Rights(None, 0, (), None)
    assert look_up(ProgramOptions(user=NAME)).gid is None
    with pytest.raises(OptionError, match="--user nobody at all: there is no such user"):
        look_up(ProgramOptions(user="nobody at all"))


def test_the_root_folder_comes_before_the_user_and_the_group_last(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    account = look_up(ProgramOptions(user=NAME)).account
    monkeypatch.setattr(privileges, "change_root", lambda folder: done.append(folder))
    monkeypatch.setattr(privileges, "become", lambda account, groups: done.append((account.name, groups)))
    monkeypatch.setattr(os, "setgroups", lambda groups: done.append(groups))
    monkeypatch.setattr(os, "setresgid", lambda *gids: done.append(gids))
    give_up(Rights(account, 77, (77, 78), "/x"))
    assert done == ["/x", (NAME, (77, 78)), [77], (77, 77, 77)]
    done.clear()
    monkeypatch.setattr(os, "getresgid", lambda: (77, 77, 77))
    give_up(Rights(None, 77, (), None))
    assert done == []


def test_what_the_system_refuses_is_named_by_its_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges, "change_root", refuse)
    monkeypatch.setattr(privileges, "become", refuse)
    account = look_up(ProgramOptions(user=NAME)).account

    def no(groups: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setgroups", no)
    for rights, words in (
        (Rights(None, None, (), "/x"), "^--chroot /x: no such folder$"),
        (Rights(account, None, (), None), "^--user: ChrootDirectory /x: no such folder$"),
        (Rights(None, 77, (), None), "^--group: cannot have group 77: Operation not permitted$"),
    ):
        with pytest.raises(OptionError, match=words):
            give_up(rights)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Servise'"):
        getattr(sshkit.service, "Servise")  # noqa: B009 - a misspelt name
