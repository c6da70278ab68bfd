#!/bin/sh
# The bill of materials of an image's Python packages, as CycloneDX JSON, from the lock file that the image installs:
#
#   docker/sbom.sh trainer > trainer.cdx.json          (or web, or worker)
#
# By the well-kept tool of the CycloneDX project: pipx install cyclonedx-bom
set -eu
cd "$(dirname "$0")"

case "${1:-}" in
	web | worker) without="--file learning-packages.txt --file testing-packages.txt" ;;
	trainer) without="--file testing-packages.txt" ;;
	*)
		echo "Name the image: docker/sbom.sh web, worker or trainer." >&2
		exit 2
		;;
esac
if ! command -v cyclonedx-py >/dev/null; then
	echo "cyclonedx-py is not installed: pipx install cyclonedx-bom" >&2
	exit 1
fi
# shellcheck disable=SC2086  # two words a file
grep --invert-match $without ../requirements.lock | cyclonedx-py requirements --output-reproducible --of JSON -
