# The first process of the container: takes over orphans, and ends when the pod is deleted.
trap 'exit 0' TERM INT
while :; do
    sleep 86400 &
    wait $!
done
