#!/bin/bash
#
# start-runner.sh: the first process of a task. It turns one claim into one GitHub Actions runner, lets that runner
# take one job, and ends with an exit code that says what happened.
#
# It runs as root and starts the runner as the user `runner`. Started by anybody but root (a developer's machine) both
# run as whoever started it. It needs bash 5, curl 7.88 (the oldest known to sign every header), coreutils, tar and
# gzip, and nothing else: an image somebody brings along may lack the rest.
#
#   supervisor ──┬─ prepare_runner: reads the claim, installs the right version, registers. Holds the token. Ends.
#   (no secret)  └─ Runner.Listener ── Runner.Worker ── the job's steps
#
# What keeps a job from our secrets: everything secret is held by the child that prepares the runner, and that child
# has ended before the runner may take a job. The supervisor reads its environment from a pipe, so that even
# /proc/1/environ is empty, and gives the runner a list of variables, not what it happened to be started with.
#
# Exit codes, the same as functions/contracts/with-tasks/exit-code.ts. Others are passed on: 137 is a runner out of memory.
#    0  ran-a-job                   a job ran to its end, whatever its result
#   64  idle                        no job came within the claim's idle-seconds
#   65  no-claim                    the claim is used, revoked, expired or garbled; or none was named
#   66  registration-refused        GitHub refused for good: bad token, no such runner group
#   67  github-unreachable          GitHub could not be reached, or only answered "later", for too long
#   68  version-deprecated          GitHub takes no runner of this version any more
#   69  interrupted-before-a-job    SIGTERM while no job was running
#   70  interrupted-in-a-job        SIGTERM, or the runner's own end, in the middle of a job
#   71  over-max-hours              the job ran for longer than the claim's max-seconds
#   72  no-claim-server             metadata, credentials or the claim's table gave no answer, or refused the signature
#   73  ended-without-a-job         the runner ended by itself: registration deleted, session conflict
#   74  broken-image                no runner, no user to run it as, no room on the disk, or a library is missing
#
# Environment read:
#   CLAIM_ID, CLAIMS_TABLE, AWS_REGION                                    which claim
#   ECS_CONTAINER_METADATA_URI_V4, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI   given by ECS
#   AWS_ENDPOINT_URL_DYNAMODB   default https://dynamodb.$AWS_REGION.amazonaws.com
#   RUNNER_HOME                 where actions/runner is unpacked, also the job's HOME; default /home/runner
#   RUNNER_UID                  the user root hands over to; default 1001
#   RUNNER_ALLOW_RUNASROOT      actions/runner's own variable: set, root stays root
#   JOB_ENVIRONMENT_NAMES       what jobs see beyond job_variables below: names or PREFIX_*, separated by commas
#   TASK_ROLE_FOR_JOBS          1 where the operator chose the task's role for its jobs: then they may ask for it
#   DOCKER_EXTERNALS            where the Docker daemon beside the runner looks for the runner's externals, if there is one
# Bounds, in seconds; a test shortens them:
#   METADATA_SECONDS 15, CLAIM_SECONDS 15, DOWNLOAD_SECONDS 120, REGISTRATION_SECONDS 180
#   STOP_SECONDS 110 (ECS kills 120 after its SIGTERM), QUIET_SECONDS 3, RESTART_SECONDS 5, UPDATE_SECONDS 30
#   LINGER_SECONDS 60 (for the runner to end after its job)
#   MARGIN_SECONDS 30 (on top of the first line's sum, before a registration that hangs is ended)
#   RESTARTS 5 (times, not seconds)

# First of all, this process is replaced by one whose environment is empty; what it was started with waits in a pipe, on
# fd 3. It comes first because to set a variable that was exported changes what is handed on. A SIGTERM meanwhile is kept
# in mind; the kernel drops one that comes in the few milliseconds in which bash itself starts, as PID 1 has no trap then.
trap 'start_runner_interrupted=yes' TERM INT HUP
if [[ ${1-} != supervise ]]; then
  exec -c "$BASH" "$0" supervise "${start_runner_interrupted-}" 3< <(exec env -0)
fi

# No `set -e`: what fails here is expected to, and every place says what follows from it.
set -uo pipefail

# What a job finds in its environment, when the task has it. What is secret or ours is not on the list, and cannot be
# put on it by JOB_ENVIRONMENT_NAMES.
job_variables='PATH LANG LC_ALL LC_CTYPE TZ ImageOS ImageVersion DOCKER_HOST AGENT_TOOLSDIRECTORY
  RUNNER_* ACTIONS_RUNNER_* DOTNET_SYSTEM_GLOBALIZATION_INVARIANT SSL_CERT_FILE SSL_CERT_DIR NODE_EXTRA_CA_CERTS
  http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY'
role_variables='AWS_REGION AWS_DEFAULT_REGION AWS_CONTAINER_CREDENTIALS_RELATIVE_URI AWS_CONTAINER_CREDENTIALS_FULL_URI'
never_for_jobs='CLAIM_ID CLAIMS_TABLE AWS_CONTAINER_* AWS_ENDPOINT_* ECS_* ACTIONS_RUNNER_INPUT_* JOB_ENVIRONMENT_NAMES'
# The part of them that curl and config.sh need too.
own_variables='PATH LANG SSL_CERT_FILE SSL_CERT_DIR http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY'

