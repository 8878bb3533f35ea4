"""What importing costs beyond a bare interpreter, and what the commands load."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

STATEMENTS = {
    "sshkit, connect resolved": "import sshkit; sshkit.connect",
    "sshkit, serve resolved": "import sshkit; sshkit.serve",
    "event core, a reactor": "from sshkit.reactor.engines import new_reactor; new_reactor('direct').close()",
    "event core, native": "from sshkit.reactor.engines import new_reactor; new_reactor('native').close()",
    "twisted, its reactor": "import twisted.internet.reactor",
    "asyncio alone": "import asyncio",
    "asyncssh": "import asyncssh",
    "paramiko": "import paramiko",
    "twisted.conch": "import twisted.conch.ssh.connection, twisted.internet.reactor",
}


def seconds(statement: str) -> float:
    """Return how long an interpreter takes that runs `statement`."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", "-c", statement], check=True)
    return time.perf_counter() - began


def show(rounds: int) -> None:
    """Print the table."""
    print("\nimport, milliseconds beyond a bare interpreter")
    times: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    bare: list[float] = []
    seconds("pass")
    for statement in STATEMENTS.values():
        seconds(statement)  # writes the byte code
    for _ in range(rounds):
        bare.append(seconds("pass"))
        for name, statement in STATEMENTS.items():
            times[name].append(seconds(statement))
    for name, values in times.items():
        print(f"  {name:30}{(statistics.median(values) - statistics.median(bare)) * 1000:8.0f}")
    code = (
        "import sys; from sshkit_cli.client import main;"
        "main(['-F', 'none', '-p', '1', '127.0.0.1', 'true']);"
        "sys.exit('asyncio' in sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode
    print(f"  sshkit-client loads asyncio: {'yes' if loaded else 'no'}")
    version = [str(Path(sys.executable).parent / "sshkit-client"), "-V"]
    began = time.perf_counter()
    for _ in range(rounds):
        subprocess.run(version, capture_output=True, check=True)
    print(f"  sshkit-client -V, whole process: {(time.perf_counter() - began) / rounds * 1000:.0f} ms")
