# Startup probe of a model server: loads each model into memory, asks it for one token, and checks that it is there whole.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/http.sh"

for model in $MODELS; do
    name=${model%%=*}
    ask POST /api/generate "{\"model\":\"$name\",\"prompt\":\"1\",\"stream\":false,\"options\":{\"num_predict\":1}}" >/dev/null 2>&1 ||
        ask POST /api/embed "{\"model\":\"$name\",\"input\":\"1\"}" >/dev/null ||
        { echo "$name cannot be loaded" >&2; exit 1; }
done
wrong=$(missing_models)
[ -z "$wrong" ] || { echo "$wrong" >&2; exit 1; }
