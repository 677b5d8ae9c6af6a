#!/bin/sh
# KAFKA_A_B=c becomes a.b=c, as in the upstream image; what is named like an option of the JVM stays outside.
set -eu
properties=/opt/kafka/config/server.properties
env | sed -n 's/^KAFKA_//p' | grep -v -E '^(HEAP_OPTS|OPTS|JMX_OPTS|LOG4J_.*)=' | while IFS='=' read -r name value; do
    printf '%s=%s\n' "$(printf '%s' "$name" | tr 'A-Z_' 'a-z.')" "$value"
done >"$properties"
java -Xmx256m -cp '/opt/kafka/libs/*' kafka.tools.StorageTool format --ignore-formatted --standalone \
    --cluster-id "${CLUSTER_ID:-5L6g3nShT-eMCtK--X86sw}" --config "$properties" ||
    java -Xmx256m -cp '/opt/kafka/libs/*' kafka.tools.StorageTool format --ignore-formatted \
        --cluster-id "${CLUSTER_ID:-5L6g3nShT-eMCtK--X86sw}" --config "$properties"
# shellcheck disable=SC2086
exec java ${KAFKA_HEAP_OPTS:--Xmx512m} ${KAFKA_OPTS:-} -cp '/opt/kafka/libs/*' kafka.Kafka "$properties"
