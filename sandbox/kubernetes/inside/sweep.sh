# Kills all processes of the container but the first one, itself, and the trees of the processes from the third argument
# on (commands that still run). If there are none, it empties the temporary folders too. Prints the number of processes
# that the kernel has killed for lack of memory, the size of the workspace in KiB, and the number of its files of at
# least $1 bytes that were written to in the last $2 minutes.
largest=$1 minutes=$2
shift 2
facts() { # of the process $1: sets `name`, `state` and `parent`; fails when it has ended
    { IFS= read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    name=${stat#*(}
    name=${name%)*}
    stat=${stat##*) }
    state=${stat%% *}
    stat=${stat#* }
    parent=${stat%% *}
    case $state in Z | X) return 1 ;; esac
}
idle() { # whether $1 is what the first process waits for
    [ "$parent" = 1 ] && [ "$name" = sleep ] && [ "$(tr '\0' ' ' <"/proc/$1/cmdline")" = 'sleep 86400 ' ]
}
everything() { # one pass; fails while others than these are left
    kill -KILL -1 2>/dev/null
    kill -KILL -1 2>/dev/null # gVisor does not stop forks meanwhile
    left=0 waiting=0
    for folder in /proc/[0-9]*; do
        pid=${folder#/proc/}
        if [ "$pid" = 1 ] || [ "$pid" = $$ ] || ! facts "$pid"; then continue; fi
        if idle "$pid"; then waiting=$((waiting + 1)); else left=$((left + 1)); fi
    done
    [ $left = 0 ] && [ $waiting -le 1 ]
}
others() { # one pass over all that is in no spared tree; fails while there is something to kill
    pids=
    for folder in /proc/[0-9]*; do
        pid=${folder#/proc/}
        facts "$pid" || continue
        eval "parent_$pid=$parent"
        if ! idle "$pid"; then pids="$pids $pid"; fi
    done
    killed=0
    for pid in $pids; do
        at=$pid
        while [ "$at" -gt 1 ]; do
            case " $spared $$ " in *" $at "*) continue 2 ;; esac
            eval "at=\${parent_$at:-0}"
        done
        if [ "$pid" != 1 ]; then
            kill -KILL "$pid" 2>/dev/null
            killed=$((killed + 1))
        fi
    done
    [ $killed = 0 ]
}
spared="$*"
pass=others
if [ $# = 0 ]; then pass=everything; fi
rounds=0
until $pass; do
    rounds=$((rounds + 1))
    if [ $rounds -gt 100 ]; then exit 70; fi
    sleep 0.05 || sleep 1 # so that the first process has time to wait again
done
if [ $# = 0 ]; then
    for folder in /tmp /dev/shm; do
        find $folder -mindepth 1 -maxdepth 1 -exec rm -rf {} + 2>/dev/null
        [ -n "$(find $folder -mindepth 1 2>/dev/null | head -n 1)" ] || continue
        find $folder -mindepth 1 -type d -exec chmod u+rwx {} \; 2>/dev/null
        find $folder -mindepth 1 -maxdepth 1 -exec rm -rf {} + 2>/dev/null
    done
fi
killed=0
for file in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
    if [ -r $file ]; then
        while read -r key value; do
            if [ "$key" = oom_kill ]; then killed=$value; fi
        done <$file
        break
    fi
done
size=$(du -sk /workspace 2>/dev/null)
large=$(find /workspace -type f -size +$((largest - 1))c -mmin "-$minutes" 2>/dev/null | wc -l)
echo "$killed ${size%%[!0-9]*}" $large
