#!/bin/sh
# Makes .env of .env.example: what stands empty there gets a secret of its own, by the command above it, or else a password.
set -eu
cd "$(dirname "$0")/.."
umask 077
if [ -e .env ]; then # whose secrets databases and receivers know by now
	echo "env.sh: there is a .env already" >&2
	exit 1
fi
trap 'rm -f .env.made' EXIT
password="openssl rand -hex 24"
command=$password
while IFS= read -r line; do
	case $line in
	"# openssl "*) command=${line#"# "} ;;
	[A-Z]*=)
		made=$(eval "$command")
		line=$line${made:?openssl made nothing}
		command=$password
		;;
	esac
	printf '%s\n' "$line"
done <.env.example >.env.made
mv .env.made .env
