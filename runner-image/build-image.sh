#!/bin/bash
#
# build-image.sh: builds the runner image of one architecture, tries it, and then moves the tag that tasks use to it.
# CodeBuild runs it (buildspec.yml). It ends with 0 when that tag is moved, and otherwise with 1 and a line that says
# why. Whatever fails before, the tag still points at the image it pointed at.
#
#   build ─► try ─► compress, index ─► push as build-<ARCH>-… ─► pull and try what was pushed ─► move the tags
#
# The image gets the tags <ARCH>-<RUNNER_VERSION>, <ARCH>-source-<SOURCE_HASH>, and <ARCH>, which is what tasks use and
# therefore comes last. If it ends between them, the image in use may have lost one of the others to the new one. Then
# whoever compares them finds that a build is needed.
#
# Environment read:
#   REPOSITORY_URI         the ECR repository, without a tag
#   ARCH                   x64 or arm64; must be this machine's own
#   RUNNER_VERSION         for example 2.336.0
#   RUNNER_URL             where actions-runner-linux-<ARCH>-<RUNNER_VERSION>.tar.gz is
#   RUNNER_SHA256          of that file
#   SOURCE_HASH            of this directory and the choices below; it becomes part of a tag, and the image's revision
#   SUDO, BUILD_TOOLS      yes or no, see the Dockerfile; by default yes and no
#   AWS_REGION             by the AWS CLI
#   CODEBUILD_BUILD_NUMBER tells the builds of a project apart; by default the time does
#   TRY_SECONDS            how long a try of the image may take, and a pull; by default 300
# It needs bash, coreutils, curl, tar, docker with a daemon on this machine, and the AWS CLI 2.

# No `set -e`: every command says what follows when it fails.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
image=runner-image:built
tools=runner-image:tools
try_seconds=${TRY_SECONDS:-300}
: "${SUDO:=yes}" "${BUILD_TOOLS:=no}"

# From this size on, AWS advises to load lazily.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-pull-behavior.html
lazy_from_bytes=250000000

# A release that converts without containerd. We could not download it to compare: the checksums are those that the
# Bazel rules rules_soci pin for it. If they are wrong, images only go without an index.
# https://github.com/awslabs/soci-snapshotter/pull/1881
soci_version=0.14.1
declare -A soci_sha256=(
  [amd64]=1a8dba2a14c1ba8b65e0b935ef697e22eb8324759961a65296e656dd724d9441
  [arm64]=c01ecb402ac7930bcfcf6571f76da541d7054626337d7211dac0b11a9bd05ddc
)

say() { printf 'build-image: %s\n' "$*"; }

fail() {
  say "$*"
  exit 1
}

# must NAME PATTERN MEANING
must() {
  [[ ${!1-} =~ ^($2)$ ]] || fail "$1 must be $3, got \"${!1-}\""
}

check_environment() {
  must REPOSITORY_URI '[^/@]+/[a-z0-9._/-]+' 'an ECR repository without a tag'
  must ARCH 'x64|arm64' 'x64 or arm64'
  must RUNNER_VERSION '[0-9]+\.[0-9]+\.[0-9]+' 'three numbers'
  must RUNNER_URL 'https?://.+' 'an http address'
  must RUNNER_SHA256 '[0-9a-f]{64}' 'a SHA-256 in hex'
  must SUDO 'yes|no' 'yes or no'
  must BUILD_TOOLS 'yes|no' 'yes or no'
  must SOURCE_HASH '[A-Za-z0-9._-]{1,100}' 'of letters, digits, dots and dashes, at most 100'
}

# The password is written to a directory of this build alone, which goes with it.
log_in() {
  local password
  export DOCKER_CONFIG=$work/docker
  password=$(aws ecr get-login-password) || fail 'ECR gave no password'
  docker login --username AWS --password-stdin "${REPOSITORY_URI%%/*}" <<<"$password" || fail 'no login to ECR'
}

build() {
  docker build --pull --tag "$image" \
    --build-arg "RUNNER_VERSION=$RUNNER_VERSION" \
    --build-arg "RUNNER_URL=$RUNNER_URL" \
    --build-arg "RUNNER_SHA256=$RUNNER_SHA256" \
    --build-arg "SUDO=$SUDO" \
    --build-arg "BUILD_TOOLS=$BUILD_TOOLS" \
    --build-arg "BUILD_DATE=$(date --utc +%Y-%m-%dT%H:%M:%SZ)" \
    --build-arg "REVISION=$SOURCE_HASH" \
    "$here"
}

# in_time COMMAND...: one that hangs is killed, so that this build can still clean up before CodeBuild ends it. KILL, as
# docker hands TERM on to the first process of the container, which may ignore it.
in_time() {
  local code
  timeout --signal=KILL "$try_seconds" "$@"
  code=$?
  ((code != 137)) || say "$1 $2 was killed; it may take $try_seconds s"
  return "$code"
}

# try IMAGE: looks at what is in it, then starts it as ECS would, but without a claim: start-runner.sh finds the runner
# and its user, and ends with 65 for want of a claim, 74 if the image is broken.
try() {
  local code
  in_time docker run --rm --network none --volume "$here/smoke-test.sh:/smoke-test.sh:ro" --entrypoint /bin/bash \
    "$1" /smoke-test.sh "$RUNNER_VERSION" "$SUDO" "$BUILD_TOOLS" || return
  in_time docker run --rm --network none "$1"
  code=$?
  ((code == 65)) || { say "started without a claim, the image must end with 65, it ended with $code"; return 1; }
}

