"""What ssh-audit, which administrators point at their servers, finds about sshkit-server's defaults."""

import json
import subprocess
import sys
from typing import Any

from tests.servers import TIMEOUT

AUDIT = [sys.executable, "-m", "ssh_audit", "--skip-rate-test", "--json"]


def faults(found: Any) -> list[str]:
    """Return every algorithm that has a [fail] line."""
    return [
        f"{category} {entry['algorithm']}: {entry['notes']['fail']}"
        for category in ("kex", "key", "enc", "mac")
        for entry in found[category]
        if entry.get("notes", {}).get("fail")
    ]


def audited(port: int) -> Any:
    """Return what ssh-audit says about the server at this port."""
    done = subprocess.run(
        [*AUDIT, "-p", str(port), "127.0.0.1"], capture_output=True, timeout=TIMEOUT, check=False
    )
    return json.loads(done.stdout)


def test_an_audit_finds_nothing_to_mend(start: Any) -> None:
    found = audited(start().port)
    assert found["banner"]["software"].startswith("sshkit")
    assert len(found["kex"]) > 5
    assert len(found["enc"]) > 3
    assert faults(found) == []


def test_what_was_asked_for_by_name_is_found_by_an_audit(start: Any) -> None:
    found = faults(audited(start("KexAlgorithms +ecdh-sha2-nistp256").port))
    assert [line.partition(":")[0] for line in found] == ["kex ecdh-sha2-nistp256"]
