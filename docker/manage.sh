#!/bin/sh
# A manage.py command with the settings and the rights that the units in docker/systemd give their processes:
#
#   manage.sh migrate
#
# To be started by root, who alone may read the settings. Where there is a site.env the command runs as the
# site's user and has the site's key, elsewhere as the workers' user.
set -eu
cd "$(dirname "$0")/.."
umask 0007
set -a
. /etc/outerloop/outerloop.env
user=outerloop
if [ -e /etc/outerloop/site.env ]; then
  . /etc/outerloop/site.env
  user=outerloop-site
fi
set +a
exec setpriv --reuid "$user" --regid outerloop --init-groups --no-new-privs -- \
  env HOME=/srv/outerloop .venv/bin/python manage.py "$@"
