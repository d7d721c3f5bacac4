import { describe, expect, test } from '@jest/globals';
import { defineFleet, WrongConfig } from '../../infra/define-fleet.ts';
import type { Fleet, FleetConfig } from '../../infra/define-fleet.ts';
import example from '../../infra/config.ts';
import { encodeChoices } from '../../functions/contracts/with-infra/settings.ts';

const name = 'ci';
const github = { owners: ['acme'] };
const small = { labels: ['fargate-small'] };
const warm = { scope: 'acme', count: 1 };
const fleet = { name, github, profiles: { small } };

function define(config: unknown): Fleet {
  return defineFleet(config as FleetConfig);
}

function complaints(config: unknown): string[] {
  try {
    define(config);
    return [];
  } catch (error) {
    if (!(error instanceof WrongConfig)) throw error;
    return error.message
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
  }
}

const withProfile = (options: object): unknown => ({ ...fleet, profiles: { small: { ...small, ...options } } });
const withDocker = (options: object, docker?: unknown): unknown => ({
  ...fleet,
  profiles: { small: { ...small, docker: true, ...options } },
  docker,
});
const dockerProfiles = (count: number): object =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`p${at}`, { labels: [`l${at}`], docker: true }]));
const withWarm = (options: object): unknown => withProfile({ warm: [{ ...warm, ...options }] });
const warningsOf = (profiles: object): readonly string[] => define({ ...fleet, profiles }).warnings;
const withNetwork = (network: unknown): unknown => ({ ...fleet, network });
const existing = { kind: 'existing', vpcId: 'vpc-0a1b2c3d4e5f67890', subnetIds: ['subnet-11111111'] };
const withExisting = (options: object): unknown => withNetwork({ ...existing, ...options });
const onGhes = { ...fleet, github: { ...github, url: 'https://ghes.acme.com' } };
const withGithub = (options: object): unknown => ({ ...fleet, github: { ...github, ...options } });

