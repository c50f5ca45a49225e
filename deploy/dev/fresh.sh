#!/usr/bin/env bash
# Runs a command in a clean clone of this repository on a fresh machine: a minimal Debian 12 with Python, git, make and
# certificates, in its own mount and process namespaces. Needs root; uses the host's network.
#   fresh.sh [COMMAND...]      default: make demo && make test. Only committed files are used.
# From the host it copies only the settings of package indexes. The minimal system is cached; each call works on a copy,
# which is always removed. The exit code is the command's.
set -euo pipefail
command=${*:-}
[ -n "$command" ] || command="make demo && make test"
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$project/deploy/dev/debian.sh"
kept="${PENSTOCK_CACHE:-$HOME/.cache/penstock}/fresh"
if [ "$(id -u)" != 0 ]; then
    echo "fresh: this needs root, to create mount and process namespaces" >&2
    exit 2
fi
mkdir -p "$kept"

exec 9>"$kept/lock"
flock 9
[ -d "$kept/$release" ] || make_debian "$kept/$release" python3 git make ca-certificates
flock -u 9
root=$(mktemp -d "$kept/run.XXXXXX")
child=
clean() {
    [ -z "$child" ] || kill -KILL "$child" 2>/dev/null || true
    wait || true
    rm -rf --one-file-system "$root"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
cp -a --reflink=auto "$kept/$release/." "$root/"
git clone --quiet --no-hardlinks "$project" "$root/root/project"

carry_settings "$root"
variables=(env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb
    DEBIAN_FRONTEND=noninteractive "${settings[@]}")

# `--kill-child` ends everything inside with this script; the mounts disappear with the last process.
set +e
unshare --mount --pid --ipc --uts --fork --kill-child --propagation private "${variables[@]}" bash -c '
    set -e
    root=$1
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    hostname fresh
    cd "$root"
    mkdir -p .host
    pivot_root . .host
    umount -l /.host
    rmdir /.host
    cd /root/project
    exec bash -c "$2"' fresh "$root" "$command" 9>&- &
child=$!
wait "$child"
exit "$?"
