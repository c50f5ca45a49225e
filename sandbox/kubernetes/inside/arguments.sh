# Goes before each other script: takes its arguments from standard input, so that they appear in no URL and no log of
# the API server. The first line is the number of lines that follow, which are shell code that sets the arguments.
# `read` takes one byte at a time and leaves all that follows to the script.
IFS= read -r left || exit 125
text=
while [ "$left" -gt 0 ]; do
    IFS= read -r line || exit 125
    text="$text$line
"
    left=$((left - 1))
done
eval "$text"
