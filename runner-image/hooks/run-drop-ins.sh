#!/bin/bash
#
# The image has this file twice, as job-started.sh and as job-completed.sh; the runner starts each as a step of the job
# ("Set up runner", "Complete runner"), as the job's user. It runs the executable files of the folder beside it whose
# name is its own: job-started.d, job-completed.d. In the order of their names, with their output in the job's log.
#
# It never fails a job by itself. A drop-in that fails does, as GitHub has it: so one can refuse a repository. The first
# that fails to set up is the last that runs; those that clean up all run.
# https://docs.github.com/en/actions/how-tos/manage-runners/self-hosted-runners/run-scripts

# The runner gives `bash -e`, with which the first failure would be the end.
set +e

failed=0
for drop_in in "${BASH_SOURCE[0]%.sh}.d"/*; do
  [[ -f $drop_in ]] || continue
  if [[ ! -x $drop_in ]]; then
    printf '::warning::the drop-in %s must be executable, it is not: left out\n' "$drop_in"
    continue
  fi
  printf 'drop-in %s\n' "${drop_in##*/}"
  "$drop_in" </dev/null
  code=$?
  ((code == 0)) && continue
  printf '::error::the drop-in %s ended with %d\n' "$drop_in" "$code"
  failed=1
  [[ ${BASH_SOURCE[0]##*/} == job-started.sh ]] && break
done
exit "$failed"
