# Sourced by the other scripts: finds the tree, checks the machine, builds the parts.
# Sourced by the other scripts; in shell, because it runs before anything is built.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# need PROGRAM REMEDY: exits with the remedy if the program is missing.
need() {
    command -v "$1" >/dev/null || { echo "$0: $1 is missing; $2" >&2; exit 1; }
}

check_machine() {
    need cargo "install Rust 1.90 or newer from your distribution or with rustup"
    need cc "install a C compiler and make (Debian: apt-get install build-essential)"
    need make "install make (Debian: apt-get install build-essential)"
    need perl "install perl (Debian: apt-get install build-essential)"
    need java "install a JDK 17 (Debian: apt-get install openjdk-17-jdk-headless)"
    need mvn "install Maven (Debian: apt-get install maven)"
    local version
    version=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/.*java.specification.version = //p')
    [ "${version%%.*}" -ge 17 ] 2>/dev/null || { echo "$0: Java $version is too old; a JDK 17 or newer is needed" >&2; exit 1; }
    use_installed_openssl
}

# Where the headers of OpenSSL 3 are installed, librdkafka is built with that library; otherwise OpenSSL is built from sources, which takes
# minutes. This is written to a file of Cargo's, which git ignores, so that Cargo by hand builds the same. A file of yours is left alone.
use_installed_openssl() {
    local file=.cargo/config.toml mark='# Written by scripts/common.sh.'
    [ ! -e "$file" ] || [ "$(head -n 1 "$file")" = "$mark" ] || return 0
    if pkg-config --exists 'openssl >= 3' 2>/dev/null; then
        [ -e "$file" ] || printf '%s\n[env]\nOPENSSL_NO_VENDOR = "1"\n' "$mark" >"$file"
    else
        rm -f "$file"
    fi
}

step() {
    echo
    echo "==> $*"
}

# The job's jar, unless it is newer than everything it is made of.
build_job() {
    local jar=flink-jobs/target/flink-jobs.jar
    if [ -f "$jar" ] && [ -z "$(find flink-jobs/pom.xml flink-jobs/src/main -newer "$jar" -print -quit)" ]; then
        return
    fi
    step "building the Flink job (Maven; the first build downloads Flink's API)"
    mvn --batch-mode --no-transfer-progress --file flink-jobs/pom.xml -DskipTests package
}

# The program that drives Flink's own autoscaler, likewise.
build_autoscaler() {
    local jar=flink-autoscaler/target/flink-autoscaler-driver.jar
    if [ -f "$jar" ] && [ -z "$(find flink-autoscaler/pom.xml flink-autoscaler/src/main -newer "$jar" -print -quit)" ]; then
        return
    fi
    step "building the driver of Flink's autoscaler (Maven; the first build downloads 45 MB)"
    mvn --batch-mode --no-transfer-progress --file flink-autoscaler/pom.xml -DskipTests package
}

build_programs() {
    step "building the programs (Cargo; the first build takes a few minutes)"
    cargo build --locked --workspace --bins
}

# build_peer FOLDER PROGRAM: builds a program in Go that others are compared with; they do without where Go is missing. Nothing else needs Go.
build_peer() {
    if ! command -v go >/dev/null; then
        echo "left out: $(basename "$1"); go is missing (https://go.dev/dl)"
        return 1
    fi
    go build -C "$1" -buildvcs=false -o "$2" . || { echo "left out: $(basename "$1"); it could not be built, see above"; return 1; }
}

# Unpacks a package of Debian into a folder, without installing anything.
unpack_debian() {
    local package=$1 folder=$2 work
    work=$(mktemp -d)
    # The lists of packages may be missing or old; only root can renew them.
    (cd "$work" && { apt-get download -qq "$package" || { [ "$(id -u)" -eq 0 ] && apt-get update -qq && apt-get download -qq "$package"; }; }) &&
        mkdir -p "$(dirname "$folder")" && dpkg-deb --extract "$work"/*.deb "$work/unpacked" && mv "$work/unpacked" "$folder"
    local result=$?
    rm -rf "$work"
    return "$result"
}
