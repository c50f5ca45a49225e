#!/usr/bin/env bash
# Installs the compilers and runners that the tests of other languages use, the Redis that tests of services start, the
# BusyBox with which the scripts that run in pods are tested, and the Chromium that tests of pages look with, where they
# are missing: Debian's packages, as root.
# They take about 1 GB, so this happens only with CI=true or TOOLCHAINS=1; otherwise the tests that need one are
# skipped and say what to install.
set -uo pipefail
PATH="$PATH:/usr/local/go/bin:$HOME/.cargo/bin"
missing=()
there() { command -v "$1" >/dev/null 2>&1; }
there go || missing+=(golang-go)
there node && there npm || missing+=(nodejs npm)
there cargo || missing+=(cargo)
there javac || missing+=(default-jdk-headless)
there mvn || missing+=(maven)
there cmake && there ctest || missing+=(cmake)
there busybox || missing+=(busybox)
there chromium || there chromium-browser || there google-chrome || missing+=(chromium)
there g++ && there make || missing+=(g++ make)
there redis-server || there valkey-server || missing+=(redis-server)
[ ${#missing[@]} = 0 ] && exit 0
if [ "${CI:-}" != true ] && [ "${TOOLCHAINS:-}" != 1 ]; then
    echo "toolchains: not installed here: ${missing[*]} (TOOLCHAINS=1 make services installs them, as root)" >&2
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! there apt-get; then
    echo "toolchains: install ${missing[*]} with the package manager of this system" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >&2 && apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
