#!/usr/bin/env bash
# Installs the tests' dependencies that are not wheels: gVisor's runsc, Prometheus, Apache Kafka and embedding models, into the
# cache;
# OpenSSH, where ssh-keygen is missing;
# with CI=true or TOOLCHAINS=1 also compilers of other languages and Redis (toolchains.sh).
# As root, it also installs the Debian packages that these need. Quick if all are installed. With CI=true a failure is an
# error, otherwise a warning.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python="$here/../../.venv/bin/python"
missing=0

want() { # want NAME COMMAND...
    local name=$1
    shift
    if ! "$@" >&2; then
        echo "services: $name could not be installed; tests that need it are skipped (with CI=true they fail)" >&2
        missing=1
    fi
}

openssh() {
    command -v ssh-keygen >/dev/null && return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "services: install openssh-client with the package manager of this system" >&2
        return 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq --no-install-recommends openssh-client
}

want "OpenSSH (ssh-keygen), which signs commits" openssh
want "gVisor (runsc)" "$here/gvisor.sh"
want "Prometheus (promtool)" "$python" "$here/prometheus_server.py" install
want "Apache Kafka" "$python" "$here/kafka_broker.py" install
want "Compilers and runners of other languages, Redis" "$here/toolchains.sh"
want "Embedding models" "$python" "$here/onnx_models.py" all-minilm-l6-v2 all-minilm-l6-v2-q bge-small-en-v15-q e5-small-v2-q
if [ "$missing" = 1 ] && [ "${CI:-}" = true ]; then
    exit 1
fi
exit 0
