"""Which tests run in one worker, when there are several."""

from xdist.scheduler import LoadFileScheduling

SECOND = "tests/spark/test_stream.py"  # as long as all the others with a session
OTHERS = ("tests/spark/", "tests/unit/jobs/maintenance/test_maintain.py")


class FilesWithTwoSessions(LoadFileScheduling):
    """A file in one worker; those with the shared session in two, as its JVM needs a minute to get warm."""

    def _split_scope(self, nodeid: str) -> str:
        path = super()._split_scope(nodeid)
        return "session" if path.startswith(OTHERS) and path != SECOND else path
