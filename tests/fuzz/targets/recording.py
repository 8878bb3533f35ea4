"""A recording of a session (asciicast, versions 2 and 3)."""

from io import BytesIO

from sshkit.server.recordings.reader import Recording


def parse(data: bytes) -> None:
    last = 0.0
    with Recording(BytesIO(data), "recording") as recording:
        for event in recording:
            assert event.time >= last
            last = event.time
            if event.code == "r":
                assert all(side >= 0 for side in event.size)
