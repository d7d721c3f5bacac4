#!/bin/bash
# Stand-in for actions/runner's run.sh: runs the helper again and again while it says so.
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1

if [[ -z ${RUNNER_MANUALLY_TRAP_SIG-} ]]; then
  while ./run-helper.sh "$@"; [[ $? == 2 ]]; do echo 'Restarting runner...'; done
  echo 'Exiting runner...'
  exit 0
fi

set -m
helper=''
trap 'kill -INT -- "-$helper"' INT TERM
while :; do
  ./run-helper.sh "$@" &
  helper=$!
  while wait -f "$helper"; code=$?; [[ $code -gt 128 && -e /proc/$helper ]]; do :; done
  [[ $code == 2 ]] || break
  echo 'Restarting runner...'
done
echo 'Exiting runner...'
exit "$code"
