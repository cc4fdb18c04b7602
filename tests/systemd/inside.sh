#!/usr/bin/env bash
# What entra-sync.service has to do, tried in a machine that scripts/systemd-test
# boots: as an administrator would, step by step, each within a bounded time.
#
# Given: /source (the repository), /binary, /given (settings and secrets).
# Leaves: /out/passed if everything held, and /out/journal.
set -euo pipefail

UNIT=entra-sync.service
# How long anything is waited for.
PATIENCE=60
# The unit's own would keep the test waiting.
WATCHDOG=10

trap 'journalctl --boot --no-pager --unit="$UNIT" >/out/journal || true' EXIT
trap 'echo "FAILED in line $LINENO: $BASH_COMMAND"' ERR

says() {
    printf '%5s s  %s\n' "$SECONDS" "$*"
}

fail() {
    echo "FAILED: $*"
    systemctl --no-pager status "$UNIT" || true
    exit 1
}

# until_so WHAT COMMAND…: waits until the command succeeds.
until_so() {
    local what=$1 until=$((SECONDS + PATIENCE))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$until" ] || fail "$what: not within $PATIENCE s"
        sleep 0.2
    done
    says "$what"
}

# same WHAT IS WANTED: fails when they differ.
same() {
    [ "$2" = "$3" ] || fail "$1: '$2', not '$3'"
    says "$1: $2"
}

show() {
    systemctl show --value --property="$1" "$UNIT"
}

status_like() {
    [[ $(show StatusText) == $1 ]]
}

logged() {
    journalctl --boot --no-pager --unit="$UNIT" --output=cat | grep -qF -- "$1"
}

restarted() {
    [ "$(show NRestarts)" -gt "$1" ] && [ "$(show ActiveState)" = active ]
}

# The daemon's loop has fed the watchdog after this moment, in microseconds.
fed_after() {
    [ "$(show WatchdogTimestampMonotonic)" -gt "$1" ]
}

# settings MONTH: passes on the first of this month, and when they are asked for.
settings() {
    printf 'schedule: {cron: "0 0 1 %s *", full_cron: "0 0 1 %s *", jitter: 0s}\n' "$1" "$1" \
        >/etc/entra-sync/settings.yaml
    chown root:entra-sync /etc/entra-sync/settings.yaml
    chmod 640 /etc/entra-sync/settings.yaml
}

install_it() {
    # The binary is one with the simulator in it.
    make --silent -C /source install BINARY=/binary CHECK=no >/out/install
    systemd-sysusers
    systemd-tmpfiles --create
    systemctl daemon-reload
}

# --- installation -----------------------------------------------------------
if make --silent -C /source install BINARY=/binary 2>/out/refused; then fail "a binary with the simulator was installed"; fi
# shellcheck disable=SC2016 # the message has these quotes
grep -q 'run `make` first' /out/refused || fail "it was refused for another reason: $(cat /out/refused)"
[ ! -e /usr/local/bin/entra-sync ] || fail "it was refused and is there"
install_it
documentation=$(show Documentation)
[ -s "${documentation#file://}" ] || fail "the unit's documentation is not there: $documentation"
while read -r link; do
    [ -e "/usr/local/share/doc/entra-sync/docs/$link" ] || fail "a link of the documents leads nowhere: $link"
