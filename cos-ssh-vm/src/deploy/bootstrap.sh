#!/bin/sh
# The bootstrap: finds, verifies or asks for the worker on a host, and then becomes it.
#
# It is read from standard input by the login command, so it must run in every shell that can be /bin/sh. Lines that
# begin with # and indentation are dropped before it is sent: no string may go over several lines.
#
# Set in front of this text: cos_nonce, cos_run, cos_host, cos_storage (a directory or nothing), cos_workers (four
# words for each: machine or "any", target, SHA-256, size in bytes).
#
# Everything it says is one line: the nonce, a space, and fields separated by tabs.
#   system SYSTEM MACHINE    always first
#   noworker                 none of the workers fits; the end
#   noverifier               no program here computes a SHA-256; the end
#   skip DIRECTORY CAUSE     this directory cannot be used, the next is tried
#   corrupt FILE             this worker is not what its name says; it will be replaced
#   upload DIRECTORY         send the worker now
#   refused STATUS CAUSE     the worker cannot be executed on this host; the end
#   nodirectory              no directory could be used; the end
#   run FILE                 this worker is about to be started

# The first variables are set by the client; LC_ALL is meant to change in subshells only.
# shellcheck disable=SC2154,SC2030,SC2031

cos_tab='	'

cos_say() {
    printf '%s %s\n' "$cos_nonce" "$1"
}

# One line of whatever a program has said.
cos_one_line() {
    printf '%s' "$1" | LC_ALL=C tr '\n\t\r' '   ' | cut -c 1-900
}

cos_skip() {
    cos_say "skip$cos_tab$cos_base$cos_tab$(cos_one_line "$cos_cause")"
}

cos_digest() {
    case $cos_verifier in
        sha256sum) sha256sum <"$1" ;;
        shasum) shasum -a 256 <"$1" ;;
        openssl) openssl dgst -sha256 -r <"$1" ;;
        *) sha256 -q <"$1" ;;
    esac
}

cos_is_intact() {
    cos_words=$(cos_digest "$1" 2>/dev/null)
    case $cos_words in
        "$cos_sha256"*) return 0 ;;
    esac
    return 1
}

# Whether the base belongs to this user or to root, and nobody else may exchange what lies in it.
cos_base_is_safe() {
    # shellcheck disable=SC2046
    set -- $(LC_ALL=C ls -ldn "$cos_base/" 2>/dev/null)
    case $1 in
        d???????w[!tT]*)
            cos_cause='anybody may write there'
            return 1
            ;;
        d*) ;;
        *)
            cos_cause='it cannot be looked at'
            return 1
            ;;
    esac
    if [ "$3" != "$cos_uid" ] && [ "$3" != 0 ]; then
        cos_cause="it belongs to user $3"
        return 1
    fi
}

# Whether a directory in the base is this user's own, no link, and closed to everybody else; below it nothing needs
# to be looked at. It is made if it is not there.
cos_is_private() {
    [ -d "$1" ] || cos_cause=$(LC_ALL=C mkdir -m 0700 "$1" 2>&1) || [ -d "$1" ] || return 1
    # shellcheck disable=SC2046
    set -- "$1" $(LC_ALL=C ls -ldn "$1" 2>/dev/null)
    case $2 in
        d*) ;;
        *)
            cos_cause="$1 is not a directory"
            return 1
            ;;
    esac
    if [ "$4" != "$cos_uid" ]; then
        cos_cause="$1 belongs to user $4"
        return 1
    fi
    case $2 in
        drwx--[-S]---*) ;;
        d????w* | d???????w*)
            cos_cause="others could write in $1, so nothing there is trusted: remove it"
            return 1
            ;;
        *) cos_cause=$(LC_ALL=C chmod 0700 "$1" 2>&1) || return 1 ;;
    esac
}

# Whether files in the worker's directory can be executed: a script of two lines tells before a worker is sent.
cos_can_execute() {
    cos_probe=$cos_directory/.probe-$cos_nonce
    cos_cause=$(
        export LC_ALL=C
        {
            printf '#!/bin/sh\nexit 0\n' >"$cos_probe" && chmod 0700 "$cos_probe" && "$cos_probe"
        } 2>&1 </dev/null
    )
    cos_status=$?
    rm -f "$cos_probe" 2>/dev/null
    return "$cos_status"
}

# Executes a file once without effect. A file that another process still holds open for writing is busy for a while.
cos_trial() {
    for cos_pause in 1 1 2 ''; do
        cos_cause=$(
            export LC_ALL=C
            "$1" --cos-worker=trial 2>&1 </dev/null
        )
        cos_status=$?
        case $cos_status:$cos_pause:$cos_cause in
            0:*) return 0 ;;
            126:[12]:*[Bb]usy*) sleep "$cos_pause" ;;
            *) return 1 ;;
        esac
    done
}

# A trial has failed: is it the directory's fault, or the worker's? Returns if it is the directory's.
cos_blame_trial() {
    cos_trial_cause=$cos_cause
    cos_trial_status=$cos_status
    case $cos_trial_status:$cos_trial_cause in
        126:*[Bb]usy*) return ;;
    esac
    if [ "$cos_trial_status" = 126 ] && ! cos_can_execute; then
        return
    fi
    cos_say "refused$cos_tab$cos_trial_status$cos_tab$(cos_one_line "$cos_trial_cause")"
    exit 0
}

