"""What leaves the system: one dated, whole, checked set of files, and its independent re-check."""

from pipelines.io.releases.publish import renew_release, write_release
from pipelines.io.releases.verify import verify_release

__all__ = ["renew_release", "verify_release", "write_release"]
