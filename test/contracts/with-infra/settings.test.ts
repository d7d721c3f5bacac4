import { describe, expect, test } from '@jest/globals';
import {
  decodeSettings,
  encodeChoices,
  encodeNames,
  type Choices,
  type NamesToEncode,
} from '../../../functions/contracts/with-infra/settings.ts';
import { aProfile } from '../../fakes/builders.ts';

const warm = { scope: 'acme', count: 2, days: ['MON' as const], from: '08:00', to: '18:00', timezone: 'Europe/Berlin' };
const choices: Choices = {
  version: 1,
  fleet: 'ci',
  github: { url: 'https://github.com', owners: ['acme', 'octo'] },
  profiles: [aProfile(), aProfile({ name: 'large', labels: ['large'], runnerGroup: 'big ones', warm: [warm] })],
};
const names: NamesToEncode = {
  fleetId: '111122223333/eu-central-1/Fleet',
  tables: { ledger: 'Ledger', claims: 'Claims' },
  queues: { jobs: 'https://sqs/jobs', events: 'https://sqs/events' },
  tasks: {
    cluster: 'cluster',
    revisions: { small: '1', large: '7' },
    subnets: ['subnet-1', 'subnet-2'],
    securityGroups: ['sg-1'],
    assignPublicIp: 'ENABLED',
  },
  parameters: { appId: '/app-id', appKey: '/app-key', webhookSecret: '/webhook-secret' },
};
const encoded = encodeChoices(choices);

describe('settings', () => {
  test('arrive as they were chosen and deployed', () => {
    expect(decodeSettings(encoded, encodeNames(names))).toEqual({
      fleet: 'ci',
      prefix: expect.stringMatching(/^ci-[0-9a-f]{6}$/),
      github: { url: 'https://github.com', apiUrl: 'https://api.github.com', owners: ['acme', 'octo'] },
      profiles: choices.profiles,
      tables: names.tables,
      queues: names.queues,
      tasks: {
        cluster: 'cluster',
        definitions: { small: 'Fleet_small:1', large: 'Fleet_large:7' },
        providers: {
          small: { onDemand: 'FARGATE', spot: 'FARGATE_SPOT' },
          large: { onDemand: 'FARGATE', spot: 'FARGATE_SPOT' },
        },
        subnets: ['subnet-1', 'subnet-2'],
        securityGroups: ['sg-1'],
        assignPublicIp: 'ENABLED',
      },
      parameters: names.parameters,
    });
  });

  test('name the images that the stack builds, and none where every profile brings its own', () => {
    const images = { repository: 'runners', source: '0123456789abcdef', projects: { x64: 'build-x64' } };
    expect(decodeSettings(encoded, encodeNames({ ...names, images })).images).toEqual(images);
    expect(decodeSettings(encoded, encodeNames(names)).images).toBeUndefined();
    expect(encodeNames({ ...names, images: undefined })).not.toHaveProperty('RUNNER_IMAGES');
  });

  test('of a profile with Docker name providers of its own, and where its tasks live', () => {
    const docker = { subnets: ['subnet-8', 'subnet-9'], securityGroups: ['sg-9'] };
    const withDocker = encodeChoices({ ...choices, profiles: [aProfile(), aProfile({ name: 'large', docker: true })] });
    const { tasks } = decodeSettings(withDocker, encodeNames({ ...names, tasks: { ...names.tasks, docker } }));
    expect(tasks.docker).toEqual(docker);
    expect(tasks.providers).toEqual({
      small: { onDemand: 'FARGATE', spot: 'FARGATE_SPOT' },
      large: { onDemand: 'docker_Fleet_large_on-demand', spot: 'docker_Fleet_large_spot' },
    });
    expect(decodeSettings(encoded, encodeNames(names)).tasks.docker).toBeUndefined();
    expect(Object.keys(encodeNames(names)).join()).not.toContain('DOCKER');
  });

  test.each([
    ['', 'RUNNER_IMAGES'],
    ['no JSON', 'RUNNER_IMAGES'],
    ['{"repository":"","source":"0","projects":{}}', 'RUNNER_IMAGES.repository'],
    ['{"repository":"runners","projects":{}}', 'RUNNER_IMAGES.source'],
    ['{"repository":"runners","source":"0","projects":{"riscv":"build"}}', 'RUNNER_IMAGES.projects.riscv'],
  ])('with wrong images (%s) are refused, by name', (RUNNER_IMAGES, name) => {
    expect(() => decodeSettings(encoded, { ...encodeNames(names), RUNNER_IMAGES })).toThrow(`${name}: `);
  });

  test('tell of each profile whether it brings an image of its own', () => {
    const profiles = [aProfile(), aProfile({ name: 'own', image: 'public.ecr.aws/acme/runner:1' })];
    const decoded = decodeSettings(encodeChoices({ ...choices, profiles }), encodeNames(names));
    expect(decoded.profiles.map(({ image }) => image)).toEqual([undefined, 'public.ecr.aws/acme/runner:1']);
  });

  test('name runners otherwise in another account, region or stack, and alike in the same', () => {
    const ids = [
      '111122223333/eu-central-1/Fleet',
      '1/eu-central-1/Fleet',
      '111122223333/us-east-1/Fleet',
      '111122223333/eu-central-1/Other',
    ];
    const prefixes = ids.map((fleetId) => decodeSettings(encoded, encodeNames({ ...names, fleetId })).prefix);
    expect(new Set(prefixes).size).toBe(ids.length);
    expect(decodeSettings(encoded, encodeNames(names)).prefix).toBe(prefixes[0]);
  });

  test.each([
    ['https://github.com', 'https://api.github.com'],
    ['https://acme.ghe.com', 'https://api.acme.ghe.com'],
    ['https://github.acme.example', 'https://github.acme.example/api/v3'],
    ['http://localhost:8080', 'http://localhost:8080/api/v3'],
  ])('find the API of %s', (url, apiUrl) => {
    const other = encodeChoices({ ...choices, github: { url, owners: ['acme'] } });
    expect(decodeSettings(other, encodeNames(names)).github.apiUrl).toBe(apiUrl);
  });

  test('that are wrong are all named at once', () => {
    const { CLUSTER: _, ...env } = { ...encodeNames(names), ASSIGN_PUBLIC_IP: 'maybe' };
    const wrong = (): unknown => decodeSettings('{"version":1}', env);
    for (const name of ['fleet', 'github', 'profiles', 'CLUSTER', 'ASSIGN_PUBLIC_IP']) expect(wrong).toThrow(name);
  });

  test.each([undefined, '', 'not JSON', '[]'])('that are missing from the bundle are refused: %j', (text) => {
    expect(() => decodeSettings(text, encodeNames(names))).toThrow("This function's settings are wrong");
  });

  test('are refused when they name an option nobody knows', () => {
    const text = JSON.stringify({ ...choices, profiles: [{ ...aProfile(), turbo: true }] });
    expect(() => decodeSettings(text, encodeNames(names))).toThrow('turbo');
  });
});
