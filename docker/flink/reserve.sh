#!/bin/sh
# A task manager in reserve: runs while the file given as the first argument exists, and waits while it does not; what else is
# given goes to the task manager. The agent's node pool makes and removes that file, so that it needs no access to the
# container engine.
set -u
wanted=$1
shift
child=
end() { [ -z "$child" ] || kill -TERM "$child" 2>/dev/null; wait; exit 0; }
trap end TERM INT
while :; do
    if [ -e "$wanted" ] && [ -z "$child" ]; then
        /docker-entrypoint.sh taskmanager "$@" &
        child=$!
    elif [ ! -e "$wanted" ] && [ -n "$child" ]; then
        kill -TERM "$child" 2>/dev/null
        wait "$child"
        child=
    elif [ -n "$child" ] && ! kill -0 "$child" 2>/dev/null; then
        child=
    fi
    sleep 1 &
    wait $!
done
