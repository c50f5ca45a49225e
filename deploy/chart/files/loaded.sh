# Readiness probe of a model server: each model is in memory, with the digest that was asked for.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/http.sh"

wrong=$(missing_models)
[ -z "$wrong" ] || { echo "$wrong" >&2; exit 1; }
