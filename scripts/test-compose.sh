#!/usr/bin/env bash
# Starts docker-compose.yml, checks overload, rescale and recovery, and removes everything again.
# Not part of scripts/test.sh: it needs a container engine with Compose, and takes minutes (an hour if everything must
# be built first). It uses its own project name and ports, so it does not disturb other containers.
#   --stand-ins       first build missing upstream images from packages (docker/stand-ins; needs root)
#   --engine DIR      start a container engine for the test, with its data in DIR, and stop it again (needs root)
#   --observability   with Prometheus and Graphite, and every query of the dashboard; without Grafana
#   --psm             with the second job; needs four cores
#   --keep            leave everything running, and print how to end it
# CARGO_PROFILE=dev builds our programs in a fraction of the time.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
stand_ins='' engine='' observability='' psm='' keep=''
while [ $# -gt 0 ]; do
    case "$1" in
        --stand-ins) stand_ins=yes ;;
        --engine) [ $# -ge 2 ] || { echo "$0: --engine needs a folder" >&2; exit 2; }; engine=$2; shift ;;
        --observability) observability=yes ;;
        --psm) psm=yes ;;
        --keep) keep=yes ;;
        *) sed -n 's/^#   \(--.*\)/  \1/p' "$0" >&2; exit 2 ;;
    esac
    shift
done

project=rescaler-test-$$
export RESCALER_TAG=${RESCALER_TAG:-test} DOCKER_BUILDKIT=1
# Any free port; nothing in the test uses Kafka's from outside.
export KAFKA_PORT=0 WEBHDFS_PORT=0 FLINK_PORT=0 DROP_PORT=0 PAGE_PORT=0 PAGE_PSM_PORT=0 PROMETHEUS_PORT=0 GRAPHITE_PORT=0
compose=(docker compose --project-name "$project")
[ -z "$observability" ] || { compose+=(--profile observability); export FLINK_REPORTERS=prom,graphite; }
[ -z "$psm" ] || compose+=(--profile psm)

