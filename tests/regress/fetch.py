"""Get OpenSSH's source, whose regression scripts `run` starts: ``python -m tests.regress.fetch``.

The scripts are not ours and do not come into this tree: apt gets the upstream archive of Debian's source
package, checks it against Debian's signed index, and `regress/` of it is unpacked to .peers/openssh-source.
Needs apt and Debian's mirror; where they are not, it says so and ends with 1.
"""

# ruff: noqa: T201 - a command, which prints

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.regress.places import HELPERS, RELEASES, SOURCES, Release

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
FALLBACK_MIRROR = "http://deb.debian.org/debian"
TIMEOUT = 300.0


class FetchError(Exception):
    """The source cannot be had here; the text says why."""


def mirror() -> str:
    """Return the mirror that this machine uses already."""
    for path, pattern in (
        (Path("/etc/apt/sources.list.d/debian.sources"), r"^URIs:\s*(\S+/debian/?)\s*$"),
        (Path("/etc/apt/sources.list"), r"^deb\s+(?:\[[^]]*\]\s*)?(\S+/debian/?)\s"),
    ):
        if path.is_file():
            found = re.search(pattern, path.read_text(errors="replace"), re.MULTILINE)
            if found is not None:
                return found[1]
    return FALLBACK_MIRROR


def apt(work: Path, *arguments: str) -> None:
    """Run apt-get with lists and a cache of its own."""
    options = (
        f"Dir::Etc::sourcelist={work / 'sources.list'}",
        "Dir::Etc::sourceparts=/dev/null",
        f"Dir::State::lists={work / 'lists'}",
        f"Dir::Cache={work / 'cache'}",
        "APT::Sandbox::User=root",
        "APT::Update::Error-Mode=any",
    )
    line = ["apt-get", "-qq", *(word for option in options for word in ("-o", option)), *arguments]
    done = subprocess.run(
        line, cwd=work, capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip() or "no reason told").splitlines()[-1]
        raise FetchError(f"apt-get {arguments[0]}: {reason}")


def unpack(archive: Path, target: Path) -> None:
    """Put `regress/` of an archive of OpenSSH to `target`."""
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(archive) as tar:
        wanted = []
        for member in tar.getmembers():
            head, _, rest = member.name.partition("/")
            if head.startswith("openssh-") and rest.startswith("regress/"):
                member.name = rest.removeprefix("regress/")
                wanted.append(member)
        if not wanted:
            raise FetchError(f"{archive.name}: no folder regress in it")
        tar.extractall(partial, members=wanted, filter="data")
    partial.rename(target)


def fetch_helpers(work: Path) -> None:
    """Get the small programs of Debian's package openssh-tests."""
    (work / "helpers.list").write_text(f"deb {mirror()} {RELEASES[0].suite} main\n")
    (work / "sources.list").write_text((work / "helpers.list").read_text())
    apt(work, "update")
    apt(work, "download", "openssh-tests")
    found = list(work.glob("openssh-tests_*.deb"))
    if not found:
        raise FetchError("there is no package openssh-tests")
    subprocess.run(["dpkg", "-x", found[0], work / "tests"], check=True, timeout=TIMEOUT)
    partial = HELPERS.with_name(f"{HELPERS.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(work / "tests/usr/lib/openssh/regress", partial)
    partial.rename(HELPERS)


def fetch(releases: tuple[Release, ...]) -> None:
    """Get the scripts of releases that are not there yet."""
    if shutil.which("apt-get") is None:
        raise FetchError("no apt-get here: Debian's source packages cannot be had")
    SOURCES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for part in ("lists/partial", "cache/archives/partial"):
            (work / part).mkdir(parents=True)
        signed = f" [signed-by={KEYRING}]" if Path(KEYRING).is_file() else ""
        lines = [f"deb-src{signed} {mirror()} {release.suite} main\n" for release in releases]
        (work / "sources.list").write_text("".join(lines))
        if releases:
            apt(work, "update")
        for release in releases:
            apt(work, "source", "--download-only", "--tar-only", f"openssh/{release.suite}")
            found = list(work.glob(f"openssh_{release.version}*.orig.tar.gz"))
            if not found:
                raise FetchError(f"{release.suite} has another OpenSSH than {release.version}")
            unpack(found[0], release.scripts)
        if not HELPERS.is_dir():
            fetch_helpers(work)


def main() -> int:
    """Get what is missing; returns the exit status."""
    missing = tuple(release for release in RELEASES if not release.scripts.is_dir())
    if not missing and HELPERS.is_dir():
        return 0
    try:
        fetch(missing)
    except (FetchError, OSError, subprocess.TimeoutExpired, tarfile.TarError) as error:
        print(f"OpenSSH's regression scripts are not here, and cannot be fetched: {error}", file=sys.stderr)
        return 1
    for release in missing:
        print(f"OpenSSH {release.version}: scripts in {release.scripts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
