#!/bin/sh
# CORE-SITE.XML_fs.defaultFS=… becomes a property in core-site.xml, and so on; a NameNode's folder is formatted once.
set -eu
conf=/opt/hadoop/etc/hadoop
for file in core-site hdfs-site; do
    prefix="$(printf '%s' "$file" | tr 'a-z' 'A-Z').XML_"
    {
        echo '<?xml version="1.0"?><configuration>'
        env | grep "^$prefix" | while IFS='=' read -r name value; do
            printf '<property><name>%s</name><value>%s</value></property>\n' "${name#"$prefix"}" "$value"
        done
        echo '</configuration>'
    } >"$conf/$file.xml"
done
if [ "${1:-} ${2:-}" = "hdfs namenode" ] && [ -n "${ENSURE_NAMENODE_DIR:-}" ] && [ ! -d "$ENSURE_NAMENODE_DIR/current" ]; then
    hdfs namenode -format -nonInteractive -force
fi
exec "$@"
