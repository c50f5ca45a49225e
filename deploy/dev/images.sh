#!/usr/bin/env bash
# Builds images of deploy/images/Containerfile without a registry of images: their base is a minimal Debian 12 made here.
#   images.sh [TARGET...]      default: penstock gateway code run sandbox; they are named localhost/penstock-TARGET:dev
# For development and tests: these images hold this machine's settings of package indexes. Do not push them.
# Needs root and Debian's packages buildah and podman, whose storage it uses.
set -euo pipefail
targets=("$@")
[ $# -gt 0 ] || targets=(penstock gateway code run sandbox)
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$project/deploy/dev/debian.sh"
kept="${PENSTOCK_CACHE:-$HOME/.cache/penstock}/images"
base=localhost/penstock-base:$release
# vfs and chroot work everywhere, also within a container; both are slower than what an engine takes by default.
export BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot} STORAGE_DRIVER=${STORAGE_DRIVER:-vfs}
if [ "$(id -u)" != 0 ]; then
    echo "images: this needs root" >&2
    exit 2
fi
for program in buildah podman; do
    if ! command -v $program >/dev/null; then
        if [ "${CI:-}" != true ]; then
            echo "images: $program is missing: apt-get install buildah podman crun runc" >&2
            exit 3
        fi
        apt-get install -y -qq --no-install-recommends buildah podman crun runc >/dev/null
    fi
done

make_base() {
    local container setting options=(--env PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin)
    [ -d "$kept/$release" ] || make_debian "$kept/$release" python3 python3-venv ca-certificates
    carry_settings "$kept/$release"
    ln -sf /usr/bin/python3 "$kept/$release/usr/local/bin/python"
    for setting in "${settings[@]}"; do options+=(--env "$setting"); done
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$kept/$release" / >/dev/null
    buildah config "${options[@]}" "$container"
    buildah commit --quiet --rm "$container" "$base" >/dev/null
}

mkdir -p "$kept"
exec 9>"$kept/lock"
flock 9
buildah images --quiet "$base" >/dev/null 2>&1 || make_base
for target in "${targets[@]}"; do
    buildah bud --quiet --layers --network host --build-arg "BASE=$base" --file "$project/deploy/images/Containerfile" \
        --target "$target" --tag "localhost/penstock-$target:dev" "$project" >"$kept/$target.log" 2>&1 ||
        { tail -n 30 "$kept/$target.log" >&2; echo "images: $target was not built: $kept/$target.log" >&2; exit 1; }
    echo "localhost/penstock-$target:dev"
done
