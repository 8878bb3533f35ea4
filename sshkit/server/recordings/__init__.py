"""Recordings of sessions in asciinema's format: made, read, played back over SSH, and watched live.

A recorder is a middleware (`sshkit.middleware.recording`); `play` and `LiveSessions.watch` serve sessions.
"""

from sshkit.server.recordings.file import RecordingFile
from sshkit.server.recordings.format import Event, Header, RecordingError
from sshkit.server.recordings.live import LiveSession, LiveSessions, NoSuchSession
from sshkit.server.recordings.play import play
from sshkit.server.recordings.reader import Recording, open_recording
from sshkit.server.recordings.recorder import Recorder, recorder_of, recording

__all__ = [
    "Event",
    "Header",
    "LiveSession",
    "LiveSessions",
    "NoSuchSession",
    "Recorder",
    "Recording",
    "RecordingError",
    "RecordingFile",
    "open_recording",
    "play",
    "recorder_of",
    "recording",
]
