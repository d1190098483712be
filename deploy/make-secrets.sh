#!/bin/sh
# Makes the secrets that compose.yaml uses, once: files with new random passwords in the directory deploy/secrets, or in the
# one that is named. Only the owner can enter the directory; the files in it are readable by all, because the containers run
# as another user (65532) and see just the files that they are given.
set -eu
dir=${1:-$(dirname "$0")/secrets}
if [ -e "$dir" ]; then
	echo "$dir is there already. Remove it first if every password is to be a new one." >&2
	exit 1
fi

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
servers() { # user password port separator
	printf 'nats://%s:%s@nats1:%s%snats://%s:%s@nats2:%s%snats://%s:%s@nats3:%s' "$1" "$2" "$3" "$4" "$1" "$2" "$3" "$4" "$1" "$2" "$3"
}

umask 077
mkdir -p "$dir"
cd "$dir"
umask 022
route=$(random)
writer=$(random)
reader=$(random)
cat >nats-passwords.conf <<END
ROUTES: ["$(servers route "$route" 6222 '", "')"]
ROUTE_PASSWORD: "$route"
WRITER_PASSWORD: "$writer"
READER_PASSWORD: "$reader"
CLIENT_PASSWORD: "$(random)"
ADMIN_PASSWORD: "$(random)"
SYSTEM_PASSWORD: "$(random)"
END
echo "nats: $(servers writer "$writer" 4222 ,)" >kvwriter.yaml
echo "nats: $(servers reader "$reader" 4222 ,)" >kvreader.yaml
random >access-token
echo "Made the secrets in $dir. Clients send the access token: DENO_KV_ACCESS_TOKEN=\$(cat $dir/access-token)"
