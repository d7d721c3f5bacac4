#!/bin/bash
# Stand-in for actions/runner's run-helper.sh: turns the listener's exit code into "again" (2), 7, or 0.
if [[ $EUID == 0 && -z ${RUNNER_ALLOW_RUNASROOT-} ]]; then
  echo 'Must not run interactively with sudo'
  exit 1
fi
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
./bin/Runner.Listener run "$@"
code=$?
case $code in
  0) echo 'Runner listener exit with 0 return code, stop the service, no retry needed.' ;;
  1) echo 'Runner listener exit with terminated error, stop the service, no retry needed.' ;;
  2)
    echo 'Runner listener exit with retryable error, re-launch runner in 5 seconds.'
    sleep 5
    exit 2
    ;;
  3 | 4)
    echo 'Runner listener exit because of updating, re-launch runner after successful update'
    for _ in {0..30}; do
      [[ -e update.finished ]] && rm -f update.finished && break
      sleep 1
    done
    exit 2
    ;;
  5) echo 'Runner listener exit with Session Conflict error, stop the service, no retry needed.' ;;
  7)
    echo "Runner listener exit with deprecated version exit code: $code."
    [[ ${ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE-} == 1 ]] && exit 7
    ;;
  *) echo "Exiting with unknown error code: $code" ;;
esac
exit 0
