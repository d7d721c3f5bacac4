#!/bin/bash
#
# smoke-test.sh RUNNER_VERSION [SUDO] [BUILD_TOOLS]: runs inside the runner image, as root, and ends with 1 when a job could
# not run in it. Every reason is said, not only the first. build-image.sh mounts it; it is no part of the image.
# shellcheck disable=SC2317 # the checks are called by name, by `expect`
set -uo pipefail

version=${1-}
sudo=${2-yes}
build_tools=${3-no}
home=/home/runner
failures=0

# expect SENTENCE COMMAND...
expect() {
  local sentence=$1 output
  shift
  output=$("$@" 2>&1 </dev/null) && return
  printf 'smoke-test: %s, it is not so%s\n' "$sentence" "${output:+: ${output:0:300}}"
  ((failures++))
}

# As start-runner.sh does it, so that the user and its groups come from the image.
as_runner() { chroot --userspec=1001 --skip-chdir / env HOME="$home" USER=runner "$@"; }

is() { [[ $1 == "$2" ]] || { printf 'got "%s"' "$1"; return 1; }; }

has_version() { is "$(as_runner "$home/bin/Runner.Listener" --version 2>&1)" "$version"; }

# The oldest curl known to sign every header; see start-runner.sh.
curl_is_new_enough() {
  local found
  read -r _ found _ < <(curl --version)
  printf '%s\n' 7.88 "$found" | sort --version-sort --check=quiet || { printf 'got %s' "$found"; return 1; }
}

# JavaScript actions run on what the runner brings along; the builds for Alpine cannot run here.
node_runs() {
  local node found=1
  for node in "$home"/externals/node*/bin/node; do
    [[ -e $node && $node != *alpine* ]] || continue
    as_runner "$node" --version || return
    found=0
  done
  return "$found"
}

has_commands() {
  local name
  for name in "$@"; do
    type -P "$name" >/dev/null || { printf '%s is missing' "$name"; return 1; }
  done
}

# config.sh asks so, and refuses without.
finds_icu() { [[ $(ldconfig -NXv 2>&1) == *libicu* ]]; }

becomes_root() { is "$(as_runner sudo --non-interactive id --user 2>/dev/null)" "$1"; }

# is_roots FILE...: the runner must not be able to change what it is started with, or what runs in each job.
is_roots() {
  local file
  for file in "$@"; do
    is "$(stat --format=%u "$file")" 0 || return
    as_runner test ! -w "$file" || { printf '%s can be written' "$file"; return 1; }
  done
}

# hook NAME: with no drop-in in the folder beside it, it does nothing, and well.
hook_runs() {
  local said
  [[ $1 == /*.sh ]] && said=$(as_runner bash -e "$1" 2>&1) && is "$said" ''
}

makes_repository() { as_runner git init --quiet "$(as_runner mktemp --directory)"; }

cd "$home" || exit 1
expect "the runner must be $version" has_version
expect 'the runner must bring a node that runs' node_runs
expect 'start-runner.sh must be a program without syntax errors' bash -n /usr/local/bin/start-runner.sh
expect 'start-runner.sh must be executable' test -x /usr/local/bin/start-runner.sh
expect 'uid 1001 must be the user runner' is "$(as_runner id --user --name)" runner
expect 'the runner must be in the groups runner and docker' is "$(as_runner id --groups)" '1001 123'
expect 'the runner must own its home' as_runner test -O "$home" -a -w "$home" -a -w "$home/_work"
expect 'the runner must be able to write the tool cache' as_runner test -w "${RUNNER_TOOL_CACHE-}"
case $sudo in
  yes) expect 'the runner must become root by sudo, without a password' becomes_root 0 ;;
  *) expect 'the runner must not become root' becomes_root '' ;;
esac
[[ $build_tools == yes ]] && expect 'there must be build tools' has_commands cc c++ make pkg-config
expect 'what the runner is started with must be root'"'"'s' is_roots /usr/local/bin /usr/local/bin/start-runner.sh
expect 'hooks must be root'"'"'s' is_roots /opt /opt/runner-hooks /opt/runner-hooks/*
expect 'the hook before a job must run' hook_runs "${ACTIONS_RUNNER_HOOK_JOB_STARTED-}"
expect 'the hook after a job must run' hook_runs "${ACTIONS_RUNNER_HOOK_JOB_COMPLETED-}"
expect 'config.sh must find libicu' finds_icu
expect 'start-runner.sh must find its commands' \
  has_commands base64 chmod chown chroot cp curl date env gzip ln mkdir mv rm sha256sum sleep stat tar test
expect 'a job must find the usual commands' \
  has_commands bzip2 file git git-lfs gpg jq lsb_release ps python3 rsync ssh unzip wget xz zip zstd
expect 'curl must be 7.88 or newer' curl_is_new_enough
expect 'curl must know certificate authorities' test -s /etc/ssl/certs/ca-certificates.crt
expect 'git must make a repository' makes_repository
expect 'the locale must be UTF-8' is "$(locale charmap 2>&1)" UTF-8

((failures == 0)) && echo "smoke-test: runner $version is fit for jobs"
exit $((failures > 0))
