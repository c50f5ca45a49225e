# Writes $1 bytes of standard input to a file of the workspace; the other arguments are the components of its path.
# Creates folders. The place is checked after each step into a folder, and after opening the file.
size=$1
shift
inside() {
    case $(readlink /proc/self/cwd)/ in
        /workspace/*) ;;
        *) exit 67 ;;
    esac
}
umask 022
cd -P /workspace || exit 125
while [ $# -gt 1 ]; do
    if [ ! -e "./$1" ] && [ ! -L "./$1" ]; then mkdir "./$1" 2>/dev/null || exit 68; fi
    cd -P "./$1" 2>/dev/null || exit 68
    inside
    shift
done
name=$1
links=0
while [ -L "./$name" ]; do
    links=$((links + 1))
    [ $links -le 40 ] || exit 68
    goal=$(readlink "./$name") || exit 68
    case $goal in
        /*) folder=${goal%/*}/ ;;
        */*) folder=./${goal%/*} ;;
        *) folder=. ;;
    esac
    cd -P "$folder" 2>/dev/null || exit 68
    inside
    name=${goal##*/}
done
case $name in '' | . | ..) exit 65 ;; esac
if [ -e "./$name" ] && [ ! -f "./$name" ]; then exit 65; fi
exec 4>>"./$name"
case $(readlink /proc/self/fd/4) in
    /workspace/*) ;;
    *) exit 67 ;;
esac
[ -f /proc/self/fd/4 ] || exit 65
: >/proc/self/fd/4
if [ "$size" -gt 0 ]; then head -c "$size" >&4; fi
[ "$(wc -c </proc/self/fd/4)" -eq "$size" ] || exit 69
