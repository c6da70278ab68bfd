#!/bin/sh
# Starts one process of an installation, as docker/Procfile has it:
#
#   start.sh migrate|site|worker|files|webhooks|gpu|beat|policy [--check]
#
# With --check it says what it would start and lets Django look at the settings, and starts nothing. Any
# other words are run as they are, for a shell or a manage.py command in a container.
set -eu
cd "$(dirname "$0")/.."

role="${1:-}"
case "$role" in
  migrate)
    # `manage.py up` does both by itself.
    command='python manage.py migrate --noinput && python manage.py prepare'
    ;;
  site | worker | files | webhooks | gpu | beat | policy)
    command="$(sed -n "s/^$role: //p" docker/Procfile)"
    # Services are given a minute to end: most of it is for the answers under way.
    if [ "$role" = policy ]; then command="$command --drain 40"; fi
    ;;
  '')
    echo "Name what to start: migrate, site, worker, files, webhooks, gpu, beat or policy." >&2
    exit 64
    ;;
  *)
    exec "$@"
    ;;
esac

if [ "${2:-}" = "--check" ]; then
  python manage.py check --deploy --fail-level ERROR
  echo "$role: $command"
  exit 0
fi
if [ "$role" = site ]; then
  python manage.py collectstatic --noinput --verbosity 0
fi
exec sh -c "$command"
