#!/bin/sh
# Keeps /srv/app/app the same as $PROGRAM_URL. `once`: until it is there; `always`: from then on.
set -eu
new=/srv/app/.app.new

fetch() {
    timeout 30 wget -q -O "$new" "$PROGRAM_URL" || return 1
    cmp -s "$new" /srv/app/app && return
    chmod 755 "$new"
    # Whole and at once: nobody ever sees half of it.
    mv "$new" /srv/app/app
}

case $1 in
once)
    until fetch; do sleep 1; done
    ;;
always)
    # PID 1 has no default for SIGTERM: without this the pod would wait its whole grace period for it.
    trap 'exit 0' TERM
    while sleep 2; do fetch || true; done
    ;;
esac
