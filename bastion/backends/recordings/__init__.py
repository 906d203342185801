"""Where recordings are kept. Knows files, never what stands in a session's policy."""

from bastion.backends.recordings.folder import RecordingFolder
from bastion.backends.recordings.pack import verify_files
from bastion.backends.recordings.sealkey import SealKey

__all__ = ["RecordingFolder", "SealKey", "verify_files"]
