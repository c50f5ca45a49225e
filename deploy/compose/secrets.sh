#!/usr/bin/env bash
# Makes the secrets of compose.yaml in deploy/compose/secrets, and leaves those that are there as they are. The folder is its
# owner's alone; the files in it can be read by the users of the containers, into which the engine mounts them one by one.
set -euo pipefail
umask 077
folder=${1:-$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/secrets}
mkdir -p "$folder"
chmod 700 "$folder"

put() { # put NAME TEXT: unless it is there
    [ -s "$folder/$1" ] || { printf '%s' "$2" >"$folder/.$1.new" && chmod 444 "$folder/.$1.new" && mv "$folder/.$1.new" "$folder/$1"; }
}
random() { head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

for name in postgres_password penstock_password owner_password grafana_password penstock_metrics_token; do
    put "$name" "$(random)"
done
put database_url "postgresql://penstock:$(cat "$folder/penstock_password")@postgres:5432/penstock"
put owner_url "postgresql://penstock_admin:$(cat "$folder/owner_password")@postgres:5432/penstock"
put dagster_url "postgresql://penstock_admin:$(cat "$folder/owner_password")@postgres:5432/penstock_dagster"
echo "secrets are in $folder" >&2
