#!/bin/sh
# Starts one process of an installation, as docker/Procfile has it:
#
#   start.sh migrate|site|worker|gpu|beat|policy [--check]
#
# With --check it says what it would start and lets Django look at the settings, and starts nothing. Any
# other words are run as they are, for a shell or a manage.py command in a container.
set -eu
cd "$(dirname "$0")/.."

role="${1:-}"
case "$role" in
  migrate)
    # The sweeper takes up steps that nobody holds; `manage.py up` enters it by itself.
    command='python manage.py migrate --noinput && python manage.py shell --command "from outerloop.rounds.schedule import sweeper_ensure; sweeper_ensure()"'
    ;;
  site | worker | gpu | beat | policy)
    command="$(sed -n "s/^$role: //p" docker/Procfile)"
    ;;
  '')
    echo "Name what to start: migrate, site, worker, gpu, beat or policy." >&2
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