# Takes the worker's bytes, all of them even if they cannot be written, so that it can be asked for once more.
cos_receive() {
    if head -c 1 </dev/null >/dev/null 2>&1; then
        head -c "$cos_size"
    else
        dd bs=1 count="$cos_size" 2>/dev/null
    fi | {
        (
            export LC_ALL=C
            set -C
            cat >"$cos_temporary"
        ) 2>&1 || {
            cat >/dev/null
            exit 1
        }
    }
}

cos_free_bytes() {
    # shellcheck disable=SC2046
    set -- $(LC_ALL=C df -Pk "$cos_directory" 2>/dev/null | tail -n 1)
    case $4 in
        '' | *[!0-9]*) return 1 ;;
    esac
    # A number of kilobytes; as bytes it may be too large for the shell.
    cos_free=$4
}

cos_has_room() {
    cos_free_bytes || return 0
    if [ "$cos_free" -le "$((cos_size / 1024 + 16))" ]; then
        cos_cause="the disk is full: $cos_size bytes are needed, ${cos_free} KiB are free"
        return 1
    fi
}

# Brings the worker into its directory.
cos_upload() {
    cos_cause=$(LC_ALL=C mkdir -p "$cos_directory" 2>&1) || return 1
    cos_can_execute || return 1
    cos_has_room || return 1
    find "$cos_directory" -name '.upload-*' -mtime +0 -exec rm -f {} + 2>/dev/null
    cos_temporary=$cos_directory/.upload-$cos_nonce
    cos_say "upload$cos_tab$cos_base"
    if ! cos_cause=$(cos_receive); then
        rm -f "$cos_temporary"
        cos_free_bytes && cos_cause="$cos_cause: $cos_size bytes are needed, ${cos_free} KiB are free"
        return 1
    fi
    # A crash of the host must not leave an empty file behind a good name; it would be noticed, but sent again.
    sync -d "$cos_temporary" 2>/dev/null
    if ! cos_is_intact "$cos_temporary"; then
        cos_cause='the worker did not arrive intact'
    elif ! cos_cause=$(LC_ALL=C chmod 0700 "$cos_temporary" 2>&1); then
        :
    elif ! cos_trial "$cos_temporary"; then
        rm -f "$cos_temporary"
        cos_blame_trial
    elif cos_cause=$(LC_ALL=C mv -f "$cos_temporary" "$cos_file" 2>&1); then
        return 0
    fi
    rm -f "$cos_temporary"
    return 1
}

# Sees to it that an intact worker which can be executed is there.
cos_make_ready() {
    if [ -f "$cos_file" ]; then
        if cos_is_intact "$cos_file"; then
            cos_trial "$cos_file" && return 0
            cos_blame_trial
            return 1
        fi
        cos_say "corrupt$cos_tab$cos_file"
    elif [ -d "$cos_file" ]; then
        # The worker would be moved into it.
        rm -rf "$cos_file"
    fi
    cos_upload
}

# Becomes the worker; returns when this base cannot be used.
cos_try() {
    cos_base=${1%/}
    case $cos_base in
        *[[:cntrl:]]* | *//*) return ;;
        /*) ;;
        *) return ;;
    esac
    case $cos_tried in
        *"$cos_tab$cos_base$cos_tab"*) return ;;
    esac
    cos_tried=$cos_tried$cos_base$cos_tab
    cos_directory=$cos_base/cos/workers/$cos_uid/$cos_target/$cos_sha256
    cos_file=$cos_directory/cos-worker

    cos_cause=$(LC_ALL=C mkdir -p "$cos_base" 2>&1)
    if ! [ -d "$cos_base" ] || ! cos_base_is_safe || ! cos_is_private "$cos_base/cos"; then
        cos_skip
        return
    fi
    if ! cos_make_ready; then
        rmdir "$cos_directory" 2>/dev/null
        cos_skip
        return
    fi
    cos_say "run$cos_tab$cos_file"
    umask "$cos_umask"
    exec "$cos_file" --cos-worker=bridge "$cos_nonce" "$cos_run" "$cos_host"
}

set -f
cos_umask=$(umask)
umask 077
cos_temporary=
cos_probe=
trap 'rm -f ${cos_temporary:+"$cos_temporary"} ${cos_probe:+"$cos_probe"}' EXIT
trap 'exit 1' HUP INT TERM PIPE
cos_tried=$cos_tab
cos_uid=$(id -u)
cos_system=$(uname -s)
cos_machine=$(uname -m)
cos_say "system$cos_tab$cos_system$cos_tab$cos_machine"

cos_target=
# shellcheck disable=SC2086
set -- $cos_workers
while [ "$#" -ge 4 ] && [ "$cos_system" = Linux ]; do
    if [ "$1" = any ] || [ "$1" = "$cos_machine" ]; then
        cos_target=$2
        cos_sha256=$3
        cos_size=$4
        break
    fi
    shift 4
done
if [ -z "$cos_target" ]; then
    cos_say noworker
    exit 0
fi

cos_verifier=
for cos_word in sha256sum shasum openssl sha256; do
    if command -v "$cos_word" >/dev/null 2>&1; then
        cos_verifier=$cos_word
        break
    fi
done
if [ -z "$cos_verifier" ]; then
    cos_say noverifier
    exit 0
fi

for cos_word in \
    "${XDG_CACHE_HOME-}" "${HOME:+$HOME/.cache}" "${XDG_RUNTIME_DIR-}" \
    "$cos_storage" "/var/tmp/cos-$cos_uid" "/tmp/cos-$cos_uid"; do
    cos_try "$cos_word"
done
cos_say nodirectory
exit 0
