#!/bin/sh
# What an image is made of, in two steps; run by deploy/Dockerfile and by tests/ops/test_image.py. Wants uv on PATH.
#   build.sh packages SERVICE VENV   the locked packages of one service, into a new environment
#   build.sh code SERVICE FOLDER     our code that it runs, and no other service's
# SERVICE is a folder under services/ and an extra of pyproject.toml, or `lab`: the livinglab command.
set -eu
step=$1 service=${2:?name a service, or lab} target=$3
cd "$(dirname "$0")/.."
case $step in
packages)
	uv venv --quiet "$target"
	extras="--extra $service"
	if [ "$service" = lab ]; then # whose commands call what is pure in services
		extras="$extras --extra commitment --extra notify"
	fi
	# The same lock as everywhere; hashes are checked, so a changed package stops the build.
	# shellcheck disable=SC2086  # several words
	uv pip install --quiet --python "$target/bin/python" --compile-bytecode --only-binary :all: \
		--require-hashes --constraint requirements.lock --requirements pyproject.toml $extras
	;;
code)
	mkdir -p "$target/services"
	cp -R contracts chassis "$target"
	if [ "$service" = lab ]; then
		cp -R services lab "$target"
	else
		cp -R services/__init__.py "services/$service" "$target/services"
	fi
	# Who checked it out may have kept it for themselves (umask 077); in the image another user reads it.
	chmod -R go=rX "$target"
	;;
*)
	echo "build.sh: no step $step; there are packages and code" >&2
	exit 2
	;;
esac
