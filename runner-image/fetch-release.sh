#!/bin/bash
#
# fetch-release.sh REPOSITORY VERSION ASSET FILE [URL SHA256]: downloads one file of a release on GitHub, if it is what
# GitHub says it is. In ASSET, VERSION stands for the version; VERSION itself may be `latest`. With URL and SHA256 GitHub
# is not asked. Ends with 1 and a line that says why, and then there is no FILE. The Dockerfile runs it while it builds;
# it is not in the image.
#
# Environment read: RELEASES_URL, default https://api.github.com/repos
set -uo pipefail

fail() {
  printf 'fetch-release: %s\n' "$*" >&2
  rm -f -- "$file"
  exit 1
}

# download URL FILE
download() {
  curl -q --globoff --fail --silent --show-error --location --proto '=https,http' --retry 3 --connect-timeout 10 --max-time 600 \
    --output "$2" -- "$1"
}

repository=$1 version=$2 asset=$3 file=$4 url=${5-} sha256=${6-}
[[ $version =~ ^(latest|[0-9]+\.[0-9]+\.[0-9]+)$ ]] || fail "the version must be \"latest\" or three numbers, got \"$version\""
[[ ! $url && ! $sha256 || $url && $sha256 ]] || fail 'an address needs its SHA-256, and a SHA-256 its address'

if [[ ! $url ]]; then
  where=${RELEASES_URL:-https://api.github.com/repos}/$repository/releases
  # https://docs.github.com/en/rest/releases/releases
  if [[ $version == latest ]]; then where+=/latest; else where+=/tags/v$version; fi
  release=$(download "$where" -) || fail "GitHub must tell of the release $version of $repository, it did not"
  tag=$(jq --raw-output '.tag_name' <<<"$release") || fail "what GitHub tells of a release must be JSON, it is not"
  version=${tag#v}
  [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "a release of $repository must be tagged v1.2.3, it is \"$tag\""
  name=${asset/VERSION/$version}
  read -r url sha256 < <(jq --raw-output --arg name "$name" \
    '.assets[] | select(.name == $name) | "\(.browser_download_url) \(.digest // "" | ltrimstr("sha256:"))"' <<<"$release")
  [[ ${url-} ]] || fail "release $version of $repository must have the file $name, it has none"
fi
[[ ${sha256-} =~ ^[0-9a-f]{64}$ ]] || fail "the SHA-256 must be 64 digits and letters, got \"${sha256-}\""

download "$url" "$file" || fail "$url could not be downloaded"
sha256sum --check --status <<<"$sha256  $file" ||
  fail "$url must have the SHA-256 $sha256, it has $(sha256sum <"$file" | cut --delimiter=' ' --fields=1)"
printf 'fetch-release: %s %s\n' "$repository" "$version"
