"""Why a JVM did not start: each of what Spark's scripts, the JVM and Spark say, as one line that mends it."""

import pytest

from streamscore.spark.jvm_error import no_jvm

NOISE = "WARNING: Using incubator modules: jdk.incubator.vector\nPicked up JAVA_TOOL_OPTIONS: -Dx=y\n"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "/s/bin/spark-class: line 71: /nope/bin/java: No such file or directory",
            "no Java in /nope/bin/java; set JAVA",
        ),
        ("JAVA_HOME is not set", "there is no Java; set JAVA_HOME"),
        (
            "Failed to find Spark jars directory (/nope/jars).\nYou need to build",
            "no folder /nope/jars; unset SPARK_HOME",
        ),
        (
            "Error: Missing application resource.\nUsage: spark-submit",
            "PYSPARK_SUBMIT_ARGS must end with pyspark-shell",
        ),
        (
            'Exception in thread "main" java.lang.UnsupportedClassVersionError: org/apache/spark/Main has '
            "been compiled by a more recent version",
            "this Java is too old; set JAVA_HOME",
        ),
        (
            "Unrecognized option: -Xbogus\nError: Could not create the Java Virtual Machine.",
            "Unrecognized option: -Xbogus",
        ),
        (
            "Unrecognized VM option 'UseConcMarkSweepGC'",
            "Unrecognized VM option 'UseConcMarkSweepGC'; look at JAVA_TOOL",
        ),
        (
            "Error occurred during initialization of VM\nCould not reserve enough space for 1048576KB object heap",
            "not enough memory; give it more: STREAMSCORE_SPARK__DRIVER_MEMORY",
        ),
        (
            "# There is insufficient memory for the Java Runtime Environment to continue.",
            "not enough memory; give it more",
        ),
        ("java.lang.OutOfMemoryError: unable to create native thread", "not enough memory"),
        (
            "java.net.UnknownHostException: box: box: Name or service not known\n\tat java.base",
            "no address for the name box; export SPARK_LOCAL_HOSTNAME=localhost",
        ),
        (
            "java.net.UnknownHostException: box: not known\n\tat org.apache.spark.deploy.X.appendS3CredentialsFrom",
            "where AWS_ACCESS_KEY_ID is set; give it one in /etc/hosts",
        ),
        ("java.net.BindException: bind(..) failed: Cannot assign requested address", "unset SPARK_LOCAL_IP"),
        (
            "org.apache.spark.SparkException: Invalid Spark URL: spark://HeartbeatReceiver@my_host:43019",
            "Spark takes 'my_host' for no address; unset SPARK_LOCAL_HOSTNAME",
        ),
        ("java.nio.channels.UnresolvedAddressException", "no address for the name of the driver"),
        ("java.io.FileNotFoundException: /s/a.jar (Too many open files)", "too many open files; ulimit -n 4096"),
        (
            "java.io.IOException: No space left on device",
            "no space left on a disk (TMPDIR, /tmp or the checkpoint); df -h",
        ),
        (
            "An error occurred while calling None.org.apache.spark.api.java.JavaSparkContext.\n: "
            "org.apache.spark.SparkIllegalArgumentException: [INVALID_DRIVER_MEMORY] System memory 129761280 must be "
            "at least 471859200. Please increase",
            "the driver has 129761280 bytes of memory, wanted 471859200 or more",
        ),
        (
            'Error: A JNI error has occurred, please check your installation\nException in thread "main" ',
            "Java cannot load its classes, as where its heap is too small; look at JAVA_TOOL_OPTIONS",
        ),
        ("invalid null input: name", "this user has no name in /etc/passwd"),
        (
            "26/11/28 22:05:00 ERROR SparkContext: Error initializing SparkContext.\n\tat x\nAn error occurred while "
            "calling None.x.\n: java.lang.IllegalStateException: it is odd\n\tat y",
            "java.lang.IllegalStateException: it is odd; look: streamscore doctor",
        ),
        ("", "it ended with 3 and said nothing"),
    ],
)
def test_what_a_jvm_says_is_told_in_one_line_with_what_mends_it(said: str, told: str) -> None:
    error = no_jvm(NOISE + said, 3)
    assert told in str(error)
    assert str(error).startswith("Spark's JVM did not start: ")
    assert "\n" not in str(error) and "WARNING" not in str(error)
    assert error.exit_code == 2


def test_a_jvm_that_is_killed_at_its_start_has_no_memory() -> None:
    assert "was killed at its start" in str(no_jvm("", -9))


OF_LOG4J = (
    "2026-11-29T01:30:36.484Z main ERROR Could not determine local host name\n"
    "java.net.UnknownHostException: box: Name or service not known\n"
    "\tat java.base/java.net.InetAddress.getLocalHost(InetAddress.java:1671)\n"
    "Caused by: java.net.UnknownHostException: box: Name or service not known\n\t... 20 more\n\n"
)
RAISED = (
    "An error occurred while calling None.org.apache.spark.api.java.JavaSparkContext.\n"
    ": java.lang.IllegalStateException: it is odd\n\tat x"
)


@pytest.mark.parametrize(
    ("said", "code", "raised", "told"),
    [
        ("", 3, "", "it ended with 3 and said nothing"),
        ("", -9, "", "was killed at its start"),
        ("Unrecognized option: -Xbogus\n", 1, "", "Unrecognized option: -Xbogus"),
        ("Exception in thread main java.lang.Error: odd\n", 1, "", "java.lang.Error: odd; look"),
        ("", None, RAISED, "java.lang.IllegalStateException: it is odd; look"),
        ("", None, RAISED.replace("it is odd", "Cannot assign requested address"), "no such address here"),
        ("26/11/29 01:30:36 ERROR S3A: java.net.UnknownHostException: box\n", None, RAISED, "it is odd; look"),
        ("java.net.UnknownHostException: other: x\n", 1, "", "no address for the name other"),
    ],
)
def test_what_log4j_says_of_a_machine_without_a_network_is_no_cause(
    said: str, code: int | None, raised: str, told: str
) -> None:
    for text in (OF_LOG4J + said, said + OF_LOG4J):
        assert told in str(no_jvm(text, code, raised))
