#!/bin/sh
# VictoriaLogs for audit records, one role a process. What stands behind the role goes to the program as it is.
#
#   run.sh single        one machine for everything: enough for most
#   run.sh storage       a cluster's node that keeps records; it has to be out of everybody's reach but the fronts'
#   run.sh insert        a cluster's front for writers: spreads records over the storage nodes
#   run.sh select        a cluster's front for readers: asks all of them, and answers 502 when one is away
#   run.sh auth          vmauth, before all of them: who may write, who may read what (vmauth.yml)
#   run.sh alert URL     vmalert, which asks for attacks (alerts.yml) and tells the Alertmanager at URL
#
#   OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME    days, or infinity; 90. Older records are deleted, and refused without a word
#   AUTHAUDIT_VICTORIALOGS_DIR            where it keeps them; /var/lib/victoria-logs
#   AUTHAUDIT_VICTORIALOGS_LISTEN         host:port; 127.0.0.1:9428, of vmauth 127.0.0.1:8427, of vmalert 127.0.0.1:8880
#   AUTHAUDIT_VICTORIALOGS_NODES          of the fronts: the storage nodes, host:port,host:port
#   AUTHAUDIT_VICTORIALOGS_CLUSTER_PASSWORD_FILE  what fronts and storage nodes know each other by, if set
#   AUTHAUDIT_VICTORIALOGS_URL            of auth: the store; http://127.0.0.1:9428. Of alert: where it asks
#   AUTHAUDIT_VICTORIALOGS_INSERT_URL, AUTHAUDIT_VICTORIALOGS_SELECT_URL  of auth before a cluster: its two fronts
#   AUTHAUDIT_VICTORIALOGS_INTERNAL       of auth: where its own health, metrics and flags are served; 127.0.0.1:8426
#   AUTHAUDIT_VICTORIALOGS_AUTH           of auth: its configuration; vmauth.yml beside this file
#   AUTHAUDIT_VICTORIALOGS_BIN            where the programs are, if not in PATH (`make collector` says)
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
bin=${AUTHAUDIT_VICTORIALOGS_BIN:+$AUTHAUDIT_VICTORIALOGS_BIN/}
role=${1:-}
[ $# -eq 0 ] || shift

say() {
    echo "run.sh: $*" >&2
    exit 2
}

# 100 years are for ever: a record that is older has a clock that is wrong.
days=${OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME:-90}
case $days in
    infinity) lifetime=100y ;;
    *[!0-9]* | 0*) say "OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME=$days is neither a number of days nor infinity" ;;
    *) lifetime=${days}d ;;
esac

store() { # what was answered is on disk after a second, by default after five
    exec "${bin}victoria-logs" \
        -httpListenAddr="${AUTHAUDIT_VICTORIALOGS_LISTEN:-127.0.0.1:9428}" \
        -storageDataPath="${AUTHAUDIT_VICTORIALOGS_DIR:-/var/lib/victoria-logs}" \
        -retentionPeriod="$lifetime" \
        -inmemoryDataFlushInterval=1s \
        -storage.minFreeDiskSpaceBytes=1GB \
        -defaultMsgValue='(an audit record)' \
        "$@"
}

front() {
    [ -n "${AUTHAUDIT_VICTORIALOGS_NODES:-}" ] || say "AUTHAUDIT_VICTORIALOGS_NODES=host:port,host:port names the storage nodes"
    if [ -n "${AUTHAUDIT_VICTORIALOGS_CLUSTER_PASSWORD_FILE:-}" ]; then
        set -- -storageNode.username=cluster -storageNode.passwordFile="$AUTHAUDIT_VICTORIALOGS_CLUSTER_PASSWORD_FILE" "$@"
    fi
    exec "${bin}victoria-logs" \
        -httpListenAddr="${AUTHAUDIT_VICTORIALOGS_LISTEN:-127.0.0.1:9428}" \
        -storageNode="$AUTHAUDIT_VICTORIALOGS_NODES" \
        -defaultMsgValue='(an audit record)' \
        "$@"
}

case $role in
    single) store -internalinsert.disable -internalselect.disable "$@" ;;
    storage)
        if [ -n "${AUTHAUDIT_VICTORIALOGS_CLUSTER_PASSWORD_FILE:-}" ]; then
            set -- -httpAuth.username=cluster -httpAuth.password="file://$AUTHAUDIT_VICTORIALOGS_CLUSTER_PASSWORD_FILE" "$@"
        fi
        store "$@"
        ;;
    insert) front -select.disable -internalinsert.disable "$@" ;;
    select) front -insert.disable -internalselect.disable "$@" ;;
    auth)
        url=${AUTHAUDIT_VICTORIALOGS_URL:-http://127.0.0.1:9428}
        export AUTHAUDIT_VICTORIALOGS_INSERT_URL="${AUTHAUDIT_VICTORIALOGS_INSERT_URL:-$url}"
        export AUTHAUDIT_VICTORIALOGS_SELECT_URL="${AUTHAUDIT_VICTORIALOGS_SELECT_URL:-$url}"
        exec "${bin}vmauth" \
            -httpListenAddr="${AUTHAUDIT_VICTORIALOGS_LISTEN:-127.0.0.1:8427}" \
            -httpInternalListenAddr="${AUTHAUDIT_VICTORIALOGS_INTERNAL:-127.0.0.1:8426}" \
            -auth.config="${AUTHAUDIT_VICTORIALOGS_AUTH:-$here/vmauth.yml}" \
            -configCheckInterval=5s \
            "$@"
        ;;
    alert)
        [ $# -gt 0 ] || say "alert URL: the address of an Alertmanager"
        url=$1 && shift
        exec "${bin}vmalert" \
            -httpListenAddr="${AUTHAUDIT_VICTORIALOGS_LISTEN:-127.0.0.1:8880}" \
            -rule="$here/alerts.yml" \
            -datasource.url="${AUTHAUDIT_VICTORIALOGS_URL:-http://127.0.0.1:9428}" \
            -notifier.url="$url" \
            "$@"
        ;;
    *) say "single, storage, insert, select, auth or alert URL" ;;
esac
