"""What sshkit-copy-id runs on the host: a script for any POSIX shell, fed to its standard input.

Called by `copy_id_run`.  The whole script is one group, which a shell reads to its end before it does
anything: a connection that breaks in the middle leaves nothing half done.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import quoted

if TYPE_CHECKING:
    from .copy_id_keys import KeyLine

#: What starts the shell, whatever the user's own shell is.
COMMAND: Final = "exec sh"
TARGET: Final = ".ssh/authorized_keys"
_REPORT: Final = "sshkit-copy-id: added"
_REPORT_LINE: Final = re.compile(rb"^sshkit-copy-id: added (\d{1,6})$", re.MULTILINE)

# A key counts as installed if a line begins with it: one with options would limit what it may do.
_SCRIPT: Final = """\
{{
{debug}umask 077
cd || exit 1
file={target}
{openwrt}case "$file" in
    */*) folder="${{file%/*}}/" ;;
    *) folder=. ;;
esac
mkdir -p "$folder" || exit 1
if [ -n "$(tail -c 1 "$file" 2>/dev/null)" ]; then
    echo >> "$file" || exit 1
fi
added=0
add() {{
    if grep -q "^$1" "$file" 2>/dev/null; then
        return 0
    fi
    printf '%s\\n' "$2" >> "$file" || exit 1
    added=$((added + 1))
}}
{adds}
if command -v restorecon >/dev/null 2>&1; then
    restorecon -F "$folder" "$file"
fi
echo "{report} $added"
exit 0
}} </dev/null
"""
_OPENWRT: Final = """\
if [ -f /etc/openwrt_release ] && [ "$LOGNAME" = root ]; then
    file=/etc/dropbear/authorized_keys
fi
"""


def install_script(keys: "Iterable[KeyLine]", target: str | None = None, debug: bool = False) -> str:
    """Return the script that appends the keys which are not in the file yet, and reports how many."""
    if target is not None and not (target and target.isprintable()):
        raise SSHKitError(
            f"target path {quoted(target)}: empty, or with a character that no path should have"
        )
    path = TARGET if target is None else target
    if path.startswith("-"):
        path = f"./{path}"
    return _SCRIPT.format(
        debug="set -x\n" if debug else "",
        target=_quote(path),
        openwrt=_OPENWRT if target is None else "",
        adds="\n".join(f"add {_quote(key.name)} {_quote(str(key))}" for key in keys),
        report=_REPORT,
    )


def read_report(output: bytes) -> tuple[int | None, bytes]:
    """Return how many keys the script says it has added (None: it did not run to its end), and the rest."""
    found = list(_REPORT_LINE.finditer(output))
    if not found:
        return None, output
    last = found[-1]
    return int(last[1]), output[: last.start()] + output[last.end() + 1 :]


def _quote(text: str) -> str:
    """Return text as one word of a shell; lines were made of printable characters before."""
    if not text.isprintable():
        raise SSHKitError(f"{quoted(text)} cannot be sent: it holds a control character")
    return "'" + text.replace("'", "'\\''") + "'"
