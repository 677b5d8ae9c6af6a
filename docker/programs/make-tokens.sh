#!/bin/sh
# Random tokens for the parties of one testbed, each in a file that only its owner may read. What is there already stays, so
# that this may run with every start. Prometheus, which runs as another user, gets a copy of the reader's token, which lets
# its holder look and nothing else.
set -eu
umask 077
for name in publisher agent reader page; do
    file=/secrets/$name.token
    if [ ! -s "$file" ]; then
        od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$file.new"
        mv "$file.new" "$file"
        echo "made $file"
    fi
done
# hand FOLDER NAME...: copies of these tokens for one party, which gets no other.
hand() {
    folder=$1
    shift
    for name; do
        cp "/secrets/$name.token" "$folder/$name.token.new"
        mv "$folder/$name.token.new" "$folder/$name.token"
    done
}
hand /agent-secrets agent
hand /publisher-secrets publisher page reader
umask 022
cp /secrets/reader.token /readers/reader.token.new
chmod 644 /readers/reader.token.new
mv /readers/reader.token.new /readers/reader.token
