#!/bin/sh
# carbon-cache in the background, graphite-web in front; the container ends with either.
set -eu
settings=/etc/graphite/local_settings.py
grep -q rescaler "$settings" || printf "\n# rescaler\nSECRET_KEY = 'local'\nALLOWED_HOSTS = ['*']\nTIME_ZONE = 'UTC'\n" >>"$settings"
# By default 50 a minute: a job of some hundred series would take minutes to appear.
sed -i 's/^MAX_CREATES_PER_MINUTE.*/MAX_CREATES_PER_MINUTE = inf/' /etc/carbon/carbon.conf
mkdir -p /var/lib/graphite /var/log/graphite
export DJANGO_SETTINGS_MODULE=graphite.settings GRAPHITE_SETTINGS_MODULE=local_settings PYTHONPATH=/etc/graphite
graphite-manage migrate --run-syncdb >/dev/null
chown -R _graphite /var/lib/graphite /var/log/graphite
carbon-cache --config=/etc/carbon/carbon.conf --nodaemon start &
cp /usr/share/graphite-web/graphite.wsgi /tmp/graphite_web.py
cd /tmp
exec gunicorn --bind 0.0.0.0:80 --workers 1 graphite_web:application
