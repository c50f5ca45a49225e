# Requests to this pod's Ollama with bash alone: its image has no HTTP client. Sourced by load.sh and loaded.sh.
port=${OLLAMA_PORT:-11434}

ask() { # ask METHOD PATH [BODY]: prints the answer's body; fails unless its status is 200
    local line status='' length
    length=$(printf '%s' "${3:-}" | wc -c)
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
    printf '%s %s HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %s\r\n\r\n%s' \
        "$1" "$2" "$length" "${3:-}" >&3
    IFS= read -r status <&3
    while IFS= read -r line <&3 && [ -n "${line%$'\r'}" ]; do :; done
    cat <&3
    exec 3>&-
    case $status in *" 200 "* | *" 200"$'\r') return 0 ;; *) echo "Ollama answered: ${status%$'\r'}" >&2; return 1 ;; esac
}

missing_models() { # prints what is wrong with the loaded models; nothing if each is in memory, whole
    local running entry model name digest size video
    running=$(ask GET /api/ps) || { echo "the server does not answer"; return; }
    for model in $MODELS; do
        name=${model%%=*} digest=${model##*=sha256:}
        [[ ${name##*/} == *:* ]] || name=$name:latest
        entry=$(printf '%s' "$running" | sed 's/{"name":/\n&/g' | grep -F "{\"name\":\"$name\"," | head -n 1)
        [ -n "$entry" ] || { echo "$name is not loaded"; continue; }
        [[ $entry == *"\"digest\":\"$digest\""* ]] || echo "$name is loaded with another digest than $digest"
        size=$(printf '%s' "$entry" | grep -o '"size":[0-9]*' | head -n 1 | tr -dc 0-9)
        video=$(printf '%s' "$entry" | grep -o '"size_vram":[0-9]*' | head -n 1 | tr -dc 0-9)
        if [ "${GPUS:-0}" -gt 0 ] && [ "${video:-0}" -lt "${size:-1}" ]; then
            echo "$name: only ${video:-0} of ${size:-?} bytes are in video memory: it does not fit the card"
        fi
    done
}
