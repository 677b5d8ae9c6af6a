#!/bin/bash
# The roles of the upstream entry point that a session cluster needs: FLINK_PROPERTIES into config.yaml, the memory sizes by
# Flink's own calculation, then the JVM. Any other command runs as it is.
set -eu
home=/opt/flink
opened=()
for package in lang lang.invoke lang.reflect net io nio text time util util.concurrent util.concurrent.atomic util.concurrent.locks; do
    opened+=("--add-opens=java.base/java.$package=ALL-UNNAMED")
done
opened+=(--add-opens=java.base/sun.nio.ch=ALL-UNNAMED --add-exports=java.base/sun.net.util=ALL-UNNAMED
    --add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED --add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED)

case "${1:-}" in
    jobmanager)
        calculation=GET_JM_RESOURCE_PARAMS
        class=org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint ;;
    taskmanager)
        calculation=GET_TM_RESOURCE_PARAMS
        class=org.apache.flink.runtime.taskexecutor.TaskManagerRunner ;;
    *) exec "$@" ;;
esac
shift

# A process of its own has its own configuration: two roles may start from one image.
export FLINK_CONF_DIR=${FLINK_CONF_DIR:-$home/conf}
{
    echo "rest.bind-address: 0.0.0.0"
    echo "jobmanager.bind-host: 0.0.0.0"
    echo "taskmanager.bind-host: 0.0.0.0"
    echo "taskmanager.host: $(hostname -i | cut -d' ' -f1)"
    printf '%s\n' "${FLINK_PROPERTIES:-}" | sed '/^[[:space:]]*$/d; s/^[[:space:]]*//'
} >"$FLINK_CONF_DIR/config.yaml"

calculated=$(java -Xmx128m -cp "$home/lib/*:$home/bin/bash-java-utils.jar" \
    org.apache.flink.runtime.util.bash.BashJavaUtils "$calculation" --configDir "$FLINK_CONF_DIR" |
    sed -n 's/^BASH_JAVA_UTILS_EXEC_RESULT://p')
jvm=$(sed -n 1p <<<"$calculated")
dynamic=$(sed -n 2p <<<"$calculated")
# Both are lists of words.
# shellcheck disable=SC2086
exec java $jvm "${opened[@]}" -cp "$home/lib/*" "$class" --configDir "$FLINK_CONF_DIR" $dynamic "$@"
