#!/bin/sh
# The few commands of Hadoop's own script that the testbed uses.
set -eu
command=$1
shift
case "$command" in
    namenode) class=org.apache.hadoop.hdfs.server.namenode.NameNode heap=192m ;;
    datanode) class=org.apache.hadoop.hdfs.server.datanode.DataNode heap=192m ;;
    dfs) class=org.apache.hadoop.fs.FsShell heap=128m ;;
    dfsadmin) class=org.apache.hadoop.hdfs.tools.DFSAdmin heap=128m ;;
    *) echo "hdfs: unknown command $command" >&2; exit 1 ;;
esac
exec java --add-opens=java.base/java.lang=ALL-UNNAMED "-Xmx$heap" -XX:+UseSerialGC \
    -cp '/opt/hadoop/etc/hadoop:/opt/hadoop/pages:/opt/hadoop/lib/*' "$class" "$@"
