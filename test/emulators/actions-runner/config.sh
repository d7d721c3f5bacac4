#!/bin/bash
# Stand-in for actions/runner's config.sh: the checks of the real one, then the listener.
if [[ $EUID == 0 && -z ${RUNNER_ALLOW_RUNASROOT-} ]]; then
  echo 'Must not run with sudo'
  exit 1
fi
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
# Like env.sh: what the runner's later starts find as PATH.
printf '%s' "$PATH" >.path
if [[ ${1-} == remove ]]; then
  exec ./bin/Runner.Listener "$@"
fi
exec ./bin/Runner.Listener configure "$@"
