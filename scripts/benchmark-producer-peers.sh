# Sourced by benchmark-producer.sh for --peers, with a broker that runs: builds the clients that can be had, and measures them.
# The clients are in crates/event-producer/benches/peers; ours is the example send-records of that crate.

folder=crates/event-producer/benches/peers
clients=()

# client NAME PROGRAM ARGUMENTS…
client() {
    local name=$1
    shift
    clients+=(--client "$name" "$(printf '%q ' "$@")")
}

step "building the clients"
cargo build --locked --quiet --release --package event-producer --example send-records
send=$target/release/examples/send-records
client "ours, transport batches" "$send" batches
client "ours, transport librdkafka" "$send" librdkafka
client "librdkafka, rd_kafka_produce_batch" "$send" librdkafka-batch-call

# Kafka's own jars, of the version that the testbed has downloaded for the broker.
class_path=$(tr '\0' '\n' <"/proc/$broker_pid/cmdline" | awk 'found { print; found = 0 } $0 == "-cp" { found = 1 }')
if ! command -v javac >/dev/null; then
    echo "left out: Java's client; javac is missing (Debian: apt-get install openjdk-17-jdk-headless)"
else
    javac -d "$work/java" -cp "$class_path" "$folder/java/SendRecords.java"
    client "Java's client" java -XX:+UseParallelGC -Xms512m -Xmx512m -cp "$work/java:$class_path" SendRecords
fi

if build_peer "$folder/franz-go" "$work/franz-go"; then
    client "franz-go" "$work/franz-go"
fi

# NexMark's default mix, in turn; their times are from now on, because Kafka refuses records of the future and removes old ones.
"$producer" generate --format wire --events 20000 --rate 100000 --start-time "$(date +%s)000" >"$work/records"

step "${rounds:-5} rounds of $records records, after as many for warming up"
python3 scripts/benchmark-producer-peers.py --broker "$broker" --broker-pid "$broker_pid" --producer "$producer" \
    --records "$work/records" --work "$work" --rounds "${rounds:-5}" --count "$records" "${clients[@]}"
