"""ls of sshkit-sftp: which names, in what order, in which form.

`sftp_commands` calls it; the forms are in `sftp_listing`.
"""

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sshkit.sftp.errors import SFTPError

from .sftp_listing import columns, long_line, terminal_width
from .sftp_remote import Match, absolute, append, glob, shown, strip

if TYPE_CHECKING:
    from sshkit.sftp.attributes import Attributes
    from sshkit.sftp.client import SFTPClient

NAMES = "users-groups-by-id@openssh.com"
MAX_IDS = 1000  #: ids that one question asks for


class Row(NamedTuple):
    """A file to show."""

    name: bytes  #: to sort by
    label: str
    attributes: "Attributes | None"
    longname: bytes = b""


class Form(NamedTuple):
    """What the flags of ls come to."""

    long: bool = False
    short: bool = False  #: one a line
    numeric: bool = False
    human: bool = False
    all: bool = False
    reverse: bool = False
    by: str = "name"


def form_of(flags: str) -> Form:
    """Return what the flags say, later ones over earlier ones."""
    form = Form()
    for flag in flags:
        if flag == "1":
            form = form._replace(short=True, long=False, numeric=False, human=False)
        elif flag in "ln":
            form = form._replace(long=True, short=False, numeric=form.numeric or flag == "n")
        elif flag in "Sft":
            form = form._replace(by={"S": "size", "f": "", "t": "time"}[flag])
        elif flag == "a":
            form = form._replace(all=True)
        elif flag == "h":
            form = form._replace(human=True)
        else:
            form = form._replace(reverse=True)
    return form


async def list_remote(
    client: "SFTPClient", pattern: str | None, folder: str, flags: str, output: Callable[[str], object]
) -> None:
    """Print what ls prints.  FileNotFoundError where there is nothing of that name."""
    form = form_of(flags)
    if pattern is None:
        await _list_folder(client, folder, folder, form, output)
        return
    base = None if pattern.startswith("/") else folder
    path = absolute(pattern, folder)
    matches = await glob(client, path, brace=True)
    if not matches:
        raise FileNotFoundError(f'Can\'t ls: "{shown(path)}" not found')
    if len(matches) == 1 and matches[0].is_folder:
        path = matches[0].marked if pattern[-1:] == "/" else matches[0].path
        await _list_folder(client, path, base, form, output)
    else:
        output(await _list_matches(client, matches, base, form))


async def _list_folder(
    client: "SFTPClient", path: str, base: str | None, form: Form, output: Callable[[str], object]
) -> None:
    rows: list[Row] = []
    if form.all:
        for name in (".", ".."):
            try:
                found = await client.stat(os.fsencode(append(path, name)))
            except SFTPError:
                continue
            rows.append(Row(os.fsencode(name), shown(strip(append(path, name), base)), found))
    async for batch in client.batches(os.fsencode(path)):
        for entry in batch:
            if form.all or entry.raw[:1] != b".":
                label = shown(strip(append(path, entry.name), base))
                rows.append(Row(entry.raw, label, entry.attributes, entry.longname))
        if form.short and not form.by:  # as they come: a directory may be larger than our memory
            output("".join(f"{row.label}\n" for row in rows))
            rows.clear()
    longest = max((len(shown(row.name)) for row in rows), default=0) + len(shown(strip(path, base)))
    if rows:
        output(await _show(client, _sorted(rows, form), form, longest))


async def _list_matches(client: "SFTPClient", matches: list[Match], base: str | None, form: Form) -> str:
    rows = [
        Row(os.fsencode(match.path), shown(strip(match.marked, base)), match.attributes) for match in matches
    ]
    longest = max(len(shown(match.marked)) for match in matches)
    return await _show(client, _sorted(rows, form), form, longest)


def _sorted(rows: list[Row], form: Form) -> list[Row]:
    if form.by == "name":
        return sorted(rows, key=lambda row: row.name, reverse=form.reverse)
    if form.by == "time":
        return sorted(rows, key=lambda row: -_of(row, "mtime"), reverse=form.reverse)
    if form.by == "size":
        return sorted(rows, key=lambda row: -_of(row, "size"), reverse=form.reverse)
    return rows


def _of(row: Row, name: str) -> int:
    return 0 if row.attributes is None else getattr(row.attributes, name) or 0


async def _show(client: "SFTPClient", rows: list[Row], form: Form, longest: int) -> str:
    if form.long:
        users, groups = await _names(client, rows, form)
        known = NAMES in client.extensions or form.numeric or form.human
        now = time.time()
        out: list[str] = []
        for row in rows:
            if row.attributes is None:
                out.append(f"no stat information for {row.label}")
            elif row.longname and not known:
                out.append(shown(row.longname))  # the server's own line
            else:
                out.append(
                    long_line(row.label, row.attributes, now, human=form.human, users=users, groups=groups)
                )
        return "".join(f"{line}\n" for line in out)
    if form.short:
        return "".join(f"{row.label}\n" for row in rows)
    return columns([row.label for row in rows], longest, terminal_width())


async def _names(client: "SFTPClient", rows: list[Row], form: Form) -> tuple[dict[int, str], dict[int, str]]:
    """Ask for the names of owners and groups, where the server tells them."""
    users: dict[int, str] = {}
    groups: dict[int, str] = {}
    if form.numeric or NAMES not in client.extensions:
        return users, groups
    uids = sorted({row.attributes.uid for row in rows if row.attributes and row.attributes.uid is not None})
    gids = sorted({row.attributes.gid for row in rows if row.attributes and row.attributes.gid is not None})
    for start in range(0, max(len(uids), len(gids)), MAX_IDS):
        some_uids, some_gids = uids[start : start + MAX_IDS], gids[start : start + MAX_IDS]
        user_names, group_names = await client.user_and_group_names(some_uids, some_gids)
        users.update(zip(some_uids, user_names, strict=True))
        groups.update(zip(some_gids, group_names, strict=True))
    return users, groups
