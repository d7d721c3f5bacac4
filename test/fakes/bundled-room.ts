import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  decodeSettings,
  encodeChoices,
  encodeNames,
  type Choices,
  type NamesToEncode,
} from '../../functions/contracts/with-infra/settings.ts';
import { bundleFunctions, type FunctionName } from '../../infra/function-bundle.ts';
import { LambdaFunction } from '../emulators/aws/lambda.ts';
import type { TurnableClock } from '../emulators/clock.ts';
import { aProfile } from './builders.ts';

/** Every room's code, as it is deployed, for a fleet with one profile. */
export async function bundleRooms({ githubUrl = 'http://127.0.0.1:1' } = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'rooms-'));
  const github = { url: githubUrl, owners: ['acme'] };
  const choices: Choices = { version: 1, fleet: 'ci', github, profiles: [aProfile()] };
  const places = bundleFunctions(choices, directory);
  return {
    /** Begins the name of every runner of this fleet. */
    prefix: decodeSettings(encodeChoices(choices), encodeNames(someNames)).prefix,
    /** One room, with what it wrote. Of the names of the stack a test gives those that matter. */
    start: (
      name: FunctionName,
      {
        clock,
        names = {},
        environment = {},
        timeoutSeconds,
      }: {
        readonly clock: TurnableClock;
        readonly names?: Partial<Omit<NamesToEncode, 'tasks'>> & { readonly tasks?: Partial<NamesToEncode['tasks']> };
        readonly environment?: Readonly<Record<string, string>>;
        readonly timeoutSeconds?: number;
      },
    ) => {
      const logs: string[] = [];
      const room = new LambdaFunction({
        name,
        file: join(places[name], 'index.js'),
        clock,
        environment: {
          ...encodeNames({ ...someNames, ...names, tasks: { ...someNames.tasks, ...names.tasks } }),
          ...environment,
        },
        ...(timeoutSeconds !== undefined && { timeoutSeconds }),
      });
      room.onLog(({ line }) => logs.push(line));
      return { room, logs };
    },
    remove: async () => rm(directory, { recursive: true, force: true }),
  };
}

const someNames: NamesToEncode = {
  fleetId: '111122223333/us-east-1/github-runners-ci',
  tables: { ledger: 'Ledger', claims: 'Claims' },
  queues: { jobs: 'http://127.0.0.1:1/jobs', events: 'http://127.0.0.1:1/events' },
  tasks: {
    cluster: 'runners',
    revisions: { small: '1' },
    subnets: ['subnet-1'],
    securityGroups: ['sg-1'],
    assignPublicIp: 'ENABLED',
  },
  parameters: { appId: '/app-id', appKey: '/app-key', webhookSecret: '/webhook-secret' },
};