# with_tools COMMAND...: runs it in the image that has skopeo, with our directory as /work.
with_tools() { docker run --rm --volume "$work:/work" "$tools" "$@"; }

# compress FORMAT: an OCI layout with layers compressed so, at /work/FORMAT.
compress() {
  with_tools skopeo copy --quiet --dest-compress-format "$1" docker-archive:/work/image.tar "oci:/work/$1"
}

# zstd unpacks fastest on Fargate. A large image is better not pulled whole before it starts: it gets a SOCI index,
# which can do with gzip alone. https://github.com/awslabs/soci-snapshotter/issues/519
# Sets `layout`, what is to be pushed.
choose_layout() {
  local bytes reason
  compress zstd || fail 'the image could not be compressed'
  layout=zstd
  bytes=$(du --bytes --summarize "$work/zstd") || fail 'the size of the image cannot be told'
  bytes=${bytes%%[[:space:]]*}
  if ((bytes < lazy_from_bytes)); then
    say "$((bytes / 1000000)) MB compressed: no SOCI index needed"
  elif index_layers; then
    layout=soci
    say "$((bytes / 1000000)) MB compressed: has a SOCI index"
  else
    say "$((bytes / 1000000)) MB compressed: goes on without a SOCI index, as $reason"
  fi
}

# Makes /work/soci, or says in `reason` why not. It changes nothing else.
index_layers() {
  local machine=${ARCH/x64/amd64} name
  name=soci-snapshotter-$soci_version-linux-$machine.tar.gz
  reason='the soci tool could not be fetched'
  curl --fail --silent --show-error --location --proto '=https' --retry 3 --connect-timeout 10 --max-time 120 \
    --output "$work/$name" "https://github.com/awslabs/soci-snapshotter/releases/download/v$soci_version/$name" ||
    return
  reason='the soci tool has the wrong checksum'
  sha256sum --check --status <<<"${soci_sha256[$machine]}  $work/$name" || return
  reason='the soci tool could not be unpacked'
  mkdir "$work/bin" && tar -xzf "$work/$name" -C "$work/bin" || return
  reason='the layers could not be compressed with gzip'
  compress gzip || return
  reason='the soci tool failed'
  with_tools /work/bin/soci convert --standalone --format oci-dir /work/gzip /work/soci || return
  reason='the soci tool made no image'
  [[ -s $work/soci/index.json ]]
}

# push TAG: puts the chosen image there. What the repository has already is not sent again, so a second tag costs a few
# requests. Sets `digest` if it is not set: any later push must have the same.
# Not with --preserve-digests: skopeo refuses the list of image and index then, as it writes that list anew. Image and
# index stay as they are, and they find each other by an annotation of the image.
# https://github.com/podman-container-tools/skopeo/issues/2778
push() {
  local pushed
  with_tools skopeo copy --quiet --all --retry-times 3 --authfile /work/docker/config.json --digestfile /work/digest \
    "oci:/work/$layout" "docker://$REPOSITORY_URI:$1" || return
  pushed=$(<"$work/digest")
  [[ $pushed =~ ^sha256:[0-9a-f]{64}$ && ${digest:=$pushed} == "$pushed" ]]
}

# Pushes under a tag of this build alone, and tries what the repository gives back: the very bytes a task would get.
push_and_try() {
  digest=''
  push "$build_tag" && in_time docker pull --quiet "$REPOSITORY_URI@$digest" && try "$REPOSITORY_URI@$digest"
}

# The tag of this build is not needed any more, whatever happened: without others, its image goes with it.
clean_up() {
  if [[ ${build_tag-} ]]; then
    aws ecr batch-delete-image --repository-name "${REPOSITORY_URI#*/}" --image-ids "imageTag=$build_tag" >/dev/null ||
      say "the tag $build_tag could not be deleted"
  fi
  rm -rf "$work"
}

check_environment
work=$(mktemp --directory) || exit 1
trap clean_up EXIT

log_in
build || fail 'the image could not be built'
try "$image" || fail 'the image is not fit for jobs'

docker build --target tools --tag "$tools" "$here" || fail 'the image with the tools could not be built'
docker save --output "$work/image.tar" "$image" || fail 'the image could not be saved'
# Docker pulls no layer that it has. Without this, what is tried after the push might not be what was pushed.
docker image rm "$image" >/dev/null || fail 'the image that was built could not be removed'
choose_layout

# Not $ARCH-…: what the repository keeps or throws away goes by how a tag begins.
build_tag=build-$ARCH-${CODEBUILD_BUILD_NUMBER:-$EPOCHSECONDS}
if ! push_and_try; then
  [[ $layout == soci ]] || fail 'the image could not be pushed and tried from there'
  say 'with its SOCI index the image does not get there whole: goes on without'
  layout=zstd
  push_and_try || fail 'the image could not be pushed and tried from there'
fi

for tag in "$ARCH-$RUNNER_VERSION" "$ARCH-source-$SOURCE_HASH" "$ARCH"; do
  push "$tag" || fail "the tag $tag could not be moved to $digest"
done
say "$ARCH is $digest, runner $RUNNER_VERSION"
