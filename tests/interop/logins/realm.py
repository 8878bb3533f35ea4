"""A Kerberos realm on loopback: a real KDC with files of its own; nothing of the system is touched."""

import os
import subprocess
from pathlib import Path

from tests.interop.peers import PATH, free_port, wait_for_port

REALM = "SSHKIT.TEST"


class Realm:
    """One KDC.  `environment` is what programs need to see this realm and no other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.keytab = folder / "keytab"
        self.cache = folder / "tickets"
        (folder / "krb5.conf").write_text(f"""\
[libdefaults]
 default_realm = {REALM}
 dns_lookup_realm = false
 dns_lookup_kdc = false
 dns_canonicalize_hostname = false
 rdns = false
 forwardable = true
 default_ccache_name = FILE:{self.cache}
[realms]
 {REALM} = {{
  kdc = 127.0.0.1:{self.port}
 }}
[domain_realm]
 localhost = {REALM}
""")
        (folder / "kdc.conf").write_text(f"""\
[kdcdefaults]
 kdc_ports = {self.port}
 kdc_tcp_ports = {self.port}
[realms]
 {REALM} = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
  acl_file = {folder}/acl
  max_life = 1h
 }}
[logging]
 kdc = FILE:{folder}/kdc.log
""")
        self.environment = dict(
            os.environ,
            PATH=PATH,
            KRB5_CONFIG=str(folder / "krb5.conf"),
            KRB5_KDC_PROFILE=str(folder / "kdc.conf"),
            KRB5_KTNAME=str(self.keytab),
            KRB5CCNAME=f"FILE:{self.cache}",
            KRB5RCACHENAME="none:",
        )
        self._process: subprocess.Popen[bytes] | None = None

    def call(self, *arguments: str, text: str = "") -> None:
        """Run a program of Kerberos."""
        subprocess.run(
            arguments,
            input=text.encode(),
            env=self.environment,
            check=True,
            capture_output=True,
            timeout=30,
        )

    def __enter__(self) -> "Realm":
        self.call("kdb5_util", "create", "-s", "-P", "master", "-r", REALM)
        self.call("kadmin.local", "-q", "addprinc -pw secret root")
        self.call("kadmin.local", "-q", "addprinc -pw secret other")
        self.call("kadmin.local", "-q", "addprinc -randkey host/localhost")
        self.call("kadmin.local", "-q", f"ktadd -k {self.keytab} host/localhost")
        place = self.folder / "kdc.out"
        with place.open("wb") as log:
            self._process = subprocess.Popen(
                ["krb5kdc", "-n", "-r", REALM], env=self.environment, stdout=log, stderr=log
            )
        wait_for_port(self.port, self._process, place)
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)

    def log_in(self, name: str = "root", *options: str) -> None:
        """Get a ticket."""
        self.call("kinit", *options, name, text="secret\n")

    def log_out(self) -> None:
        """Throw the tickets away."""
        self.cache.unlink(missing_ok=True)
