"""Why Spark's JVM did not come up, or gave up: out of what it said."""

import re
import signal

from schemas.errors import SettingsError

WANTED_FILES = 4096  # open files; a JVM with Spark's jars has 400 open before it does anything
_MEMORY = "give it more: STREAMSCORE_SPARK__DRIVER_MEMORY, or the limit of this container or shell (ulimit -v)"
_PLACES = "TMPDIR, /tmp or the checkpoint"
_OPTIONS = "JAVA_TOOL_OPTIONS, JDK_JAVA_OPTIONS, _JAVA_OPTIONS"
_JAVA = "set JAVA_HOME to a Java 17 or 21, or unset it"
# What is said, what it means, and what mends it; the first that is said anywhere counts.
CAUSES = (
    (r"Too many open files", "too many open files", f"ulimit -n {WANTED_FILES}"),
    (r"No space left on device", f"no space left on a disk ({_PLACES})", "df -h"),
    (r"Disk quota exceeded", f"a disk quota is used up ({_PLACES})", "quota -s"),
    (r"Read-only file system", f"a file system is read-only ({_PLACES})", "mount"),
    (r"System memory (\d+) must be at least (\d+)", "the driver has {0} bytes of memory, wanted {1} or more", _MEMORY),
    (
        r"OutOfMemoryError|insufficient memory|Cannot allocate memory|not enough space|reserve enough space",
        "not enough memory",
        _MEMORY,
    ),
    (r"unable to create (?:new )?native thread|Resource temporarily unavailable", "no more threads", "ulimit -u 8192"),
    (
        r"UnknownHostException: ([^\s:]+)[\s\S]*appendS3Credentials",
        "no address for the name {0}, for which Spark asks where AWS_ACCESS_KEY_ID is set",
        "give it one in /etc/hosts, or unset AWS_ACCESS_KEY_ID",
    ),
    (r"UnknownHostException: ([^\s:]+)", "no address for the name {0}", "export SPARK_LOCAL_HOSTNAME=localhost"),
    (
        r"UnresolvedAddressException",
        "no address for the name of the driver",
        "unset SPARK_LOCAL_HOSTNAME, or set spark.driver.host to an address",
    ),
    (
        r"Invalid Spark URL: spark://[^@\s]*@(\S*):\d+",
        "Spark takes '{0}' for no address",
        "unset SPARK_LOCAL_HOSTNAME, or set spark.driver.host to an address",
    ),
    (r"Cannot assign requested address", "no such address here", "unset SPARK_LOCAL_IP SPARK_LOCAL_HOSTNAME"),
    (
        r"Missing application resource",
        "no application was named",
        "PYSPARK_SUBMIT_ARGS must end with pyspark-shell: unset PYSPARK_SUBMIT_ARGS",
    ),
    (r"UnsupportedClassVersionError|class file version", "this Java is too old", _JAVA),
    (r"JAVA_HOME is not set", "there is no Java", _JAVA),
    (r"line \d+: (\S+/bin/java): (?:No such file|Permission denied|Not a directory|cannot)", "no Java in {0}", _JAVA),
    (r"Failed to find Spark jars directory \((.*)\)", "no folder {0}", "unset SPARK_HOME"),
    (r"invalid null input: name", "this user has no name in /etc/passwd", "run as a user with a name: id"),
    (
        r"(Unrecognized (?:VM )?option:? .+|Invalid maximum heap size.*|Improperly specified VM option.*)",
        "Java says: {0}",
        f"look at {_OPTIONS} and spark.driver.extraJavaOptions",
    ),
    (
        r"A JNI error has occurred",
        "Java cannot load its classes, as where its heap is too small",
        f"look at {_OPTIONS}",
    ),
)
_NOISE = re.compile(
    r"WARNING|Picked up |Using Spark's |An error occurred while|Error: (Could not create|A fatal)|\s|$"
    r"|.* ERROR SparkContext: Error initializing"
)
# What log4j says of itself, with its trace: without a network, at each start, that the machine's name has no address.
_OF_LOG4J = re.compile(
    r"^\d{4}-\d\d-\d\dT\S+ .*? (?:WARN|ERROR|FATAL) .*\n"
    r"(?:[\w.$]+(?:Exception|Error)\b.*\n)?(?:(?:\t|Caused by: ).*\n)*\n?",
    re.MULTILINE,
)
_OF_JAVA = "An error occurred while calling "
_LOG = re.compile(r"^(\d\d/\d\d/\d\d \d\d:\d\d:\d\d (?:ERROR|FATAL)|:) ")


def cause_in(said: str) -> str:
    """What it means and what mends it, in one line; empty if nothing known is said."""
    for pattern, meaning, fix in CAUSES:
        if found := re.search(pattern, said):
            return f"{meaning.format(*found.groups())}; {fix}"
    return ""


def no_jvm(said: str, code: int | None = None, raised: str = "") -> SettingsError:
    """The error of a start.

    Args:
        said: by spark-submit and the JVM.
        code: of the process, if it ended; negative is the signal that ended it.
        raised: what ended the start; if Java raised it, this alone is the cause, whatever else was said.
    """
    if code is not None and code in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return SettingsError(f"Spark's JVM was killed at its start, as where memory is used up; {_MEMORY}")
    told = raised if _OF_JAVA in raised else "\n".join((_OF_LOG4J.sub("", f"{said}\n"), raised))
    if cause := cause_in(told):
        return SettingsError(f"Spark's JVM did not start: {cause}, then: streamscore doctor")
    lines = [_LOG.sub("", line.strip()) for line in told.splitlines() if not _NOISE.match(line)]
    first = next((line for line in lines if "rror" in line or "xception" in line), lines[0] if lines else "")
    first = first or f"it ended with {code} and said nothing"
    return SettingsError(
        f"Spark's JVM did not start: {first[:300]}; look: streamscore doctor, the whole story: --debug"
    )
