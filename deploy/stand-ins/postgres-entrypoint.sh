#!/bin/sh
# Does what the official image's entry point does, as far as docker-compose.yml uses it:
# makes the database POSTGRES_DB of POSTGRES_USER with POSTGRES_PASSWORD, and serves it.
set -eu
PATH="$(echo /usr/lib/postgresql/*/bin):$PATH"
export PATH PGDATA="${PGDATA:-/var/lib/postgresql/data}"
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" /run/postgresql
  chown postgres: "$PGDATA" /run/postgresql
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  chmod 700 "$PGDATA"
  umask 077
  password="$(mktemp)"
  printf '%s' "${POSTGRES_PASSWORD:?}" >"$password"
  initdb -U "$POSTGRES_USER" --encoding=UTF8 --locale=C.UTF-8 --pwfile="$password" --auth-local=trust --auth-host=scram-sha-256 >/dev/null
  rm "$password"
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
  pg_ctl -w -o "-c listen_addresses=" start >/dev/null # not over TCP before it is ready
  createdb -U "$POSTGRES_USER" "$POSTGRES_DB"
  pg_ctl -w stop >/dev/null
fi
exec "$@"
