#!/usr/bin/env bash
# Makes the stand-ins that are missing, under the names and tags that docker-compose.yml has. Needs root (for debootstrap),
# a container engine, and debootstrap where there is no debian:bookworm-slim.
#   make.sh            all of them
#   make.sh kafka …    these

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
compose=../../docker-compose.yml
export DOCKER_BUILDKIT=1

# The image of that name, with the tag that the compose file pins.
pinned() { grep -o -m 1 -E "(: |:-)$1:[A-Za-z0-9._-]+" "$compose" | sed -E 's/^:-?[ ]?//'; }

missing() { ! docker image inspect "$1" >/dev/null 2>&1; }

build() {
    local folder=$1 image=$2 context=${3:-$1}
    if missing "$image"; then
        echo "==> $image"
        docker build --tag "$image" --file "$folder/Dockerfile" "$context"
    fi
}

# Debian's smallest system, with this machine's package sources and authorities, so that what is built on it reaches the same.
make_debian() {
    missing debian:bookworm-slim || return 0
    echo "==> debian:bookworm-slim"
    local root mirror
    root=$(mktemp -d)
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | head -n 1)
    debootstrap --variant=minbase bookworm "$root" "$mirror"
    rm -f "$root/etc/apt/sources.list"
    cp /etc/apt/sources.list /etc/apt/sources.list.d/* "$root/etc/apt/sources.list.d/" 2>/dev/null || true
    mkdir -p "$root/usr/local/share/ca-certificates"
    cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
    rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/archives/*.deb
    tar --directory "$root" --numeric-owner --create . | docker import --change 'CMD ["bash"]' \
        --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' - debian:bookworm-slim
    rm -rf "$root"
}

names=("$@")
[ $# -gt 0 ] || names=(rust kafka hadoop flink prometheus graphite)
make_debian
for name in "${names[@]}"; do
    case "$name" in
        rust) build rust "$(pinned rust)" "$(rustc --print sysroot)" ;;
        kafka) build kafka "$(pinned apache/kafka)" ;;
        hadoop) build hadoop "$(pinned apache/hadoop)" ;;
        flink) build flink "$(pinned flink)" ;;
        prometheus) build prometheus "$(pinned prom/prometheus)" ;;
        graphite) build graphite "$(pinned graphiteapp/graphite-statsd)" ;;
        *) echo "$0: no stand-in for $name" >&2; exit 2 ;;
    esac
done
