"""Names of classes of service for packets, as IPQoS of ssh_config and sshd_config writes them.

Called by `client_keywords`.  A value is the whole byte that the IP header holds (RFC 2474, 2597, 3246 and
8622); ``none`` leaves the system's own.
"""

SERVICE_CLASSES: dict[str, int | None] = {
    **{f"af{group}{drop}": (group * 8 + drop * 2) << 2 for group in range(1, 5) for drop in range(1, 4)},
    **{f"cs{group}": group << 5 for group in range(8)},
    "ef": 0xB8,
    "le": 0x04,
    "lowdelay": 0x10,
    "throughput": 0x08,
    "reliability": 0x04,
    "none": None,
}
