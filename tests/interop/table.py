"""Print the interop table: ``python -m tests.interop.table`` (or ``make interop``).

A row for each peer and role; a column for each category, with how many algorithms worked of those that
the peer takes part in, and below the table what did not work and why.
"""

import getpass
import sys
import tempfile
import warnings
from pathlib import Path

from tests.interop import matrix
from tests.interop.clients import CLIENTS, Choice, choices
from tests.interop.peers import SERVERS, Keys

COLUMNS = ("defaults", "key exchange", "cipher", "cipher + MAC", "host key", "user key", "compression")


def column(choice: Choice) -> str:
    """Return the column that a choice belongs to."""
    if choice.kex:
        return "key exchange"
    if choice.cipher:
        return "cipher + MAC" if choice.mac else "cipher"
    if choice.host_key:
        return "host key"
    if choice.compression:
        return "compression"
    return "user key" if choice.user_key != "ssh-ed25519" else "defaults"


def main() -> int:
    warnings.simplefilter("ignore")
    failures: list[str] = []
    print(f"{'peer':14} {'role':7}" + "".join(f"{name:>14}" for name in COLUMNS))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        keys = Keys(Path(folder))
        for server in SERVERS:
            if server.executable is None:
                print(f"{server.name:14} server  not installed")
                continue
            with server.running(keys) as port:
                row(
                    f"{server.name:14} server ",
                    choices(server.offer),
                    lambda choice, port=port: matrix.our_client(port, keys, choice, getpass.getuser()),
                    failures,
                )
        ours = matrix.serve(keys)
        for client in CLIENTS:
            if not client.is_present:
                print(f"{client.name:14} client  not installed")
                continue
            row(
                f"{client.name:14} client ",
                choices(client.offer),
                lambda choice, client=client: matrix.our_server(client, keys, ours.address[1], choice),
                failures,
            )
        ours.close()
    print("\n".join(failures) or "every cell works")
    return 1 if failures else 0


def row(title: str, wanted: list[Choice], meet, failures: list[str]) -> None:  # type: ignore[no-untyped-def]
    """Try every choice and print one row."""
    worked = dict.fromkeys(COLUMNS, 0)
    total = dict.fromkeys(COLUMNS, 0)
    for choice in wanted:
        total[column(choice)] += 1
        try:
            meet(choice)
            worked[column(choice)] += 1
        except Exception as error:
            failures.append(f"{title.strip()}: {choice}: {error}")
    cells = (f"{worked[name]}/{total[name]}" if total[name] else "-" for name in COLUMNS)
    print(title + "".join(f"{cell:>14}" for cell in cells), flush=True)


if __name__ == "__main__":
    sys.exit(main())