# --- saying and ending -------------------------------------------------------------------------------------------

say() { printf 'start-runner: %s\n' "$*"; }

# finish CODE SENTENCE: the one way out, in the supervisor and in the child.
finish() {
  local code=$1
  shift
  say "$* (exit $code)"
  exit "$code"
}

# Sets `now`, in milliseconds. Not the wall clock, which may be set while we wait.
read_clock() {
  local up
  read -r up _ </proc/uptime
  now=${up/./}0
}

# to_seconds MS: sets `seconds`, as sleep and read want it.
to_seconds() { printf -v seconds '%d.%03d' $(($1 / 1000)) $(($1 % 1000)); }

# --- the environment ---------------------------------------------------------------------------------------------

# Fills `given`, name to value. Names no shell could hold are dropped.
read_environment() {
  local entry fd
  declare -gA given=()
  while IFS= read -r -d '' entry; do
    [[ $entry =~ ^[A-Za-z_][A-Za-z0-9_]*= ]] && given[${entry%%=*}]=${entry#*=}
  done <&3
  exec 3<&-
  # Where the pipe came from is another number. 255 is bash's own, for this script.
  for fd in "/proc/$$/fd/"*; do
    fd=${fd##*/}
    ((fd > 2 && fd != 255)) && exec {fd}<&-
  done
  : "${given[PATH]=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}"
}

# matches NAME PATTERNS: is the name one of these, or does it begin as one that ends in `*`?
matches() {
  local name=$1 pattern patterns
  read -ra patterns -d '' <<<"${2//,/ }"
  for pattern in "${patterns[@]}"; do
    # shellcheck disable=SC2053 # the right side is a pattern on purpose
    [[ $name == $pattern ]] && return 0
  done
  return 1
}

# The job's variables become a list for `env`, not variables of this shell: a profile may well call one of them `name`.
choose_environment() {
  local name
  export HOME=$runner_home USER=runner
  job_environment=("HOME=$HOME" "USER=$USER")
  for name in "${!given[@]}"; do
    matches "$name" "$own_variables" && export "$name=${given[$name]}"
    matches "$name" 'HOME USER' && continue
    if [[ ${given[TASK_ROLE_FOR_JOBS]-} == 1 ]] && matches "$name" "$role_variables"; then
      job_environment+=("$name=${given[$name]}")
      continue
    fi
    matches "$name" "$never_for_jobs" && continue
    matches "$name" "$job_variables ${given[JOB_ENVIRONMENT_NAMES]-}" && job_environment+=("$name=${given[$name]}")
  done
  # A version too old then ends with 7 instead of the 1 it shares with everything else.
  job_environment+=(ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE=1)
  [[ ${given[RUNNER_ALLOW_RUNASROOT]-} ]] && export RUNNER_ALLOW_RUNASROOT=1
}

read_settings() {
  runner_home=${given[RUNNER_HOME]-/home/runner}
  runner_uid=${given[RUNNER_UID]-1001}
  metadata_seconds=${given[METADATA_SECONDS]-15}
  claim_seconds=${given[CLAIM_SECONDS]-15}
  download_seconds=${given[DOWNLOAD_SECONDS]-120}
  registration_seconds=${given[REGISTRATION_SECONDS]-180}
  stop_seconds=${given[STOP_SECONDS]-110}
  quiet_seconds=${given[QUIET_SECONDS]-3}
  restart_seconds=${given[RESTART_SECONDS]-5}
  margin_seconds=${given[MARGIN_SECONDS]-30}
  update_seconds=${given[UPDATE_SECONDS]-30}
  linger_seconds=${given[LINGER_SECONDS]-60}
  restarts_left=${given[RESTARTS]-5}
}

check_image() {
  local file
  cd "$runner_home" 2>/dev/null || finish 74 "the runner must be in $runner_home, which is no directory"
  for file in config.sh bin/Runner.Listener; do
    [[ -x $file ]] || finish 74 "$runner_home/$file must be a program, there is none"
  done
  type -P curl >/dev/null || finish 74 'the image must have curl, there is none'
}

# Sets `as_runner`, what goes before a command to run it as the runner's user. chroot is the one program of coreutils
# that changes user and groups; it changes no root here.
choose_user() {
  as_runner=()
  [[ $EUID != 0 || ${given[RUNNER_ALLOW_RUNASROOT]-} ]] && return
  as_runner=(chroot --userspec="$runner_uid" --skip-chdir /)
  "${as_runner[@]}" test -d / 2>/dev/null ||
    finish 74 "a user with uid $runner_uid must be there, there is none (RUNNER_ALLOW_RUNASROOT=1 stays root)"
  "${as_runner[@]}" test -w "$runner_home" 2>/dev/null ||
    finish 74 "uid $runner_uid must be able to write $runner_home, it cannot"
}

# --- the child: claim, version, registration -------------------------------------------------------------------------

# json_string KEY TEXT: prints the first string of that key. Enough for what we read: flat, machine-made answers.
json_string() {
  [[ $2 =~ \"$1\"[[:space:]]*:[[:space:]]*\"([^\"]*)\" ]] && printf '%s' "${BASH_REMATCH[1]//\\\//\/}"
}

# quote TEXT: as a value in curl's config file, which comes by stdin: a command line can be read by anybody.
quote() {
  local text=${1//\\/\\\\}
  printf '"%s"' "${text//\"/\\\"}"
}

# fetch URL: prints the answer of an address inside the task, asked again until it comes or the time is over.
fetch() {
  local body end
  read_clock
  end=$((now + metadata_seconds * 1000))
  until body=$(curl -q --silent --fail --noproxy '*' --connect-timeout 2 --max-time 5 --config - <<<"url = $(quote "$1")"); do
    read_clock
    ((now < end)) || return 1
    sleep 0.3
  done
  printf '%s' "$body"
}

# What is known about the task goes to the log, and to the file whose content the runner shows in "Set up job".
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html
describe_task() {
  local metadata task container arn family size detail
  [[ ${given[ECS_CONTAINER_METADATA_URI_V4]-} ]] || finish 72 'ECS_CONTAINER_METADATA_URI_V4 must be set, it is not'
  metadata=$(fetch "${given[ECS_CONTAINER_METADATA_URI_V4]}/task") || finish 72 'the task metadata gave no answer'
  # What is said of the task comes before what is said of its containers, in much the same words.
  task=${metadata%%\"Containers\"*}
  [[ $task == *TaskARN* ]] || task=$metadata
  container=$metadata
  [[ $metadata =~ \"Name\"[[:space:]]*:[[:space:]]*\"runner\"(.*) ]] && container=${BASH_REMATCH[1]}
  arn=$(json_string TaskARN "$task")
  # <stack>_<profile>
  family=$(json_string Family "$task")
  detail="Task: $arn|Profile: ${family#*_}"
  size='\"CPU\"[[:space:]]*:[[:space:]]*([0-9.]+),[[:space:]]*\"Memory\"[[:space:]]*:[[:space:]]*([0-9]+)'
  [[ $task =~ $size ]] && detail+="|Size: ${BASH_REMATCH[1]} vCPU, ${BASH_REMATCH[2]} MiB"
  detail+="|Image: $(json_string Image "$container")|Image id: $(json_string ImageID "$container")"
  detail=${detail//\\/}
  say "task ${arn:-unknown}"
  # A full disk is found out where it matters.
  printf '[{"group":"Task","detail":"%s"}]\n' "${detail//|/\\n}" 2>/dev/null >.setup_info
}

read_credentials() {
  local url answer
  if [[ ${given[AWS_CONTAINER_CREDENTIALS_RELATIVE_URI]-} ]]; then
    url=http://169.254.170.2${given[AWS_CONTAINER_CREDENTIALS_RELATIVE_URI]}
  else
    url=${given[AWS_CONTAINER_CREDENTIALS_FULL_URI]-}
  fi
  [[ $url ]] || finish 72 'the task must have a role, it has none'
  answer=$(fetch "$url") || finish 72 'the task role gave no credentials'
  access_key=$(json_string AccessKeyId "$answer")
  secret_key=$(json_string SecretAccessKey "$answer")
  session_token=$(json_string Token "$answer")
  [[ $access_key && $secret_key ]] || finish 72 'the task role gave no credentials'
}

# delete_claim: prints the answer's body, then a line "<status> <seconds until the request could be sent> <the answer's date>".
delete_claim() {
  local endpoint=${given[AWS_ENDPOINT_URL_DYNAMODB]-} region=${given[AWS_REGION]} request
  request='{"TableName":"'${given[CLAIMS_TABLE]}'","Key":{"id":{"S":"claim#'${given[CLAIM_ID]}'"}},'
  request+='"ConditionExpression":"attribute_exists(id) AND expiresAt > :now",'
  request+='"ExpressionAttributeValues":{":now":{"N":"'$EPOCHSECONDS'"}},"ReturnValues":"ALL_OLD"}'
  curl -q --silent --connect-timeout 3 --max-time "$(((claim_seconds + 2) / 3))" \
    --write-out '\n%{http_code} %{time_pretransfer} %header{date}' \
    --aws-sigv4 "aws:amz:$region:dynamodb" --config - <<-CONFIG
		url = $(quote "${endpoint:-https://dynamodb.$region.amazonaws.com}/")
		user = $(quote "$access_key:$secret_key")
		${session_token:+header = $(quote "X-Amz-Security-Token: $session_token")}
		header = "X-Amz-Target: DynamoDB_20120810.DeleteItem"
		header = "Content-Type: application/x-amz-json-1.0"
		data = $(quote "$request")
	CONFIG
}

# The claim is read by deleting it, so whoever comes second finds none. What may pass is asked again. A request that got
# no answer may have taken the claim all the same: then "no claim" leaves open whose fault it is, and is not said.
take_claim() {
  local answer status sent date failed reason end seconds doubt='' wait_ms=200
  read_clock
  end=$((now + claim_seconds * 1000))
  while :; do
    answer=$(delete_claim)
    failed=$?
    read -r status sent date <<<"${answer##*$'\n'}"
    answer=${answer%$'\n'*}
    if ((failed)); then
      reason='gave no answer'
      [[ $sent == 0.000000 ]] || doubt=yes
    else
      reason="answered $status"
      case $status in
        200)
          decode_claim "$(json_string S "${answer#*\"body\"}")"
          return
          ;;
        5??) doubt=yes ;;
        400) judge_refusal "$(json_string __type "$answer")" ;;
        *) finish 72 "the claims table $reason" ;;
      esac
    fi
    read_clock
    ((now + wait_ms < end)) || finish 72 "the claims table $reason, asked for $claim_seconds s"
    to_seconds $((wait_ms / 2 + RANDOM % (wait_ms / 2)))
    sleep "$seconds"
    wait_ms=$((wait_ms * 2 > 1000 ? 1000 : wait_ms * 2))
  done
}

# judge_refusal TYPE: returns where it may pass. The variables are take_claim's.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
judge_refusal() {
  case ${1#*#} in
    ConditionalCheckFailedException)
      [[ $doubt ]] && finish 72 'the claim is gone, perhaps by a request of ours that got no answer'
      finish 65 'the claim is used, revoked or expired'
      ;;
    ThrottlingException | ProvisionedThroughputExceededException | RequestLimitExceeded) reason="answered ${1#*#}" ;;
    *) finish 72 "the claims table refused the request: ${1#*#}$(describe_skew "$date")" ;;
  esac
}

# describe_skew DATE: says if the clock differs so much from an answer's date that signatures are refused: five minutes.
describe_skew() {
  local theirs off
  [[ $1 ]] && theirs=$(date --date="${1%$'\r'}" +%s 2>/dev/null) || return
  off=$((EPOCHSECONDS - theirs))
  ((off > 240 || off < -240)) && printf '; the clock is off by %d s' "$off"
}

# decode_claim BASE64: fills `claim`; see functions/contracts/with-tasks/claim.ts.
decode_claim() {
  local key value
  declare -gA claim=()
  while IFS=' ' read -r key value; do
    [[ $key ]] && claim[$key]=$value
  done < <(base64 --decode <<<"$1" 2>/dev/null)
  for key in url token name idle-seconds max-seconds; do
    [[ ${claim[$key]-} ]] || finish 65 "the claim must have a line \"$key\", it has none"
  done
  for key in idle-seconds max-seconds; do
    [[ ${claim[$key]} =~ ^[0-9]{1,7}$ ]] || finish 65 "the claim's $key must be a whole number, got \"${claim[$key]}\""
    claim[$key]=$((10#${claim[$key]}))
  done
}

# begin_version DIRECTORY asks the runner there for its version, which takes .NET a moment. end_version sets `found`, the
# answer; nothing when none came in 20 s.
begin_version() { exec {version_output}< <("${as_runner[@]}" "$1/bin/Runner.Listener" --version 2>/dev/null 4>&-); }

end_version() {
  found=''
  read -r -t 20 found <&"$version_output"
  exec {version_output}<&-
}

# at_least INSTALLED WANTED: compares versions of numbers and dots.
at_least() {
  local -a have want
  local part
  [[ $1 =~ ^[0-9.]+$ ]] || return 1
  IFS=. read -ra have <<<"$1"
  IFS=. read -ra want <<<"$2"
  for part in 0 1 2; do
    ((10#0${have[part]-} > 10#0${want[part]-})) && return 0
    ((10#0${have[part]-} < 10#0${want[part]-})) && return 1
  done
  return 0
}

# GitHub takes no jobs for old runners, and the runner's own update is off, since it comes when a job is waiting. So the
# version is put right here, once, before registering. In any doubt the installed one goes on: it most likely works.
install_version() {
  local wanted=${claim[version]-}
  if [[ ! $wanted =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]]; then
    say "runner ${installed:-of unknown version}: the claim names no version"
  elif at_least "$installed" "$wanted"; then
    say "runner $installed"
  elif replace_version "$wanted"; then
    say "runner $wanted, downloaded: the image has ${installed:-an unknown version}"
  else
    say "runner ${installed:-of unknown version} instead of $wanted: $doubt"
  fi
  rm -rf .next .previous
}

# replace_version WANTED: or says in `doubt` why not, with everything as it was.
replace_version() {
  local archive=.next/runner.tar.gz entry old found
  local -a moved=()
  doubt='no room to unpack it'
  "${as_runner[@]}" mkdir .next || return 1
  doubt='the download failed'
  "${as_runner[@]}" curl -q --silent --fail --location --proto '=https,http' --connect-timeout 10 \
    --max-time "$download_seconds" --output "$archive" -- "${claim[download]-}" || return 1
  doubt='the download has the wrong checksum'
  sha256sum --check --status <<<"${claim[sha256]-}  $archive" || return 1
  doubt='the download could not be unpacked'
  "${as_runner[@]}" tar -xzf "$archive" -C .next && rm -f "$archive" || return 1
  doubt='the download is no runner of that version'
  begin_version .next
  end_version
  [[ -x .next/config.sh && $found == "$1" ]] || return 1
  doubt='the download could not be put in its place'
  mkdir .previous || return 1
  for entry in .next/*; do
    entry=${entry##*/}
    if swap_in "$entry"; then continue; fi
    # What was moved away whole is taken back. A move that broke off has left its source: layers of an image are copied.
    for old in "${moved[@]}"; do rm -rf "$old" && mv ".previous/$old" .; done
    return 1
  done
} 2>/dev/null

# swap_in ENTRY: puts one of .next in its place; `moved` is replace_version's.
swap_in() {
  if [[ -e $1 ]]; then
    mv "$1" .previous/ || return
    moved+=("$1")
  fi
  mv ".next/$1" "$1"
}

# Registers, and tries again for as long as GitHub only says "later". The token is in config.sh's environment, never
# among its arguments.
register() {
  local -a options
  local output status verdict reason end seconds wait_ms=1000
  options=(--unattended --ephemeral --disableupdate --replace --url "${claim[url]}" --name "${claim[name]}" --work _work)
  [[ ${claim[labels]-} ]] && options+=(--labels "${claim[labels]}" --no-default-labels)
  [[ ${claim[group]-} ]] && options+=(--runnergroup "${claim[group]}")
  read_clock
  end=$((now + registration_seconds * 1000))
  while :; do
    # An attempt that failed half-way leaves files that make the next one say "already configured".
    rm -f .runner .credentials .credentials_rsaparams
    output=$(ACTIONS_RUNNER_INPUT_TOKEN=${claim[token]} "${as_runner[@]}" ./config.sh "${options[@]}" 2>&1 </dev/null 4>&-)
    status=$?
    ((status == 0)) && return
    judge_registration "$status" "${output//"${claim[token]}"/***}"
    # The supervisor says so.
    ((status > 128 && status < 160)) && [[ $verdict == later ]] && exit "$status"
    case $verdict in
      deprecated) finish 68 "GitHub takes no runner of this version: $reason" ;;
      refused) finish 66 "registration refused: $reason" ;;
      broken) finish 74 "config.sh cannot run: $reason" ;;
    esac
    read_clock
    # Jitter: a thousand tasks that were told "later" together must not come back together.
    wait_ms=$((wait_ms * 2 > 20000 ? 20000 : wait_ms * 2))
    wait_ms=$((wait_ms / 2 + RANDOM % (wait_ms / 2)))
    ((now + wait_ms < end)) || finish 67 "registration failed for $registration_seconds s: $reason"
    say "registration will be tried again: $reason"
    to_seconds "$wait_ms"
    sleep "$seconds"
  done
}

# judge_registration STATUS OUTPUT: sets `verdict` and `reason`. config.sh ends with 1 whatever GitHub said, so its words
# decide, line by line, as an error's text is GitHub's: first the runner's own sentences, then the last "Http response
# code" it printed, being .NET's name of the status.
# shellcheck disable=SC2034 # both belong to the caller
judge_registration() {
  local line last='' answered=''
  verdict=later
  reason=''
  while IFS= read -r line; do
    [[ $line == *[![:space:]]* ]] || continue
    last=${line:0:300}
    case $line in
      *'Must not run with sudo'* | *'ependencies is missing'* | 'Can not find '* | *'A fatal error occurred'* | \
        *'valid ICU package'* | *'No space left on device'* | *'Access to the path'*'denied'*) verdict=broken ;;
      *'ould not find any self-hosted runner group'* | *'runner exists with the same name'*) verdict=refused ;;
      *'esponse code: '*) answered=$last && continue ;;
      *unner*ersion*'deprecated'* | *ersion*unner*'no longer supported'* | *unner*ersion*'no longer supported'* | \
        *unner*ersion*'too old'* | *inimum*unner*ersion*) verdict=deprecated ;;
      *) continue ;;
    esac
    reason=$last
    [[ $verdict == deprecated ]] || return
  done <<<"$2"
  if (($1 == 126 || $1 == 127)); then
    verdict=broken
  elif [[ $answered =~ 'code: '(NotFound|Unauthorized|UnprocessableEntity|Conflict|BadRequest)' ' && $verdict == later ]]; then
    verdict=refused
  elif [[ $answered =~ 'code: '(InternalServerError|BadGateway|ServiceUnavailable|GatewayTimeout|TooManyRequests)' ' ]]; then
    # An error page may say anything.
    verdict=later reason=''
  fi
  : "${reason:=${answered:-$last}}"
}

# With a Docker daemon beside it, some of the runner's directories are volumes, since the daemon looks for what it mounts
# into job containers at the same path in a file system of its own. They come empty, and root's. See docs/docker.md.
share_with_docker() {
  local externals=${given[DOCKER_EXTERNALS]-} cli=/usr/local/libexec/docker/docker
  # Whoever is not root is on a developer's machine.
  [[ $externals && $EUID == 0 ]] || return 0
  chown "$runner_uid:$runner_uid" _work /opt/hostedtoolcache &&
    chmod 1777 /tmp &&
    { [[ ! -x $cli ]] || type -P docker >/dev/null || ln -s "$cli" /usr/local/bin/docker; } &&
    cp --archive externals/. "$externals"
}

# The child's whole life. What the supervisor needs to know, none of it secret, goes back by fd 4.
prepare_runner() {
  local version_output found installed doubt sharing=''
  [[ ${given[CLAIM_ID]-} =~ ^[A-Za-z0-9._-]{1,200}$ ]] || finish 65 'CLAIM_ID must name a claim'
  [[ ${given[AWS_REGION]-} && ${given[CLAIMS_TABLE]-} ]] || finish 72 'AWS_REGION and CLAIMS_TABLE must be set'
  # Answered while we ask for the claim.
  begin_version .
  describe_task
  read_credentials
  take_claim
  say "claim for runner ${claim[name]} at ${claim[url]}"
  end_version
  installed=$found
  install_version
  if [[ ${given[DOCKER_EXTERNALS]-} ]]; then
    share_with_docker 4>&- &
    sharing=$!
  fi
  register
  [[ ! $sharing ]] || wait "$sharing" || finish 74 'the directories that the runner shares with Docker could not be prepared'
  say "registered ${claim[name]} with labels ${claim[labels]-}"
  printf '%s %s\n' "${claim[idle-seconds]}" "${claim[max-seconds]}" >&4
}

# --- the supervisor --------------------------------------------------------------------------------------------------

# Sets `pipe_out` and `pipe_in`, the ends of a new pipe.
open_pipe() {
  local both
  exec {both}<> <(:)
  # shellcheck disable=SC2094 # a pipe, not a file
  exec {pipe_out}</proc/self/fd/"$both" {pipe_in}>/proc/self/fd/"$both" {both}>&-
}

# Set by the trap: why we stop (interrupted, idle, over-max), and when we stop asking and kill.
stopping=''
kill_at=''
phase=starting
child=''
listener=''
job=no # then running, then completed

# shellcheck disable=SC2317 # called by the trap
# SIGTERM: ECS stops the task, a Spot task is taken away. A second one changes nothing.
interrupt() {
  [[ $stopping || $phase == after ]] && return
  say "SIGTERM while $phase: passing it on"
  stop_runner interrupted
}

# stop_runner WHY: asks whatever runs to end. SIGINT to the whole group is what actions/runner's run.sh does too
# (RUNNER_MANUALLY_TRAP_SIG): GitHub learns within seconds, instead of after the 20 minutes it waits for a lost runner.
# The trap runs it in the middle of a `read`, which knows no other `read` inside it: so keep_time looks at the clock.
stop_runner() {
  stopping=$1
  [[ $child ]] && kill -KILL -- "-$child" 2>/dev/null
  [[ $listener ]] && kill -INT -- "-$listener" 2>/dev/null
}

# doze SECONDS: a sleep without a process. Nobody writes to the lifeline; if somebody does, we wake up.
doze() { read -r -t "$1" <&"$lifeline"; }

# reap PID: its exit status, also when a signal to us cuts the waiting short. Not by `wait -f`: when the job ends just as bash
# begins to wait for it, bash 5.2 forgets the job and then looks for it for ever. Asked once more, it knows the status.
reap() {
  local status
  while wait "$1" 2>/dev/null; status=$?; [[ $status -gt 128 && -e /proc/$1 ]]; do :; done
  ((status == 127)) && { wait "$1" 2>/dev/null; status=$?; }
  return "$status"
}

# Runs the child to its end; then idle_seconds and max_seconds are known, or we are gone.
await_registration() {
  local from_child status budget end
  budget=$((metadata_seconds * 2 + claim_seconds + download_seconds + registration_seconds + margin_seconds))
  phase=registering
  open_pipe
  from_child=$pipe_out
  prepare_runner 4>&"$pipe_in" </dev/null &
  child=$!
  exec {pipe_in}>&-
  unset given
  # A trap that ran before `child` was set has killed nobody.
  [[ $stopping ]] && kill -KILL -- "-$child" 2>/dev/null
  idle_seconds='' max_seconds=''
  read_clock
  end=$((now + budget * 1000))
  # Without its errors: bash has a line of its own to say of a child that is killed.
  {
    while [[ -e /proc/$child ]]; do
      # Its last word, or its end, or something it has left behind that keeps its pipe open.
      if [[ $idle_seconds ]] || ! read -r -t 1 idle_seconds max_seconds <&"$from_child"; then doze 0.005; fi
      read_clock
      ((now < end)) && continue
      kill -KILL -- "-$child"
      finish 67 "registration hangs, ended after $budget s"
    done
    reap "$child"
    status=$?
  } 2>/dev/null
  kill -KILL -- "-$child" 2>/dev/null
  child=''
  exec {from_child}<&-
  # Whatever it ended with by itself, it said why.
  ((status > 0 && status < 128)) && exit "$status"
  [[ $stopping ]] && finish 69 'interrupted before the runner was registered'
  ((status == 0)) || finish "$status" "killed by signal $((status - 128)) before the runner was registered"
}

start_listener() {
  open_pipe
  runner_output=$pipe_out
  "${as_runner[@]}" env -i "${job_environment[@]}" ./bin/Runner.Listener run \
    </dev/null >&"$pipe_in" 2>&1 {pipe_in}>&- {runner_output}<&- {lifeline}<&- &
  listener=$!
  exec {pipe_in}>&-
  [[ $stopping ]] && kill -INT -- "-$listener" 2>/dev/null
}

# read_line SECONDS: sets `line` to what the runner printed, whole lines only, or what a pipe holds where no line ends.
# Fails with 1 when nothing will come any more, above 128 when nothing came in time.
pipe_holds=65536
partial=''
read_line() {
  local status
  IFS= read -r -t "$1" line <&"$runner_output"
  status=$?
  partial+=$line
  line=''
  ((status == 0 || ${#partial} > pipe_holds)) || return "$status"
  line=$partial
  partial=''
}

# note_line: the runner's words are passed on, and tell us how far it is. A job may be called anything, so they count
# only at the beginning of a line, after its time.
said='^([^[:alpha:]]|[TZm])*(Running job: |Listening for Jobs|Job .* completed with result: ([[:alpha:]]+))'
note_line() {
  printf '%s\n' "$line"
  if [[ $line =~ $said ]]; then
    case ${BASH_REMATCH[2]} in
      'Listening for Jobs') listening=yes ;;
      'Running job: ') note_job ;;
      # Once we are stopping it, only its own success shows that the job was not cut short.
      *) [[ ! $stopping || ${BASH_REMATCH[3]} == Succeeded ]] && note_completion ;;
    esac
  elif [[ $line == *'is deprecated and cannot receive messages'* ]]; then
    deprecated=yes
  elif [[ $listening == no && $line == *'A fatal error occurred'* ]]; then
    broken=yes
  fi
}

note_job() {
  [[ $job == no ]] || return
  job=running
  phase='in a job'
  read_clock
  job_end=$((now + max_seconds * 1000))
}

note_completion() {
  job=completed
  read_clock
  linger_end=$((now + linger_seconds * 1000))
}

# Reads what is there already, however long ago it came: we may have been kept from the processor. No more than a pipe
# holds, for something that the job started may write for ever.
note_waiting_lines() {
  local left=$pipe_holds before status
  while ((left > 0)) && read -r -t 0 <&"$runner_output"; do
    before=${#partial}
    read_line 0.02
    status=$?
    left=$((left - ${#line} - ${#partial} + before - 1))
    ((status == 0)) && note_line
    ((status == 1)) && return
  done
}

# Is there a worker in the runner's process group? The listener starts one for each job and never otherwise.
find_worker() {
  local stat fields
  for stat in /proc/[0-9]*/stat; do
    { read -r fields <"$stat"; } 2>/dev/null || continue
    [[ $fields == *'(Runner.Worker)'* ]] || continue
    read -r _ _ fields _ <<<"${fields##*) }"
    [[ $fields == "$listener" ]] && return 0
  done
  return 1
}

# Did the listener write to its diagnostic log a moment ago? Then it may be acquiring a job that is not running yet.
is_talking() {
  local log newest=0 written
  ((quiet_seconds > 0)) || return 1
  for log in _diag/Runner_*.log; do
    written=$(stat --format=%Y "$log" 2>/dev/null) && ((written > newest)) && newest=$written
  done
  ((EPOCHSECONDS - newest <= quiet_seconds))
}

# A job may be assigned in the very instant we lose patience. So the listener is held first, and nothing can begin
# between the last look and its end. What GitHub assigned but a held listener has not taken goes to another runner.
end_if_idle() {
  kill -STOP -- "-$listener" 2>/dev/null
  # Its last words may be on their way.
  doze 0.2
  note_waiting_lines
  [[ $job == no ]] && find_worker && note_job
  if [[ $job != no ]]; then
    say 'a job came at the last moment: going on'
  elif ((now < patience_end)) && is_talking; then
    idle_end=$((now + 1000))
  else
    say "no job within $idle_seconds s: ending the runner"
    stop_runner idle
  fi
  kill -CONT -- "-$listener" 2>/dev/null
}

# Sets `seconds`, how long we may sleep until the next thing is due. Never long: a daemon that keeps the runner's
# output open hides the runner's end, which is then seen on waking up.
choose_sleep() {
  local due=$((now + 1000)) next=''
  if [[ $stopping ]]; then
    next=${kill_at:-$now}
  elif [[ $job == running ]]; then
    next=$job_end
  elif [[ $job == completed ]]; then
    next=$linger_end
  else
    next=$idle_end
  fi
  [[ $next ]] && ((next < due)) && due=$next
  ((due > now)) || due=$((now + 10))
  to_seconds $((due - now))
}

keep_time() {
  read_clock
  if [[ $stopping ]]; then
    : "${kill_at:=$((now + stop_seconds * 1000))}"
    ((now >= kill_at)) && kill -KILL -- "-$listener" 2>/dev/null
  elif [[ $job == running ]]; then
    ((now >= job_end)) && say "the job runs for more than $max_seconds s: ending it" && stop_runner over-max
  elif [[ $job == completed ]]; then
    ((now >= linger_end)) && say 'the runner hangs after its job: ending it' && kill -KILL -- "-$listener" 2>/dev/null
  else
    ((now >= idle_end)) && end_if_idle
  fi
}

# Follows one listener to its end, which it returns. One that has closed its output may still live.
watch_listener() {
  local line seconds silent=''
  phase='waiting for a job'
  while [[ -e /proc/$listener ]]; do
    if [[ $silent ]]; then
      doze 0.02
    else
      choose_sleep
      read_line "$seconds"
      case $? in
        0) note_line ;;
        1) silent=yes ;;
      esac
    fi
    keep_time
  done
  [[ $silent ]] || note_waiting_lines
  [[ $partial ]] && line=$partial && partial='' && note_line
  exec {runner_output}<&-
  reap "$listener"
}

# The runner asks to be started again with 2 (GitHub cannot be reached) and with 3 and 4 (it updates itself, which we
# forbid). run.sh would do so for ever; a task must end. Never after a job: an ephemeral runner has only one.
may_restart() {
  [[ $1 =~ ^[234]$ && $job == no && ! $stopping ]] && ((restarts_left-- > 0))
}

await_update() {
  local tries
  for ((tries = 0; tries < update_seconds && ${#stopping} == 0; tries++)); do
    [[ -e update.finished ]] && rm -f update.finished && return
    pause 1
  done
}

# pause SECONDS: a sleep that a SIGTERM ends.
pause() {
  local sleeper
  sleep "$1" &
  sleeper=$!
  wait "$sleeper"
  kill "$sleeper"
} 2>/dev/null

run_listener() {
  local status
  read_clock
  idle_end=$((now + idle_seconds * 1000))
  patience_end=$((idle_end + 30000))
  listening=no deprecated=no broken=no
  while :; do
    start_listener
    # Again without what bash says of the killed.
    watch_listener 2>/dev/null
    status=$?
    may_restart "$status" || break
    say "the runner ended with $status: starting it again"
    if [[ $status == 2 ]]; then pause "$restart_seconds"; else await_update; fi
    [[ $stopping ]] && break
  done
  phase=after
  end_leftovers
  decide_exit "$status"
}

# Everything a job left behind has inherited the lifeline's writing end, unless it took pains to close it, and whatever
# session it hides in. Where we are the container's first process, the kernel does this when we end.
end_leftovers() {
  local process round held_as=$lifeline_end
  (($$ == 1)) && return
  kill -KILL -- "-$listener" 2>/dev/null
  exec {lifeline_end}>&-
  for round in {1..20}; do
    read -r -t 0.02 <&"$lifeline"
    (($? == 1)) && return
    ((round == 1)) && continue # the killed need a moment to be gone
    for process in /proc/[0-9]*; do
      [[ $process/fd/$held_as -ef /proc/self/fd/$lifeline ]] && kill -KILL "${process##*/}" 2>/dev/null
    done
  done
  say 'something the job started could not be ended'
}

# What the end means: first what we did, then what the runner said, then its exit code.
decide_exit() {
  local status=$1
  [[ $job == completed ]] && finish 0 'ran a job'
  case $stopping in
    over-max) finish 71 "ended a job after $max_seconds s" ;;
    interrupted)
      [[ $job == no ]] && finish 69 'interrupted before a job'
      finish 70 'interrupted in a job'
      ;;
    idle)
      [[ $job == running ]] && finish 70 'a job came while the runner was being ended'
      [[ $listening == no ]] && finish 67 "the runner could not reach GitHub within $idle_seconds s"
      finish 64 'ended idle'
      ;;
  esac
  [[ $broken == yes && $job == no ]] && finish 74 "the runner cannot run: .NET ended it with $status"
  ((status > 128 && status < 160)) && finish "$status" "the runner was killed by signal $((status - 128))"
  if [[ $job == running ]]; then
    ((status == 0)) && finish 0 'ran a job'
    finish 70 "the runner ended with $status in the middle of a job"
  fi
  [[ $deprecated == yes ]] && status=7
  case $status in
    0) finish 73 'the runner ended without a job' ;;
    2) finish 67 'the runner could not reach GitHub' ;;
    5) finish 73 'another session of this runner is open' ;;
    7) finish 68 'GitHub takes no runner of this version' ;;
    126 | 127) finish 74 "bin/Runner.Listener cannot be run ($status)" ;;
    *) finish 73 "the runner ended with $status, without a job" ;;
  esac
}

supervise() {
  trap interrupt TERM INT HUP
  [[ ${start_runner_interrupted-} || $1 ]] && interrupt
  read_environment
  read_settings
  choose_environment
  check_image
  choose_user
  # Each background command becomes a process group, and keeps its SIGINT, which bash would otherwise take away.
  set -m
  open_pipe
  lifeline=$pipe_out lifeline_end=$pipe_in
  await_registration
  run_listener
}

supervise "${2-}"
