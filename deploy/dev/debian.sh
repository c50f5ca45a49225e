# Sourced by other scripts: a minimal Debian 12 in a folder, with this machine's settings of package indexes. Needs root.
release=bookworm
settings=() # set by carry_settings: NAME=VALUE, variables that programs in the folder need

# One line for each package source that this machine uses for the release.
sources() {
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' \
        2>/dev/null | grep -E " $release(-updates|-security)? " | sort -u || true
}

# make_debian FOLDER PACKAGE...: all of it or nothing.
make_debian() {
    local folder=$1 packages=${*:2}
    if ! command -v debootstrap >/dev/null; then
        { apt-get install -y -qq debootstrap || { apt-get update -qq && apt-get install -y -qq debootstrap; }; } >/dev/null
    fi
    echo "${0##*/}: creating a minimal Debian 12 in $folder for this and later calls; about two minutes" >&2
    rm -rf --one-file-system "$folder.making"
    debootstrap --variant=minbase --include="${packages// /,}" "$release" "$folder.making" \
        "$(sources | awk -v suite="$release" '$3 == suite { print $2; exit }')" >"$folder.log" 2>&1 ||
        { tail -n 20 "$folder.log" >&2; exit 1; }
    mv "$folder.making" "$folder"
}

# carry_settings FOLDER: files at known paths, then variables and the files and folders that they name.
carry_settings() {
    local root=$1 name value path place found
    local files=(/etc/resolv.conf /etc/hosts /etc/pip.conf /etc/uv/uv.toml /etc/apt/auth.conf.d /etc/ssl/certs/ca-certificates.crt)
    cp -rL /usr/local/share/ca-certificates "$root/usr/local/share/"
    chroot "$root" update-ca-certificates >/dev/null 2>&1
    for place in .pip/pip.conf .config/pip/pip.conf .config/uv/uv.toml .config/go/env .m2/settings.xml .netrc; do
        [ ! -f "$HOME/$place" ] || install -D -m 600 "$HOME/$place" "$root/root/$place"
    done
    while IFS='=' read -r name value; do
        settings+=("$name=$value")
        for path in ${value//:/ }; do
            case $path in /?*) files+=("$path") ;; esac
        done
    done < <(env | grep -E '^(CI|PIP_[A-Z_]+|UV_[A-Z_]+|GO(PROXY|SUMDB|FLAGS)|(HTTPS?|NO|ALL|https?|no|all)_(PROXY|proxy)|SSL_CERT_(FILE|DIR)|(PIP|CURL|REQUESTS|GIT)_[A-Z_]*(CERT|BUNDLE|CAINFO))=' | sort -u)
    for path in "${files[@]}"; do
        if [ -f "$path" ]; then
            mkdir -p "$root${path%/*}" && cp -L "$path" "$root$path"
        elif [ -d "$path" ] && [ "$path" != /etc/ssl/certs ]; then
            mkdir -p "$root$path" && cp -rL "$path/." "$root$path/"
        fi
    done
    grep -lsE '^ *Acquire' /etc/apt/apt.conf.d/* | xargs -r cp -t "$root/etc/apt/apt.conf.d/"
    found=$(sources)
    [ -z "$found" ] || echo "$found" >"$root/etc/apt/sources.list"
}
