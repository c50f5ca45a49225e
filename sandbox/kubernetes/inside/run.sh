# Runs one command with its limits, and says on standard error when it starts and ends, in lines that begin with \001
# and the command's nonce. Standard input, by $input: none, a number of bytes, or `lines` of the form L<line>, in which
# \0nnn is an octal escape, up to a line that does not begin with L (the exec protocol cannot close its input).
nonce=$1 cpu=$2 blocks=$3 tasks=$4 data=$5 input=$6
shift 6
umask 022
cd /workspace || exit 125
exec 3<&0 4>&2 </dev/null 2>/dev/null
session=
if type setsid >/dev/null; then session=setsid; fi
say() {
    printf '\001%s %s\n' "$nonce" "$*" >&4
}
limit() {
    ulimit -c 0
    ulimit -n 1024
    ulimit -S -t "$cpu"
    ulimit -H -t $((cpu + 2))
    ulimit -f "$blocks"
    ulimit -d "$data"
    ulimit -u "$tasks" || ulimit -p "$tasks"
}
run() {
    (
        limit
        exec $session env -i -- "$@" 2>&4 3<&- 4>&-
    )
    code=$?
    say ended $code
    times >&4
    say used
    return $code
}
lines() {
    while IFS= read -r line; do
        case $line in
            L*) printf '%b\n' "${line#L}" ;;
            *) return ;;
        esac
    done
}
say started $$
case $input in
    0) run "$@" ;;
    lines) lines <&3 | run "$@" ;;
    *) head -c "$input" <&3 | run "$@" ;;
esac
exit $?
