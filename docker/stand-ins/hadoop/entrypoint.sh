#!/bin/sh
# CORE-SITE.XML_fs.defaultFS=… becomes a property in core-site.xml, and so on; a NameNode's folder is formatted once.
set -eu
conf=/opt/hadoop/etc/hadoop
# The shell drops variables with such names, so that they are read from where the system keeps them.
environment=$(tr '\000' '\n' </proc/$$/environ)
printf '%s\n' 'log4j.rootLogger=INFO,console' 'log4j.appender.console=org.apache.log4j.ConsoleAppender' \
    'log4j.appender.console.layout=org.apache.log4j.PatternLayout' \
    'log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{2}: %m%n' >"$conf/log4j.properties"
for file in core-site hdfs-site; do
    prefix="$(printf '%s' "$file" | tr 'a-z' 'A-Z').XML_"
    {
        echo '<?xml version="1.0"?><configuration>'
        printf '%s\n' "$environment" | grep "^$prefix" | while IFS='=' read -r name value; do
            printf '<property><name>%s</name><value>%s</value></property>\n' "${name#"$prefix"}" "$value"
        done
        echo '</configuration>'
    } >"$conf/$file.xml"
done
if [ "${1:-} ${2:-}" = "hdfs namenode" ] && [ -n "${ENSURE_NAMENODE_DIR:-}" ] && [ ! -d "$ENSURE_NAMENODE_DIR/current" ]; then
    hdfs namenode -format -nonInteractive -force
fi
exec "$@"