/** So many different ids. */
function idsOf(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index.toString(16).padStart(17, '0')}`);
}

const refusedName = (variable: string): [unknown, string] => [
  withProfile({ environment: { [variable]: 'x' } }),
  `profiles.small.environment.${variable} must not be set: names like it belong to the task itself`,
];

const mistakes: [unknown, string][] = [
  [
    undefined,
    'the config must be an object with name, github, profiles, network, docker, runnerImage, logRetentionDays, alarmTopic, pointInTimeRecovery, keepOnDestroy and parametersKey, got nothing',
  ],
  [{ ...fleet, gitub: 1 }, 'gitub is no option; the nearest is github'],
  [
    { ...fleet, colour: 'red' },
    'colour is no option; there are name, github, profiles, network, docker, runnerImage, logRetentionDays, alarmTopic, pointInTimeRecovery, keepOnDestroy and parametersKey',
  ],

  [
    { ...fleet, name: 'My Fleet!' },
    'name must be a lower-case letter, then up to 15 lower-case letters, digits or hyphens, got "My Fleet!"; the nearest is "my-fleet"',
  ],
  [
    { ...fleet, name: 'a-name-too-long-by-far' },
    'name must be a lower-case letter, then up to 15 lower-case letters, digits or hyphens, got "a-name-too-long-by-far"; the nearest is "a-name-too-long"',
  ],
  [
    { ...fleet, name: undefined },
    'name must be a lower-case letter, then up to 15 lower-case letters, digits or hyphens, got nothing',
  ],

  [
    withGithub({ url: 'http://ghes.acme.com' }),
    'github.url must be https://github.com, https://SUB.ghe.com or the https address of a GHES host, got "http://ghes.acme.com"; the nearest is "https://ghes.acme.com"',
  ],
  [
    withGithub({ url: 'https://api.github.com' }),
    'github.url must be https://github.com, https://SUB.ghe.com or the https address of a GHES host, got "https://api.github.com"; the nearest is "https://github.com"',
  ],
  [
    withGithub({ url: 'https://github.com/acme' }),
    'github.url must be https://github.com, https://SUB.ghe.com or the https address of a GHES host, got "https://github.com/acme"; the nearest is "https://github.com"',
  ],
  [withGithub({ owners: [] }), 'github.owners must name at least one org or personal account, got []'],
  [withGithub({ owners: undefined }), 'github.owners must name at least one org or personal account, got nothing'],
  [
    withGithub({ owners: 'acme' }),
    'github.owners must be a list of orgs and personal accounts, such as ["acme"], got "acme"; the nearest is ["acme"]',
  ],
  [
    withGithub({ owners: ['acme/tools'] }),
    'github.owners[0] must be the name of an org or a personal account, got "acme/tools"; the nearest is "acme"',
  ],
  [
    withGithub({ owners: ['acme', 'Acme'] }),
    'github.owners[1] must not be there twice (upper and lower case are the same), got "Acme"; leave it out',
  ],

  [{ ...fleet, profiles: {} }, 'profiles must be from 1 to 30, got 0'],
  [
    { ...fleet, profiles: [small] },
    'profiles must be an object of profiles by name, got [{"labels":["fargate-small"]}]',
  ],
  [
    { ...fleet, profiles: { small, Small: { labels: ['other'] } } },
    'profiles.Small must differ from profiles.small in more than upper and lower case',
  ],
  [
    { ...fleet, profiles: { '2xl': small } },
    'profiles.2xl must be named by a letter, then up to 23 letters, digits or hyphens, got "2xl"',
  ],
  [withProfile({ memory: 8 }), 'profiles.small.memory is no option; the nearest is memoryGiB'],

  [withProfile({ cpu: 3 }), 'profiles.small.cpu must be one of 0.25, 0.5, 1, 2, 4, 8, 16, got 3; the nearest is 2'],
  [
    withProfile({ cpu: 2, memoryGiB: 3 }),
    'profiles.small.memoryGiB must be one of 4, 5, ... 16 for 2 vCPU, got 3; the nearest is 4',
  ],
  [
    withProfile({ cpu: 0.25, memoryGiB: 8 }),
    'profiles.small.memoryGiB must be one of 0.5, 1, 2 for 0.25 vCPU, got 8; the nearest is 2',
  ],
  [
    withProfile({ cpu: 16, memoryGiB: 70 }),
    'profiles.small.memoryGiB must be one of 32, 40, ... 120 for 16 vCPU, got 70; the nearest is 72',
  ],
  [
    withProfile({ memoryGiB: '8' }),
    'profiles.small.memoryGiB must be one of 4, 5, ... 16 for 2 vCPU, got "8"; the nearest is 8',
  ],
  [
    withProfile({ diskGiB: 500 }),
    'profiles.small.diskGiB must be a whole number from 20 to 200, got 500; the nearest is 200',
  ],
  [
    withProfile({ diskGiB: 20.5 }),
    'profiles.small.diskGiB must be a whole number from 20 to 200, got 20.5; the nearest is 21',
  ],
  [withProfile({ docker: 'yes' }), 'profiles.small.docker must be true or false, got "yes"'],
  [
    withDocker({ cpu: 0.5 }),
    'profiles.small.cpu must be one of 2, 4, 8, 16, 32, 48, 64, 96 with docker (vCPU of EC2 instances), got 0.5; the nearest is 2',
  ],
  [
    withDocker({ memoryGiB: 15 }),
    'profiles.small.memoryGiB must be a whole number from 2 to 14 for 2 vCPU with docker, got 15; the nearest is 14',
  ],
  [
    withDocker({ cpu: 8, memoryGiB: 12.5 }),
    'profiles.small.memoryGiB must be a whole number from 2 to 56 for 8 vCPU with docker, got 12.5; the nearest is 13',
  ],
  [
    withDocker({ diskGiB: 20 }),
    'profiles.small.diskGiB must be a whole number from 40 to 1000 with docker, got 20; the nearest is 40',
  ],
  [withDocker({}, { netwrok: {} }), 'docker.netwrok is no option; the nearest is network'],
  [
    withDocker({}, { network: { kind: 'public' } }),
    'docker.network.kind must be one of private, existing, got "public"',
  ],
  [
    withDocker({}, { network: { natGateways: 0 } }),
    'docker.network.natGateways must be a whole number from 1 to 2 (one in each of two zones), got 0; the nearest is 1',
  ],
  [
    withDocker({}, { network: { ...existing, assignPublicIp: true } }),
    'docker.network.assignPublicIp is no option; there are kind, cidr, natGateways, endpoints, vpcId, subnetIds and securityGroupIds',
  ],
  [
    withDocker({}, { network: { vpcId: 'vpc-11111111' } }),
    'docker.network.vpcId is no option of kind "private", only of "existing"',
  ],
  [
    withDocker({}, { image: 'https://docker.io/docker:dind' }),
    'docker.image must be an image such as ghcr.io/acme/runner:1: [host[:port]/]path in lower case, then [:tag] and [@sha256:digest], with at most 255 characters before the digest, got "https://docker.io/docker:dind"; the nearest is "docker.io/docker:dind"',
  ],
  [
    { ...fleet, profiles: dockerProfiles(21) },
    'profiles must have docker: true in at most 20 (CloudFormation takes 500 resources), got 21',
  ],
  // What is wrong is told before anybody needs it.
  [
    { ...fleet, docker: { network: { natGateways: 5 } } },
    'docker.network.natGateways must be a whole number from 1 to 2 (one in each of two zones), got 5; the nearest is 2',
  ],
  [{ ...fleet, runnerImage: { sudo: 'no' } }, 'runnerImage.sudo must be true or false, got "no"'],
  [
    { ...fleet, runnerImage: { buildTools: 'true' } },
    'runnerImage.buildTools must be true or false, got "true"; the nearest is true',
  ],
  [{ ...fleet, runnerImage: { docker: true } }, 'runnerImage.docker is no option; there are sudo and buildTools'],

  [withProfile({ maxRunners: 'lots' }), 'profiles.small.maxRunners must be a whole number from 0 to 5000, got "lots"'],
  [
    withProfile({ maxRunners: -1 }),
    'profiles.small.maxRunners must be a whole number from 0 to 5000, got -1; the nearest is 0',
  ],
  [withProfile({ maxRunners: NaN }), 'profiles.small.maxRunners must be a whole number from 0 to 5000, got NaN'],
  [
    withProfile({ idleMinutes: 0 }),
    'profiles.small.idleMinutes must be a number from 1 to 360, got 0; the nearest is 1',
  ],
  [withProfile({ maxHours: 0 }), 'profiles.small.maxHours must be a number above 0, up to 120, got 0'],
  [
    withProfile({ maxHours: 121 }),
    'profiles.small.maxHours must be a number above 0, up to 120, got 121; the nearest is 120',
  ],
  [withProfile({ arch: 'amd64' }), 'profiles.small.arch must be one of x64, arm64, got "amd64"; the nearest is "x64"'],
  [
    withProfile({ capacity: 'SPOT_PREFERRED' }),
    'profiles.small.capacity must be one of on-demand, spot, spot-preferred, got "SPOT_PREFERRED"; the nearest is "spot-preferred"',
  ],
  [withProfile({ catchAll: 'true' }), 'profiles.small.catchAll must be true or false, got "true"; the nearest is true'],
  [withProfile({ publicRepositories: 1 }), 'profiles.small.publicRepositories must be true or false, got 1'],
  [
    withProfile({ runnerGroup: ' builders ' }),
    'profiles.small.runnerGroup must be the name of a runner group, got " builders "; the nearest is "builders"',
  ],

  [
    withProfile({ labels: [] }),
    'profiles.small.labels must name at least one label (only a profile with catchAll: true may do without), got []',
  ],
  [
    withProfile({ labels: 'x' }),
    'profiles.small.labels must be a list of labels, such as ["fargate-small"], got "x"; the nearest is ["x"]',
  ],
  [
    withProfile({ labels: ['a, b'] }),
    'profiles.small.labels[0] must be a label of 1 to 256 characters without commas or white space, got "a, b"; the nearest is "a-b"',
  ],
  [
    withProfile({ labels: ['x', 'Linux'] }),
    'profiles.small.labels[1] must not be a label that is implied, got "Linux"; leave it out',
  ],
  [
    withProfile({ labels: ['x', 'self-hosted'] }),
    'profiles.small.labels[1] must not be a label that is implied, got "self-hosted"; leave it out',
  ],
  [
    withProfile({ labels: ['x', 'X'] }),
    'profiles.small.labels[1] must not be there twice (upper and lower case are the same), got "X"; leave it out',
  ],
  [
    withProfile({ repositories: { allow: ['tools'] } }),
    'profiles.small.repositories.allow[0] must be a glob over owner/name, such as acme/*, got "tools"; the nearest is "*/tools"',
  ],
  [withProfile({ repositories: { alow: [] } }), 'profiles.small.repositories.alow is no option; the nearest is allow'],

  [
    withProfile({ image: 'my image' }),
    'profiles.small.image must be an image such as ghcr.io/acme/runner:1: [host[:port]/]path in lower case, then [:tag] and [@sha256:digest], with at most 255 characters before the digest, got "my image"',
  ],
  [
    withProfile({ image: '::::' }),
    'profiles.small.image must be an image such as ghcr.io/acme/runner:1: [host[:port]/]path in lower case, then [:tag] and [@sha256:digest], with at most 255 characters before the digest, got "::::"',
  ],
  [
    withProfile({ image: 'https://ghcr.io/acme/runner:1' }),
    'profiles.small.image must be an image such as ghcr.io/acme/runner:1: [host[:port]/]path in lower case, then [:tag] and [@sha256:digest], with at most 255 characters before the digest, got "https://ghcr.io/acme/runner:1"; the nearest is "ghcr.io/acme/runner:1"',
  ],
  [
    withProfile({ image: 'Acme/Runner:1' }),
    'profiles.small.image must be an image such as ghcr.io/acme/runner:1: [host[:port]/]path in lower case, then [:tag] and [@sha256:digest], with at most 255 characters before the digest, got "Acme/Runner:1"; the nearest is "acme/runner:1"',
  ],
  [
    withProfile({ image: ' GHCR.io:443/Acme/Runner:V1 ' }),
    'profiles.small.image must be an image such as ghcr.io/acme/runner:1: [host[:port]/]path in lower case, then [:tag] and [@sha256:digest], with at most 255 characters before the digest, got " GHCR.io:443/Acme/Runner:V1 "; the nearest is "ghcr.io:443/acme/runner:V1"',
  ],
  [
    withProfile({ image: 'ghcr.io/acme/runner@sha256:12ab' }),
    'profiles.small.image must be an image such as ghcr.io/acme/runner:1: [host[:port]/]path in lower case, then [:tag] and [@sha256:digest], with at most 255 characters before the digest, got "ghcr.io/acme/runner@sha256:12ab"',
  ],
  [
    withProfile({ image: 'ghcr.io/acme//runner' }),
    'profiles.small.image must be an image such as ghcr.io/acme/runner:1: [host[:port]/]path in lower case, then [:tag] and [@sha256:digest], with at most 255 characters before the digest, got "ghcr.io/acme//runner"',
  ],
  [withProfile({ taskRole: 'admin' }), 'profiles.small.taskRole must be the ARN of a role, got "admin"'],
  [
    {
      ...fleet,
      profiles: {
        small,
        one: { labels: ['one'], taskRole: 'arn:aws:iam::111122223333:role/ci' },
        other: { labels: ['other'], taskRole: 'arn:aws:iam::444455556666:role/ci' },
        third: { labels: ['third'], taskRole: 'arn:aws:iam::111122223333:role/builds/third' },
      },
    },
    'profiles.other.taskRole must be a role of account 111122223333, as profiles.one.taskRole is (tasks take roles of one account, the stack\'s), got "arn:aws:iam::444455556666:role/ci"',
  ],
  [
    withProfile({ environment: { 'A-B': 'x' } }),
    'profiles.small.environment.A-B must have a name of letters, digits and underscores, got "A-B"; the nearest is "A_B"',
  ],
  [withProfile({ environment: { A: 1 } }), 'profiles.small.environment.A must be text, got 1; the nearest is "1"'],
  [
    withProfile({ environment: { CLAIM_ID: 'x' } }),
    'profiles.small.environment.CLAIM_ID must not be set: names like it belong to the task itself',
  ],
  ...['PATH', 'ENV', 'BASH_ENV', 'BASHOPTS', 'SHELLOPTS', 'BASH_FUNC_exec', 'LD_PRELOAD', 'LD_LIBRARY_PATH'].map(
    refusedName,
  ),
  ...['GLIBC_TUNABLES', 'IFS', 'PS4', 'PROMPT_COMMAND', 'DOCKER_EXTERNALS'].map(refusedName),
  [
    withProfile({ environment: { A: 'x'.repeat(10_000), B: 'y'.repeat(9999) } }),
    'profiles.small.environment must have at most 20000 characters, names and values together (a task definition has 64 KiB), got 20001',
  ],

  [
    withWarm({ scope: 'acmee' }),
    'profiles.small.warm[0].scope must belong to one of github.owners (acme), got "acmee"; the nearest is "acme"',
  ],
  [
    withWarm({ count: 30 }),
    "profiles.small.warm[0].count must be a whole number from 1 to 10 (the profile's maxRunners), got 30; the nearest is 10",
  ],
  [
    withWarm({ days: 'Monday to Friday' }),
    'profiles.small.warm[0].days must be days such as MON-FRI or SAT,SUN, got "Monday to Friday"; the nearest is "MON-FRI"',
  ],
  [
    withWarm({ days: 'workdays' }),
    'profiles.small.warm[0].days must be days such as MON-FRI or SAT,SUN, got "workdays"',
  ],
  [
    withWarm({ from: '8:00' }),
    'profiles.small.warm[0].from must be a wall-clock time from 00:00 to 23:59, got "8:00"; the nearest is "08:00"',
  ],
  [
    withWarm({ to: '24:00' }),
    'profiles.small.warm[0].to must be a wall-clock time from 00:00 to 23:59, got "24:00"; the nearest is "00:00"',
  ],
  [
    withWarm({ timezone: 'Europe/Berln' }),
    'profiles.small.warm[0].timezone must be an IANA time zone such as Europe/Berlin, got "Europe/Berln"; the nearest is "Europe/Berlin"',
  ],
  [
    withWarm({ timezone: '+02:00' }),
    'profiles.small.warm[0].timezone must be an IANA time zone such as Europe/Berlin, got "+02:00"',
  ],
  [
    withProfile({ warm: [3] }),
    'profiles.small.warm[0] must be an object with scope, count, days, from, to and timezone, got 3',
  ],

  [
    { ...fleet, network: { cidr: '10.0.0.0/8' } },
    'network.cidr must be a private range such as 10.0.0.0/16, from /16 to /22, got "10.0.0.0/8"; the nearest is "10.0.0.0/16"',
  ],
  [
    { ...fleet, network: { cidr: '10.1.2.0/16' } },
    'network.cidr must begin where a /16 begins, got "10.1.2.0/16"; the nearest is "10.1.0.0/16"',
  ],
  [
    withNetwork('private'),
    'network must be an object with kind, cidr, natGateways, endpoints, vpcId, subnetIds, securityGroupIds and assignPublicIp, got "private"',
  ],
  [
    withNetwork({ kind: 'nat' }),
    'network.kind must be one of public, private, existing, got "nat"; the nearest is "private"',
  ],
  [
    withNetwork({ kind: 'exsiting', vpcId: existing.vpcId, subnetIds: existing.subnetIds }),
    'network.kind must be one of public, private, existing, got "exsiting"; the nearest is "existing"',
  ],
  [withNetwork({ kind: 'mine', natGateways: 2 }), 'network.kind must be one of public, private, existing, got "mine"'],
  [withNetwork({ subnets: [] }), 'network.subnets is no option; the nearest is subnetIds'],
  [withNetwork({ natGateways: 1 }), 'network.natGateways is no option of kind "public", only of "private"'],
  [
    withNetwork({ kind: 'private', assignPublicIp: true }),
    'network.assignPublicIp is no option of kind "private", only of "existing"',
  ],
  [
    withExisting({ cidr: '10.0.0.0/16' }),
    'network.cidr is no option of kind "existing", only of "public" and "private"',
  ],

  [
    withNetwork({ kind: 'private', cidr: '10.0.0.0/24' }),
    'network.cidr must be a private range such as 10.0.0.0/16, from /16 to /22, got "10.0.0.0/24"; the nearest is "10.0.0.0/22"',
  ],
  [
    withNetwork({ kind: 'private', natGateways: 3 }),
    'network.natGateways must be a whole number from 0 to 2 (one in each of two zones), got 3; the nearest is 2',
  ],
  [
    withNetwork({ kind: 'private', endpoints: 'true' }),
    'network.endpoints must be true or false, got "true"; the nearest is true',
  ],
  [
    withNetwork({ kind: 'private', natGateways: 0, endpoints: true }),
    'network.natGateways must be 1 or 2 for https://github.com, which is reached over the internet alone, got 0; the nearest is 1',
  ],
  [
    {
      ...fleet,
      github: { ...github, url: 'https://acme.ghe.com' },
      network: { kind: 'private', natGateways: 0, endpoints: true },
    },
    'network.natGateways must be 1 or 2 for https://acme.ghe.com, which is reached over the internet alone, got 0; the nearest is 1',
  ],
  [
    { ...onGhes, network: { kind: 'private', natGateways: 0 } },
    'network.natGateways must be 1 or 2 unless endpoints is true: nothing else brings the image, got 0; the nearest is 1',
  ],
  [
    { ...onGhes, network: { kind: 'private', natGateways: 0, endpoints: 'yes' } },
    'network.endpoints must be true or false, got "yes"',
  ],
  [
    {
      ...fleet,
      github: { ...github, url: 'http://ghes.acme.com' },
      network: { kind: 'private', natGateways: 0, endpoints: true },
    },
    'github.url must be https://github.com, https://SUB.ghe.com or the https address of a GHES host, got "http://ghes.acme.com"; the nearest is "https://ghes.acme.com"',
  ],

  [
    withExisting({ vpcId: undefined }),
    'network.vpcId must be the id of a VPC, such as vpc-0a1b2c3d4e5f67890, got nothing',
  ],
  [
    withExisting({ vpcId: 'arn:aws:ec2:eu-central-1:111122223333:vpc/vpc-0a1b2c3d4e5f67890' }),
    'network.vpcId must be the id of a VPC, such as vpc-0a1b2c3d4e5f67890, got "arn:aws:ec2:eu-central-1:111122223333:vpc/vpc-0a1b2c3d4e5f67890"; the nearest is "vpc-0a1b2c3d4e5f67890"',
  ],
  [withExisting({ subnetIds: undefined }), 'network.subnetIds must name at least one subnet, got nothing'],
  [withExisting({ subnetIds: [] }), 'network.subnetIds must name at least one subnet, got []'],
  [
    withExisting({ subnetIds: 'subnet-11111111' }),
    'network.subnetIds must be a list of ids of subnets, such as ["subnet-0a1b2c3d4e5f67890"], got "subnet-11111111"; the nearest is ["subnet-11111111"]',
  ],
  [
    withExisting({ subnetIds: ['subnet-11111111', 'Subnet-22222222 '] }),
    'network.subnetIds[1] must be the id of a subnet, such as subnet-0a1b2c3d4e5f67890, got "Subnet-22222222 "; the nearest is "subnet-22222222"',
  ],
  [
    withExisting({ subnetIds: ['subnet-11111111', 'subnet-11111111'] }),
    'network.subnetIds[1] must not be there twice, got "subnet-11111111"; leave it out',
  ],
  [
    withExisting({ subnetIds: idsOf('subnet', 17) }),
    'network.subnetIds must be at most 16 ids of subnets, such as ["subnet-0a1b2c3d4e5f67890"], got 17',
  ],
  [
    withExisting({ securityGroupIds: ['default'] }),
    'network.securityGroupIds[0] must be the id of a security group, such as sg-0a1b2c3d4e5f67890, got "default"',
  ],
  [
    withExisting({ securityGroupIds: ['sg-123'] }),
    'network.securityGroupIds[0] must be the id of a security group, such as sg-0a1b2c3d4e5f67890, got "sg-123"',
  ],
  [
    withExisting({ securityGroupIds: ['sg-11111111', 'sg-11111111'] }),
    'network.securityGroupIds[1] must not be there twice, got "sg-11111111"; leave it out',
  ],
  [
    withExisting({ securityGroupIds: idsOf('sg', 6) }),
    'network.securityGroupIds must be at most 5 ids of security groups, such as ["sg-0a1b2c3d4e5f67890"], got 6',
  ],
  [withExisting({ assignPublicIp: 'ENABLED' }), 'network.assignPublicIp must be true or false, got "ENABLED"'],

  [
    { ...fleet, pointInTimeRecovery: 'false' },
    'pointInTimeRecovery must be true or false, got "false"; the nearest is false',
  ],
  [
    { ...fleet, keepOnDestroy: true },
    'keepOnDestroy must be a list of what outlives the stack, such as ["ledger", "logs"], got true',
  ],
  [
    { ...fleet, keepOnDestroy: ['legder'] },
    'keepOnDestroy[0] must be one of ledger, logs, images, got "legder"; the nearest is "ledger"',
  ],
  [{ ...fleet, keepOnDestroy: ['claims'] }, 'keepOnDestroy[0] must be one of ledger, logs, images, got "claims"'],
  [{ ...fleet, keepOnDestroy: ['logs', 'logs'] }, 'keepOnDestroy[1] must not be there twice, got "logs"; leave it out'],
  [
    { ...fleet, parametersKey: 'arn:aws:kms:eu-central-1:111122223333:alias/ci' },
    'parametersKey must be the ARN of a KMS key, such as arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab, got "arn:aws:kms:eu-central-1:111122223333:alias/ci"',
  ],

  [
    { ...fleet, alarmTopic: 'ops' },
    'alarmTopic must be the ARN of a standard SNS topic, such as arn:aws:sns:eu-central-1:111122223333:ops, got "ops"',
  ],
  [
    { ...fleet, logRetentionDays: 45 },
    'logRetentionDays must be a number of days CloudWatch knows (1, 3, 5, 7, 14, 30, 60, 90, ... 3653), got 45; the nearest is 30',
  ],
];

describe('a config that is wrong', () => {
  test.each(mistakes.map(([config, complaint]) => ({ config, complaint })))(
    'is told: $complaint',
    ({ config, complaint }) => {
      expect(complaints(config)).toEqual([complaint]);
    },
  );

  test('is told all at once, a line each', () => {
    const wrong = { name: '1', github: { owners: [] }, profiles: { small: { labels: ['a b'], cpu: 5 } } };
    expect(() => define(wrong)).toThrow(/^4 things are wrong in the fleet's config:\n(?: {2}\S.*\n){3} {2}\S.*$/);
  });

  test('is told all at once of a network too, even when its kind is unknown', () => {
    expect(complaints(withNetwork({ kind: 'mine', vpcId: 'ours', subnetIds: [], cidr: '10.0.0.0/16' }))).toEqual([
      'network.kind must be one of public, private, existing, got "mine"',
      'network.cidr is no option of kind "existing", only of "public" and "private"',
      'network.vpcId must be the id of a VPC, such as vpc-0a1b2c3d4e5f67890, got "ours"',
      'network.subnetIds must name at least one subnet, got []',
    ]);
  });

  test('is told the nearest address of GitHub only where there is one', () => {
    expect(
      complaints({
        ...fleet,
        github: { ...github, url: 'file:///ghes' },
        network: { kind: 'private', natGateways: 0 },
      }),
    ).toEqual([
      'github.url must be https://github.com, https://SUB.ghe.com or the https address of a GHES host, got "file:///ghes"',
      expect.stringContaining('network.natGateways must be 1 or 2 for https://github.com'),
    ]);
  });

  test('is told in the singular when one thing is wrong', () => {
    expect(() => define({ ...fleet, name: '1' })).toThrow("One thing is wrong in the fleet's config:");
  });
});

describe('a config that is right', () => {
  test('needs a name, an owner and a label; everything else has a default', () => {
    expect(define(fleet)).toEqual({
      choices: {
        version: 1,
        fleet: 'ci',
        github: { url: 'https://github.com', owners: ['acme'] },
        profiles: [
          {
            name: 'small',
            labels: ['fargate-small'],
            arch: 'x64',
            cpu: 2,
            memoryGiB: 8,
            diskGiB: 20,
            capacity: 'on-demand',
            maxRunners: 10,
            idleMinutes: 5,
            maxHours: 6,
            catchAll: false,
            publicRepositories: false,
            repositories: { allow: [], deny: [] },
            warm: [],
            docker: false,
          },
        ],
      },
      tasks: { small: { environment: {} } },
      network: { kind: 'public', cidr: '10.0.0.0/16' },
      runnerImage: { sudo: true, buildTools: false },
      logRetentionDays: 30,
      pointInTimeRecovery: false,
      keepOnDestroy: [],
      warnings: [],
    });
  });

  test('may ask for Docker with one word; everything else has a default', () => {
    const { choices, docker } = define(withDocker({}));
    expect(choices.profiles[0]).toMatchObject({
      docker: true,
      cpu: 2,
      memoryGiB: 6,
      diskGiB: 80,
      capacity: 'on-demand',
    });
    expect(docker).toEqual({
      network: { kind: 'private', cidr: '10.1.0.0/16', natGateways: 1, endpoints: false },
      image: 'public.ecr.aws/docker/library/docker:29.7.1-dind',
    });
  });

  test.each([
    [2, 14],
    [16, 112],
    [96, 672],
  ])('may give a profile with Docker %i vCPU and up to %i GiB, and has 3 for each vCPU if it does not', (cpu, most) => {
    for (const memoryGiB of [2, most]) expect(complaints(withDocker({ cpu, memoryGiB }))).toEqual([]);
    expect(define(withDocker({ cpu })).choices.profiles[0]?.memoryGiB).toBe(3 * cpu);
  });

  test.each<[unknown, NonNullable<Fleet['docker']>['network']]>([
    [{ natGateways: 2 }, { kind: 'private', cidr: '10.1.0.0/16', natGateways: 2, endpoints: false }],
    [
      { kind: 'private', cidr: '172.16.0.0/20', endpoints: true },
      { kind: 'private', cidr: '172.16.0.0/20', natGateways: 1, endpoints: true },
    ],
    [existing, { ...existing, kind: 'existing', securityGroupIds: [], assignPublicIp: false }],
  ])('may name the network of its profiles with Docker as %j', (network, chosen) => {
    expect(define(withDocker({}, { network })).docker?.network).toEqual(chosen);
  });

  test('may bring another daemon', () => {
    expect(define(withDocker({}, { image: 'ghcr.io/acme/dind:1' })).docker?.image).toBe('ghcr.io/acme/dind:1');
  });

  test('may choose what its own image has in it', () => {
    const { runnerImage } = define({ ...fleet, runnerImage: { sudo: false, buildTools: true } });
    expect(runnerImage).toEqual({ sudo: false, buildTools: true });
    expect(define({ ...fleet, runnerImage: {} }).warnings).toEqual([]);
    const own = { small: { labels: ['small'], image: 'ghcr.io/acme/runner:1' } };
    expect(define({ ...fleet, profiles: own, runnerImage: {} }).warnings).toEqual([
      'runnerImage says what the image of the stack has in it, and every profile brings its own: it is not built',
    ]);
  });

  test('is one the functions can read', () => {
    expect(() => encodeChoices(define(withDocker({})).choices)).not.toThrow();
    expect(() => encodeChoices(define(withWarm({ days: 'MON-FRI' })).choices)).not.toThrow();
    expect(() => encodeChoices(example.choices)).not.toThrow();
  });

  test('may write labels, owners and scopes in any case', () => {
    const { choices } = define({
      name,
      github: { owners: ['Acme'] },
      profiles: { small: { labels: ['GPU'], warm: [{ scope: 'ACME', count: 1 }] } },
    });
    expect(choices.github.owners).toEqual(['acme']);
    expect(choices.profiles[0]).toMatchObject({ labels: ['gpu'], warm: [{ scope: 'acme' }] });
  });

  test.each([
    ['https://github.com/', 'https://github.com'],
    ['https://acme.ghe.com', 'https://acme.ghe.com'],
    ['https://ghes.acme.com:8443', 'https://ghes.acme.com:8443'],
    ['http://127.0.0.1:4000', 'http://127.0.0.1:4000'],
    ['http://localhost:4000', 'http://localhost:4000'],
  ])('may name GitHub as %s', (url, origin) => {
    expect(define(withGithub({ url })).choices.github.url).toBe(origin);
  });

  test.each<[unknown, readonly string[]]>([
    ['MON-FRI', ['MON', 'TUE', 'WED', 'THU', 'FRI']],
    ['SAT,SUN', ['SAT', 'SUN']],
    ['FRI-MON', ['MON', 'FRI', 'SAT', 'SUN']],
    ['mon, wed-thu', ['MON', 'WED', 'THU']],
    [['TUE'], ['TUE']],
    [undefined, ['MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT', 'SUN']],
  ])('may write the days of a warm window as %j', (days, expanded) => {
    expect(define(withWarm({ days })).choices.profiles[0]?.warm[0]?.days).toEqual(expanded);
  });

  test.each<[unknown, Fleet['network']]>([
    [{ cidr: '10.1.0.0/16' }, { kind: 'public', cidr: '10.1.0.0/16' }],
    [{ kind: 'private' }, { kind: 'private', cidr: '10.0.0.0/16', natGateways: 1, endpoints: false }],
    [
      { kind: 'private', cidr: '172.16.0.0/20', natGateways: 2, endpoints: true },
      { kind: 'private', cidr: '172.16.0.0/20', natGateways: 2, endpoints: true },
    ],
    [
      { kind: 'existing', vpcId: 'vpc-11111111', subnetIds: ['subnet-11111111'] },
      {
        kind: 'existing',
        vpcId: 'vpc-11111111',
        subnetIds: ['subnet-11111111'],
        securityGroupIds: [],
        assignPublicIp: false,
      },
    ],
  ])('may name its network as %j', (network, chosen) => {
    expect(define(withNetwork(network)).network).toEqual(chosen);
  });

  test('may do without a NAT gateway where GitHub is a host of its own and endpoints bring the image', () => {
    expect(complaints({ ...onGhes, network: { kind: 'private', natGateways: 0, endpoints: true } })).toEqual([]);
  });

  test.each([
    'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab',
    'arn:aws-cn:kms:cn-north-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab',
  ])('may name a key for its secrets: %s', (parametersKey) => {
    expect(define({ ...fleet, parametersKey }).parametersKey).toBe(parametersKey);
  });

  test('may keep its ledger, logs and images, in whatever order they are written', () => {
    expect(define({ ...fleet, keepOnDestroy: ['images', 'ledger'] }).keepOnDestroy).toEqual(['ledger', 'images']);
  });

  test.each([
    'ubuntu',
    'ubuntu:24.04',
    'acme/runner:V1.2_x',
    'ghcr.io/acme/runner-images/x__y.z:1',
    'localhost:5000/runner',
    '111122223333.dkr.ecr.eu-central-1.amazonaws.com/runner:1',
    `ghcr.io/acme/runner:1@sha256:${'0a'.repeat(32)}`,
    `ghcr.io/${'a'.repeat(247)}@sha256:${'0a'.repeat(32)}`,
  ])('may name an image as %s', (image) => {
    expect(define(withProfile({ image })).choices.profiles[0]?.image).toBe(image);
  });

  test('may fill its environment to the last character, with names that look like refused ones', () => {
    const environment = { HOME: '/', env: 'x', MY_PATH: 'x', BASHED: 'x', LDFLAGS: 'x', A: '' };
    const used = Object.entries(environment).flat().join('').length;
    const full = { ...environment, A: 'x'.repeat(20_000 - used) };
    expect(define(withProfile({ environment: full })).tasks['small']?.environment).toEqual(full);
  });

  test('may do without labels when it catches all', () => {
    expect(complaints(withProfile({ labels: [], catchAll: true }))).toEqual([]);
  });

  test('may pause a profile and keep its warm windows', () => {
    expect(complaints(withProfile({ maxRunners: 0, warm: [{ ...warm, count: 5 }] }))).toEqual([]);
  });

  test('keeps the longest name of a runner within 60 characters', () => {
    const { choices } = define({ ...fleet, name: 'a'.repeat(16) });
    const jobId = '9223372036854775807';
    expect(`${choices.fleet}-123456-${jobId}-9999`.length).toBeLessThanOrEqual(60);
  });
});

describe('a config that is legal but surprising', () => {
  test('is let through in silence when profiles share no label', () => {
    expect(warningsOf({ small, large: { labels: ['fargate-large'] } })).toEqual([]);
  });

  test.each([
    [['a', 'b'], ['a'], 'runners of profile one can take every job meant for profile other (a)'],
    [['a'], ['a', 'b'], 'runners of profile other can take every job meant for profile one (a)'],
    [['a'], ['A'], "profiles one and other have the same labels (a): their runners take each other's jobs"],
    [
      ['a', 'b'],
      ['b', 'c'],
      "runners of profiles one and other can take each other's jobs when a job asks for no more than b",
    ],
  ])('is warned of: labels %j and %j', (one, other, warning) => {
    expect(warningsOf({ one: { labels: one }, other: { labels: other } })).toEqual([warning]);
  });

  test('is warned of: jobs without labels go to any idle runner', () => {
    expect(warningsOf({ small, any: { labels: [], catchAll: true } })).toEqual([
      'runners of small can take the jobs without labels that profile any catches (catchAll)',
    ]);
  });

  test('is warned of: strangers can start runners of a profile that catches all and serves public repositories', () => {
    expect(warningsOf({ any: { labels: [], catchAll: true, publicRepositories: true } })).toEqual([
      "profile any serves any self-hosted job (catchAll) of public repositories: a stranger's pull request can start runners",
    ]);
  });

  test('is warned of: without a NAT gateway somebody must add the way to GitHub, and only ECR has images', () => {
    const profiles = {
      small,
      ours: { labels: ['ours'], image: '111122223333.dkr.ecr.eu-central-1.amazonaws.com/runner:1' },
      theirs: { labels: ['theirs'], image: 'ghcr.io/acme/runner:1' },
    };
    const network = { kind: 'private', natGateways: 0, endpoints: true };
    expect(define({ ...onGhes, profiles, network }).warnings).toEqual([
      'without a NAT gateway runners reach https://ghes.acme.com only by a route that you add to their VPC; the functions still ask it over the internet',
      'without a NAT gateway profile theirs gets ghcr.io/acme/runner:1 only by a route that you add: the endpoints lead to ECR alone',
    ]);
    expect(define({ ...onGhes, profiles, network: { ...network, natGateways: 1 } }).warnings).toEqual([]);
  });

  describe('with Docker', () => {
    const root = (names: string): string =>
      `jobs of profile ${names} can become root of the machine they run on (docker): a privileged container is beside them, no Fargate micro-VM is around them, and the job that comes next may get the same machine, with its secrets and a registration token (docs/docker.md)`;
    const gateways = (which: string, dollars: number): string =>
      `profile small needs ${which}, which costs while nothing runs: about $${dollars} a month, and $0.045 a GB`;
    const untried = 'nothing of docker was ever tried in an AWS account: docs/docker.md lists what is not proved';

    test.each([
      [undefined, [root('small'), gateways('a NAT gateway', 36), untried]],
      [{ natGateways: 2 }, [root('small'), gateways('2 NAT gateways', 72), untried]],
      [existing, [root('small'), untried]],
    ])('is warned of: what it means for isolation, and what costs always (%j)', (network, warnings) => {
      expect(define(withDocker({}, { network })).warnings).toEqual(warnings);
    });

    test('is warned of in stronger words: strangers on a machine that others get next', () => {
      expect(define(withDocker({ publicRepositories: true }, { network: existing })).warnings).toEqual([
        root('small'),
        "profile small serves public repositories with docker: a stranger's pull request can take a machine over and stay for the jobs that come next; do not do this where any job of the profile has a secret",
        untried,
      ]);
    });

    test('is warned of, when no profile has it', () => {
      expect(define({ ...fleet, docker: {} }).warnings).toEqual([
        'docker says where profiles with docker: true live, and there is none: nothing of it is made',
      ]);
      expect(define({ ...fleet, docker: {} }).docker).toBeUndefined();
    });

    test('names every profile that has it, and no other', () => {
      const large = { labels: ['large'], docker: true };
      const profiles = {
        plain: { labels: ['plain'], publicRepositories: true },
        small: { ...small, docker: true },
        large,
      };
      expect(define({ ...fleet, profiles, docker: { network: existing } }).warnings).toEqual([
        root('small, large'),
        untried,
      ]);
    });
  });
});
