"""What a client sends from its KEXINIT to its NEWKEYS, to a server: any messages in any order."""

from tests.fuzz.targets.keyless import Exchange


def parse(data: bytes) -> None:
    Exchange.run(data, is_client=False)
