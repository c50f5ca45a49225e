#!/usr/bin/env bash
# Puts gVisor's runsc into Penstock's cache (${PENSTOCK_CACHE:-~/.cache/penstock}/bin/runsc), built with Go.
# Without Go, as root, it tries the distribution's package. Does nothing when a runsc that starts is there.
set -euo pipefail

version=v0.0.0-20260905035102-160fafc42237
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

go=$(command -v go || true)
if [ -z "$go" ] && [ -x /usr/local/go/bin/go ]; then
    go=/usr/local/go/bin/go
fi
if [ -n "$go" ]; then
    echo "gvisor: building runsc $version with $("$go" version); about a minute" >&2
    building=$(mktemp -d "$bin/.building.XXXXXX")
    trap 'rm -rf "$building"' EXIT
    # A static binary: with cgo it cannot start its own helpers. A moved module has no entry in the sum database.
    if CGO_ENABLED=0 GOSUMDB=off GOFLAGS=-mod=mod GOBIN="$building" \
        "$go" install "gvisor.dev/gvisor/runsc@$version" && "$building/runsc" --version >/dev/null; then
        mv -f "$building/runsc" "$bin/runsc"
        echo "$version" >"$stamp"
        echo "gvisor: $bin/runsc ($version)"
        exit 0
    fi
    echo "gvisor: the build failed" >&2
fi
if command -v runsc >/dev/null; then
    echo "gvisor: $(command -v runsc), as installed"
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "gvisor: trying the distribution's package runsc" >&2
    if { apt-get install -y -qq runsc || { apt-get update -qq && apt-get install -y -qq runsc; }; } >&2; then
        echo "gvisor: $(command -v runsc), from the distribution"
        exit 0
    fi
fi
cat >&2 <<EOF
gvisor: runsc is missing. Install Go 1.24 or newer (https://go.dev/dl/) and run $0 again, or install gVisor
  (https://gvisor.dev/docs/user_guide/install/) so that runsc is on PATH. Until then Penstock uses bubblewrap.
EOF
exit 1