say() { printf '%3d:%02d  %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"; }
fail() { say "FAILED: $*" >&2; exit 1; }

# ---- a container engine of our own ---------------------------------------------------------------------------------

start_engine() {
    mkdir -p "$engine"
    engine=$(cd "$engine" && pwd)
    export DOCKER_HOST=unix://$engine/docker.sock
    # It changes the firewall and forwarding; both are put back as they were.
    iptables-save >"$engine/iptables.before"
    cat /proc/sys/net/ipv4/ip_forward >"$engine/ip_forward.before"
    dockerd --data-root "$engine/data" --exec-root "$engine/exec" --pidfile "$engine/dockerd.pid" --host "$DOCKER_HOST" \
        >"$engine/dockerd.log" 2>&1 </dev/null &
    dockerd=$!
    local tries
    for tries in $(seq 120); do
        if docker version >/dev/null 2>&1; then return; fi
        kill -0 "$dockerd" 2>/dev/null || break
        sleep 0.5
    done
    fail "the engine did not start ($tries attempts); see $engine/dockerd.log"
}

stop_engine() {
    kill "$dockerd" 2>/dev/null || true
    wait "$dockerd" 2>/dev/null || true
    ip link delete docker0 2>/dev/null || true
    # An empty save would restore nothing, so the engine's tables are emptied first.
    local table
    for table in filter nat; do iptables -t "$table" -F && iptables -t "$table" -X; done || true
    iptables -P FORWARD ACCEPT
    iptables-restore <"$engine/iptables.before"
    cat "$engine/ip_forward.before" >/proc/sys/net/ipv4/ip_forward
}

# ---- what is looked at -----------------------------------------------------------------------------------------------

# The containers of the project, of one label's value.
containers() { docker ps --all --quiet --filter "label=com.docker.compose.project=$project"; }

residue() {
    containers
    docker volume ls --quiet --filter "label=com.docker.compose.project=$project"
    docker network ls --quiet --filter "label=com.docker.compose.project=$project"
}

# service state exit-code health restarts, a line each
standings() {
    containers | xargs -r docker inspect --format \
        '{{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}} {{.State.ExitCode}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}} {{.RestartCount}}' | sort
}

# What is not well: neither healthy, nor a task that has ended with 0.
unwell() { standings | awk '!($4 == "healthy" || ($2 == "exited" && $3 == 0))'; }

# Not from our standard input, which may be the list that a loop reads.
inside() { "${compose[@]}" exec -T rescaler "$@" </dev/null; }
page() { inside curl -fsS --max-time 5 http://localhost:8462/metrics; }

# figure NAME-WITH-LABELS <page
figure() { awk -v name="$1" '$1 == name { print $2 }'; }

end() {
    local code=$?
    trap - EXIT
    if [ "$code" -ne 0 ]; then
        say "the containers, and the last log lines of unhealthy ones:"
        standings || true
        unwell | while read -r service _; do "${compose[@]}" logs --no-color --tail 15 "$service" || true; done
        "${compose[@]}" logs --no-color --tail 10 rescaler config-agent || true
    fi
    if [ -n "$keep" ]; then
        say "left running; stop it with: docker compose --project-name $project --profile '*' down --volumes"
        exit "$code"
    fi
    docker compose --project-name "$project" --profile '*' down --volumes --timeout 20 >/dev/null 2>&1 || code=1
    if [ -n "$(residue)" ]; then
        say "FAILED: resources left: $(residue | tr '\n' ' ')" >&2
        code=1
    else
        say "down: no container, volume or network is left"
    fi
    [ -z "$engine" ] || stop_engine
    exit "$code"
}

wait_until_well() {
    local deadline=$((SECONDS + 600))
    until [ -z "$(unwell)" ] && [ -n "$(containers)" ]; do
        [ "$SECONDS" -lt "$deadline" ] || fail "not healthy within ten minutes: $(unwell | tr '\n' ';')"
        sleep 3
    done
    say "$(standings | wc -l) containers: healthy, or done"
}

# Narrow, then overloaded, then a published decision, then wide, then three looks in a row under the bound at the higher load.
watch_the_loop() {
    local deadline=$((SECONDS + 900)) calm=0 narrow='' text latency input backlog width published
    say "   input/s   backlog   latency s   q7-bid-item   published"
    while [ "$calm" -lt 3 ]; do
        [ "$SECONDS" -lt "$deadline" ] || fail "not recovered within fifteen minutes"
        sleep 4
        text=$(page) || continue
        latency=$(figure 'rescaler_query_latency_seconds{job="nexmark",query="q7"}' <<<"$text")
        input=$(figure 'rescaler_input_records_per_second{job="nexmark"}' <<<"$text")
        backlog=$(figure 'rescaler_backlog_records{job="nexmark"}' <<<"$text")
        width=$(figure 'rescaler_operator_parallelism{job="nexmark",operator="q7-bid-item"}' <<<"$text")
        published=$(figure 'rescaler_decisions_total{job="nexmark",outcome="published"}' <<<"$text")
        say "$(printf '%10.0f %9.0f %11.2f %13s %11s' "${input:-0}" "${backlog:-0}" "${latency:-0}" "${width:-–}" "${published:-0}")"
        if [ "${width:-0}" = 1 ] && [ "${published:-0}" = 0 ]; then narrow=yes; fi
        if [ -n "$narrow" ] && [ "${published:-0}" -ge 1 ] && [ "${width:-0}" -gt 1 ] &&
            awk -v l="${latency:-9}" -v i="${input:-0}" 'BEGIN { exit !(l < 1 && i > 2000) }'; then
            calm=$((calm + 1))
        else
            calm=0
        fi
    done
    say "recovered: q7-bid-item 1 → $width, latency $latency s at $input records/s"
    inside rescaler explain --config /etc/rescaler/rescaler.toml >/dev/null || fail "cannot read the journal"
}

# The reserve: the file that the agent's pool makes starts a task manager, and without it that goes again.
watch_the_reserve() {
    local tries
    task_managers() { inside curl -fsS --max-time 5 http://jobmanager:8081/taskmanagers; }
    "${compose[@]}" exec -T config-agent touch /nodes/taskmanager-3
    for tries in $(seq 60); do task_managers | grep -q '"taskmanager-3"' && break || sleep 2; done
    task_managers | grep -q '"taskmanager-3"' || fail "the task manager in reserve did not start ($tries attempts)"
    "${compose[@]}" exec -T config-agent rm /nodes/taskmanager-3
    for tries in $(seq 60); do task_managers | grep -q '"taskmanager-3"' && sleep 2 || break; done
    if task_managers | grep -q '"taskmanager-3"'; then fail "the task manager in reserve did not stop"; fi
    say "the task manager in reserve started and stopped"
}

# What nobody may do without a token.
watch_the_door() {
    local code
    code=$(inside curl -s -o /dev/null -w '%{http_code}' http://config-drop:8460/v1/jobs/nexmark/document)
    [ "$code" = 401 ] || fail "the drop answers $code without a token"
    code=$(inside curl -s -o /dev/null -w '%{http_code}' -X POST -H 'x-rescaler: 1' http://localhost:8462/api/v1/jobs/nexmark/pause)
    [ "$code" = 401 ] || [ "$code" = 403 ] || fail "the page allows a pause without a token ($code)"
    say "the drop and the page refuse requests without a token"
}

# Every query of the dashboard has an answer, except those of what has not happened.
watch_the_dashboard() {
    local expression asked=0 target
    local dashboards=(configs/observability/grafana/*.json configs/compose/grafana/dashboards/*.json)
    while read -r expression; do
        expression=$(sed 's/\\"/"/g; s/\$job/nexmark/g' <<<"$expression")
        case "$expression" in
            # What the compose file does not configure, or what has not happened.
            *rescaler_quota_*|*rescaler_notifications_*|*rescaler_diagnosis*|*rescaler_capacity_*|*rescaler_forecast_*) continue ;;
            *"> 0") expression=${expression%> 0} ;;
        esac
        asked=$((asked + 1))
        inside curl -fsS --max-time 10 --get --data-urlencode "query=$expression" http://prometheus:9090/api/v1/query |
            grep '"result":\[{' >/dev/null || fail "Prometheus has no answer to $expression"
    done < <(sed -n 's/^ *"expr": "\(.*\)",\{0,1\}$/\1/p' "${dashboards[@]}")
    while read -r target; do
        asked=$((asked + 1))
        inside curl -fsS --max-time 10 --get --data-urlencode "target=${target//\$job/nexmark}" --data from=-5min \
            --data format=json http://graphite:80/render | grep '"datapoints"' >/dev/null || fail "Graphite has no answer to $target"
    done < <(sed -n 's/^ *"target": "\(.*\)",\{0,1\}$/\1/p' "${dashboards[@]}")
    inside curl -fsS 'http://graphite:80/metrics/find?query=*.taskmanager.*' | grep taskmanager >/dev/null ||
        fail "Flink's reporter has written nothing to Graphite"
    say "$asked queries of the dashboard have an answer"
}

# ---- the test ----------------------------------------------------------------------------------------------------------

trap end EXIT
trap 'say "stopping: received a signal"; exit 130' INT TERM
[ -z "$engine" ] || start_engine
docker compose version >/dev/null || fail "docker compose is not available"
[ -z "$stand_ins" ] || docker/stand-ins/make.sh
say "building the images"
"${compose[@]}" build --quiet
say "starting the testbed"
# Every service but Grafana, so that the test runs on stand-ins too.
mapfile -t services < <("${compose[@]}" config --services | grep -v '^grafana$')
"${compose[@]}" up --detach "${services[@]}" 2>&1 | tail -n 3
wait_until_well
watch_the_loop
watch_the_door
[ -z "$observability" ] || watch_the_dashboard
watch_the_reserve
wait_until_well
restarted=$(standings | awk '$5 > 0 { print $1 }')
[ -z "$restarted" ] || fail "containers restarted: $restarted"
say "no container was restarted"
