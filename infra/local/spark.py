"""The Spark Connect server with Delta Lake: the lake's one long-lived engine."""

from __future__ import annotations

import shutil
import socket
import sys
from pathlib import Path

from infra.local.component import Component, base_environment
from infra.local.setup import checksums, java_binary
from jobs.settings import PROJECT, Settings

DRIVER_MEMORY = "1536m"
# Compiling and collecting took more than half of the processor time of a day of small queries (measured by thread).
# So: only what runs very often goes to the optimising compiler, the collector is the one without threads of its own,
# and the cache of compiled code is never swept for room.
JAVA_OPTIONS = (
    "-Xms384m -XX:+UseSerialGC -XX:MinHeapFreeRatio=20 -XX:MaxHeapFreeRatio=50 -XX:ReservedCodeCacheSize=256m "
    "-XX:-UseCodeCacheFlushing -XX:Tier4InvocationThreshold=100000 -XX:Tier4MinInvocationThreshold=12000 "
    "-XX:Tier4CompileThreshold=300000 -XX:Tier4BackEdgeThreshold=800000 -Duser.timezone=UTC"
)
# Emptied before each start: nobody needs what an earlier server left there.
TEMPORARY = ("scratch", "tmp")
LOGGING = PROJECT / "infra" / "spark" / "log4j2.properties"


def configuration(settings: Settings) -> dict[str, str]:
    """Spark's settings for one small machine."""
    return {
        "spark.master": "local[*]",
        "spark.app.name": "ledgerlake",
        "spark.driver.memory": DRIVER_MEMORY,
        # Each session leaves an empty folder among the temporary files of Java, and a killed server all of them.
        "spark.driver.extraJavaOptions": (
            f'{JAVA_OPTIONS} "-Dlog4j2.configurationFile={LOGGING}" "-Djava.io.tmpdir={settings.home / "spark" / "tmp"}"'
        ),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(settings.spark_port),
        "spark.connect.grpc.maxInboundMessageSize": str(256 * 1024 * 1024),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.warehouse.dir": str(settings.home / "spark" / "warehouse"),
        "spark.local.dir": str(settings.home / "spark" / "scratch"),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",  # else VACUUM lists files with 10,000 tasks
        "spark.databricks.delta.snapshotPartitions": "1",  # Delta's default of 50 is meant for large logs
        # The files of a read are named; to look at them by Spark jobs would take longer than to read them.
        "spark.sql.sources.parallelPartitionDiscovery.threshold": "2000",
        # Java compiles no method that is longer: uncompiled, a wide row's costs three times as much as in parts.
        "spark.sql.codegen.hugeMethodLimit": "8000",
        # Two tasks for two cores share a file evenly: Spark adds 4 MB to each file's size before it divides.
        "spark.sql.files.openCostInBytes": "1m",
        # Not INT96, which Parquet keeps no statistics of.
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.dataFrameQueryContext.enabled": "false",  # a stack trace a column
        # Every sort and every aggregation, of ten rows too, takes a page of memory; Spark's own size for it is 32 MB here.
        "spark.buffer.pageSize": "1m",
        "spark.ui.enabled": "false",
        # What a page of Spark's own would show is kept even when there is none.
        "spark.ui.retainedJobs": "20",
        "spark.ui.retainedStages": "20",
        "spark.ui.retainedTasks": "100",
        "spark.sql.ui.retainedExecutions": "20",
        "spark.connect.ui.retainedSessions": "10",
        "spark.connect.ui.retainedStatements": "10",
        "spark.ui.showConsoleProgress": "false",
        "spark.cleaner.periodicGC.interval": "2min",  # gives memory back when nothing runs
    }


def component(settings: Settings) -> Component:
    import pyspark

    jars = [settings.home / "jars" / name for name in sorted(checksums())]
    options = [part for name, value in configuration(settings).items() for part in ("--conf", f"{name}={value}")]
    submit = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    server = "org.apache.spark.sql.connect.service.SparkConnectServer"

    def prepare() -> None:
        java_binary()
        missing = [jar.name for jar in jars if not jar.exists()]
        if missing:
            raise FileNotFoundError(
                f"Spark needs {missing[0]} in {settings.home / 'jars'} ({len(missing)} jars missing). Run `make setup`."
            )
        for folder in TEMPORARY:
            shutil.rmtree(settings.home / "spark" / folder, ignore_errors=True)
        for folder in ("warehouse", "work", *TEMPORARY):
            (settings.home / "spark" / folder).mkdir(parents=True, exist_ok=True)

    return Component(
        name="spark",
        command=(
            str(submit),
            "--class",
            server,
            "--driver-class-path",
            ":".join(map(str, jars)),
            *options,
            "spark-internal",
        ),
        environment=lambda: {
            **base_environment(settings),
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_HOME": str(submit.parent.parent),
            "SPARK_LOCAL_IP": "127.0.0.1",
        },
        healthy=lambda since: speaks_http2(settings.spark_port),
        port=settings.spark_port,
        port_setting="LEDGERLAKE_SPARK_PORT",
        prepare=prepare,
        folder=settings.home / "spark" / "work",
        patience=10,
    )


def speaks_http2(port: int) -> bool:
    """Whether a gRPC server answers on `port`: it must send its settings in return for ours. An open port alone proves
    nothing, for the kernel accepts connections on behalf of a server that hangs.
    """
    settings_frame = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings_frame)
            header = connection.recv(9)
    except OSError:
        return False
    return len(header) == 9 and header[3] == 4
