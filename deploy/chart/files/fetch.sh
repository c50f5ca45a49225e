# Init container of a model server: brings models onto the volume, whole or not at all.
#
# They are pulled into a folder of this node's own and verified there (the manifest's digest is the declared one, each file has
# the digest in its name), and then renamed to STORE in one step. Pods on one node wait for each other; of several nodes that
# share a volume, the first to rename wins. MODELS lists NAME=sha256:DIGEST, separated by spaces.
set -euo pipefail
: "${MODELS:?}" "${STORE:?}" "${NODE_NAME:?}"
volume=$(dirname "$STORE")
staging=$volume/.staging-$NODE_NAME
port=${FETCH_PORT:-11435}

say() { echo "fetch: $*" >&2; }

manifest() { # manifest FOLDER NAME: the file of a model's manifest, as Ollama lays them out
    local path=$2 tag=latest
    if [[ ${path##*/} == *:* ]]; then tag=${path##*:} path=${path%:*}; fi
    case $path in
        */*/*) ;;
        */*) path=registry.ollama.ai/$path ;;
        *) path=registry.ollama.ai/library/$path ;;
    esac
    echo "$1/manifests/$path/$tag"
}

verify() { # verify FOLDER full|quick: says what is wrong, and fails
    local model name digest file found blob size
    for model in $MODELS; do
        name=${model%%=*} digest=${model##*=sha256:}
        file=$(manifest "$1" "$name")
        [ -f "$file" ] || { say "$name has no manifest"; return 1; }
        found=$(sha256sum <"$file" | cut -d' ' -f1)
        [ "$found" = "$digest" ] || { say "$name has the digest sha256:$found, and sha256:$digest is declared"; return 1; }
        while IFS=' ' read -r blob size; do
            [ "$(stat -c %s "$1/blobs/sha256-$blob" 2>/dev/null)" = "$size" ] ||
                { say "$name: the file sha256-$blob is missing or has another size than $size"; return 1; }
            if [ "$2" = full ] && [ "$(sha256sum <"$1/blobs/sha256-$blob" | cut -d' ' -f1)" != "$blob" ]; then
                say "$name: the content of sha256-$blob has another digest"
                return 1
            fi
        done < <(grep -oE '"digest":"sha256:[0-9a-f]{64}","size":[0-9]+' "$file" | sed -E 's/.*sha256:([0-9a-f]+)","size":/\1 /')
    done
}

exec 9>"$volume/.lock-$NODE_NAME"
flock -w "${SECONDS_TO_START:-3600}" 9 || { say "another pod of node $NODE_NAME still fetches"; exit 1; }

if [ -d "$STORE" ]; then
    if verify "$STORE" quick; then
        say "the models are there"
        exit 0
    fi
    say "$STORE is damaged and is fetched again"
    mv -T "$STORE" "$volume/.damaged-$NODE_NAME-$$"
    rm -rf "$volume/.damaged-$NODE_NAME-$$"
fi

rm -rf "$staging" # of a pod that was killed
mkdir -p "$staging"
OLLAMA_MODELS=$staging OLLAMA_HOST=127.0.0.1:$port ollama serve >/dev/null 2>&1 9>&- &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$staging"' EXIT
export OLLAMA_HOST=127.0.0.1:$port
for _ in $(seq 120); do
    ollama list >/dev/null 2>&1 && break
    kill -0 "$server" 2>/dev/null || { say "ollama serve ended"; exit 1; }
    sleep 0.5
done
for model in $MODELS; do
    name=${model%%=*}
    for attempt in 1 2 3; do
        ollama pull "$name" >/dev/null 2>"$staging.error" && break
        say "$name: $(tail -n 1 "$staging.error" | tr -d '\r' | tail -c 300)"
        [ "$attempt" -lt 3 ] || { rm -f "$staging.error"; exit 1; }
        sleep "${RETRY_SECONDS:-5}"
    done
done
rm -f "$staging.error"
kill "$server"
wait "$server" 2>/dev/null || true
verify "$staging" full
sync
if mv -T "$staging" "$STORE" 2>/dev/null; then
    say "fetched $MODELS"
else
    verify "$STORE" quick # another node was first
fi
if [ "${PRUNE:-false}" = true ]; then
    find "$volume" -mindepth 1 -maxdepth 1 -type d -name 'models-*' ! -path "$STORE" -exec rm -rf {} +
fi
