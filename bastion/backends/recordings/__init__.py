"""Where recordings are kept. Knows files, never what stands in a session's policy."""

from bastion.backends.recordings.folder import RecordingFolder

__all__ = ["RecordingFolder"]
