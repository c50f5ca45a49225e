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
kept="${PENSTOCK_CACHE:-$HOME/.cache/penstock}/fresh"
release=bookworm
if [ "$(id -u)" != 0 ]; then
    echo "fresh: this needs root, to create mount and process namespaces" >&2
    exit 2
fi
mkdir -p "$kept"

# One line for each package source that the host uses for this release of Debian.
sources() {
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' \
        2>/dev/null | grep -E " $release(-updates|-security)? " | sort -u || true
}

make_base() {
    if ! command -v debootstrap >/dev/null; then
        { apt-get install -y -qq debootstrap || { apt-get update -qq && apt-get install -y -qq debootstrap; }; } >/dev/null
    fi
    echo "fresh: creating a minimal Debian 12 in $kept for this and later calls; about two minutes" >&2
    rm -rf --one-file-system "$kept/making"
    debootstrap --variant=minbase --include=python3,git,make,ca-certificates "$release" "$kept/making" \
        "$(sources | awk -v suite="$release" '$3 == suite { print $2; exit }')" >"$kept/debootstrap.log" 2>&1 ||
        { tail -n 20 "$kept/debootstrap.log" >&2; exit 1; }
    mv "$kept/making" "$kept/$release"
}

exec 9>"$kept/lock"
flock 9
[ -d "$kept/$release" ] || make_base
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

# The settings of package indexes: files at known paths, then variables and the files and folders that they name.
variables=(env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb
    DEBIAN_FRONTEND=noninteractive)
files=(/etc/resolv.conf /etc/hosts /etc/pip.conf /etc/uv/uv.toml /etc/apt/auth.conf.d /etc/ssl/certs/ca-certificates.crt)
cp -rL /usr/local/share/ca-certificates "$root/usr/local/share/"
chroot "$root" update-ca-certificates >/dev/null 2>&1
for place in .pip/pip.conf .config/pip/pip.conf .config/uv/uv.toml .config/go/env .m2/settings.xml .netrc; do
    [ ! -f "$HOME/$place" ] || install -D -m 600 "$HOME/$place" "$root/root/$place"
done
while IFS='=' read -r name value; do
    variables+=("$name=$value")
    for path in ${value//:/ }; do
        case $path in /?*) files+=("$path") ;; esac
    done
done < <(env | grep -E '^(CI|PIP_[A-Z_]+|UV_[A-Z_]+|GO(PROXY|SUMDB|FLAGS)|(HTTPS?|NO|ALL|https?|no|all)_(PROXY|proxy)|SSL_CERT_(FILE|DIR)|(PIP|CURL|REQUESTS|GIT)_[A-Z_]*(CERT|BUNDLE|CAINFO))=' | sort -u)
for path in "${files[@]}"; do
    if [ -f "$path" ]; then
        mkdir -p "$root${path%/*}" && cp -L "$path" "$root$path"
    elif [ -d "$path" ] && [ "$path" != /etc/ssl/certs ]; then
        mkdir -p "$root$path" && cp -rL "$path/." "$root$path/"
    fi
done
grep -lsE '^ *Acquire' /etc/apt/apt.conf.d/* | xargs -r cp -t "$root/etc/apt/apt.conf.d/"
found=$(sources)
[ -z "$found" ] || echo "$found" >"$root/etc/apt/sources.list"

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