done < <(grep -ohE '\]\([^)#: ]+[)#]' /usr/local/share/doc/entra-sync/docs/*.md | sed 's/^](//; s/.$//')
says 'the documents are there'
same 'folder' "$(stat -c '%a %U %G' /etc/entra-sync)" '750 root entra-sync'
same 'environment file' "$(stat -c '%a %U %G' /etc/entra-sync/entra-sync.env)" '640 root entra-sync'
for secret in client-secret database-url; do
    same "$secret" "$(stat -c '%a %U %G %s' "/etc/entra-sync/$secret")" '600 root root 0'
done
same 'unit' "$(show LoadState) $(show Type)" 'loaded notify'
systemd-analyze security --no-pager --offline=true --threshold=15 \
    /usr/local/lib/systemd/system/$UNIT >/out/security || fail "$(tail -n 1 /out/security)"
says "$(tail -n 1 /out/security)"

# --- placeholders are a mistake that no restart mends ------------------------
if systemctl start $UNIT 2>/dev/null; then fail "it started with placeholders"; fi
same 'with placeholders' "$(show ActiveState) $(show ExecMainStatus) $(show NRestarts)" 'failed 64 0'
systemctl reset-failed $UNIT

# --- settings, and an installation over them ---------------------------------
cat /given/entra-sync.env >/etc/entra-sync/entra-sync.env
for secret in client-secret database-url; do
    cat "/given/$secret" >"/etc/entra-sync/$secret"
done
settings 1
mkdir -p /etc/systemd/system/$UNIT.d
# systemd forgets how a unit ended once nothing needs it any more.
cat >/etc/systemd/system/$UNIT.d/test.conf <<DROP_IN
[Service]
WatchdogSec=$WATCHDOG
RestartSec=1
ExecStopPost=+/bin/sh -c 'echo \$SERVICE_RESULT \$EXIT_CODE \$EXIT_STATUS >>/out/ends'
DROP_IN
install_it
for file in entra-sync.env client-secret database-url; do
    cmp "/given/$file" "/etc/entra-sync/$file" || fail "the second installation changed $file"
done

# --- commands as the service would run them ----------------------------------
entra-sync-ctl plan >/out/plan 2>/out/plan.log || fail "plan ended with $?: $(cat /out/plan /out/plan.log)"
grep -q '^+ ' /out/plan || fail "the plan adds nothing: $(cat /out/plan)"
status=0
entra-sync-ctl sync --never-heard-of 2>/dev/null || status=$?
same 'exit code of a command' "$status" 64
# Another credential, by what systemctl edit would write.
cat >/etc/systemd/system/$UNIT.d/credential.conf <<'DROP_IN'
[Service]
LoadCredential=
LoadCredential=client-certificate:/etc/entra-sync/client-certificate.pem
LoadCredential=database-url:/etc/entra-sync/database-url
UnsetEnvironment=ENTRA_SYNC__ENTRA__CLIENT_SECRET_FILE
Environment=ENTRA_SYNC__ENTRA__CLIENT_CERTIFICATE_FILE=%d/client-certificate
DROP_IN
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=entra-sync -keyout /tmp/key -out /tmp/crt 2>/dev/null
(umask 077 && cat /tmp/crt /tmp/key >/etc/entra-sync/client-certificate.pem)
systemctl daemon-reload
entra-sync-ctl config >/out/config 2>&1 || fail "config ended with $?: $(cat /out/config)"
grep -q 'client_certificate_file.*/run/credentials/entra-sync-ctl-.*/client-certificate' /out/config ||
    fail "the certificate is not in use: $(cat /out/config)"
rm /etc/systemd/system/$UNIT.d/credential.conf /etc/entra-sync/client-certificate.pem
systemctl daemon-reload
says 'commands have the settings and credentials of the service'

# --- start -------------------------------------------------------------------
systemctl start $UNIT
same 'after start' "$(show ActiveState) $(show SubState)" 'active running'
until_so 'the first pass' status_like 'idle; last pass succeeded at 20*Z, * changes; next 20??-01-01T00:00:00Z'
main=$(show MainPID)
same 'its user' "$(stat -c %U "/proc/$main")" entra-sync

# --- secrets and hardening, as they are and not as the unit says -------------
while read -r name value; do
    same "$name" "$(sed -n "s/^$name:[[:space:]]*//p" "/proc/$main/status")" "$value"
done <<'STATUS'
CapBnd 0000000000000000
CapEff 0000000000000000
NoNewPrivs 1
Seccomp 2
STATUS
password=$(sed 's|.*//[^:]*:\([^@]*\)@.*|\1|' /given/database-url)
secret=$(cat /given/client-secret)
[ "${#password}" -gt 10 ] && [ "${#secret}" -gt 10 ] || fail "there is no secret to look for"
for word in "$secret" "$password"; do
    if grep -qaF -- "$word" "/proc/$main/environ" "/proc/$main/cmdline"; then fail "a secret is in its environment"; fi
    if systemctl show $UNIT | grep -qF -- "$word"; then fail "systemctl shows a secret"; fi
done
grep -qa "CLIENT_SECRET_FILE=/run/credentials/$UNIT/client-secret" "/proc/$main/environ" || fail "not by a credential"
for file in "/run/credentials/$UNIT/client-secret" /etc/entra-sync/client-secret /etc/entra-sync/entra-sync.env; do
    if setpriv --reuid=nobody --regid=nogroup --clear-groups cat "$file" 2>/dev/null; then fail "anybody reads $file"; fi
done
if setpriv --reuid=entra-sync --regid=entra-sync --clear-groups cat /etc/entra-sync/database-url 2>/dev/null; then
    fail "the service reads root's own copy of a secret"
fi
says 'secrets are where they belong'

# --- its port ----------------------------------------------------------------
listen=$(sed -n 's/^ENTRA_SYNC__SERVER__LISTEN=//p' /given/entra-sync.env)
ready() {
    local line
    exec 3<>"/dev/tcp/${listen%:*}/${listen##*:}" || return
    printf 'GET /readyz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$listen" >&3
    read -r line <&3
    exec 3<&-
    [[ $line == 'HTTP/1.1 200 '* ]]
}
until_so 'it answers probes' ready

# --- signals -----------------------------------------------------------------
systemctl kill --kill-whom=main --signal=USR1 $UNIT
until_so 'USR1 brings a pass' logged 'trigger="signal" status="unchanged"'
settings 2
systemctl reload $UNIT
until_so 'reload reads the settings' logged 'settings read again'
until_so 'reload brings a pass' logged 'trigger="reload" status="unchanged"'
until_so 'new settings are in use' status_like 'idle; last pass unchanged at *; next 20??-02-01T00:00:00Z'
same 'after reload' "$(show ActiveState) $(show SubState) $(show MainPID)" "active running $main"

# --- a pass that somebody asks for --------------------------------------------
SUDO_USER=grace entra-sync-ctl resync --wait >/out/resync 2>&1 || fail "resync ended with $?: $(cat /out/resync)"
until_so 'resync brings a pass' logged 'trigger="resync"'

# --- watchdog ----------------------------------------------------------------
up=$(show ActiveEnterTimestampMonotonic)
until_so "fed for longer than $WATCHDOG s" fed_after $((up + WATCHDOG * 1000000 + 1000000))
same 'restarts' "$(show NRestarts)" 0
kill -STOP "$main"
until_so 'hung, and started again' restarted 0
logged 'Watchdog timeout' || fail "something else ended it"
[ "$(show MainPID)" != "$main" ] || fail "it is the same process"
until_so 'passes again' status_like 'idle; last pass unchanged at *'

# --- stop --------------------------------------------------------------------
begun=$SECONDS
systemctl stop $UNIT
[ $((SECONDS - begun)) -le 10 ] || fail "it took $((SECONDS - begun)) s to stop"
same 'after stop' "$(show ActiveState)" inactive
same 'how it ended' "$(paste -sd, /out/ends)" 'watchdog killed ABRT,success exited 0'

# --- what was said -----------------------------------------------------------
journalctl --boot --no-pager --output=export >/tmp/journal
for word in "$secret" "$password"; do
    if grep -qaF -- "$word" /tmp/journal; then fail "the journal has a secret"; fi
done
if journalctl --boot --no-pager --unit=$UNIT --output=cat | grep -iE 'not permitted|permission denied|read-only file system'; then
    fail "the hardening keeps it from something"
fi

make --silent -C /source uninstall >>/out/install
[ ! -e /usr/local/bin/entra-sync ] && [ ! -e /usr/local/bin/entra-sync-ctl ] && [ -s /etc/entra-sync/client-secret ] || fail "uninstall took too little or too much"
says 'done'
touch /out/passed
