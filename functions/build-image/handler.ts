import { setTimeout as pause } from 'node:timers/promises';
import type { Context } from 'aws-lambda';
import { answerDeployment, isDeployment } from '../aws/deployments.ts';
import { imageBuilds } from '../aws/image-builds.ts';
import { runnerImages } from '../aws/runner-images.ts';
import { secretReader } from '../aws/secrets.ts';
import { telemetry } from '../aws/telemetry.ts';
import type { Arch } from '../contracts/with-infra/runner-image.ts';
import { decodeSettings } from '../contracts/with-infra/settings.ts';
import { appClient } from '../github/app-client.ts';
import { findPublicReleases } from '../github/public-releases.ts';
import { githubRunners } from '../github/runners.ts';
import { buildImages, type ImagePorts } from './build-images.ts';
import { findReleases } from './find-releases.ts';

const settings = decodeSettings(process.env.FLEET_CHOICES, process.env);
const { images, github, parameters } = settings;
if (images === undefined) throw new Error('build-image must have images to build, and every profile brings its own');
const { log, measure, flush } = telemetry('build-image', settings.fleet);
const app = appClient({ apiUrl: github.apiUrl, parameters, secrets: secretReader() });
const ports: ImagePorts = {
  ...runnerImages(images.repository),
  ...imageBuilds(images.projects),
  now: Date.now,
  architectures: Object.keys(images.projects) as Arch[],
  source: images.source,
  findReleases: async () =>
    findReleases({ owners: github.owners, listReleases: githubRunners(app).listReleases, findPublicReleases }),
};

/** What is left of the function's time for the answer: three tries of five seconds, with their pauses. */
const marginMs = 17_000;

/** Comes every ten minutes, and with each deployment that changed what images are built from. */
export async function handler(event: unknown, context: Context): Promise<void> {
  const deployment = isDeployment(event) ? event : undefined;
  try {
    const problems =
      deployment?.RequestType === 'Delete'
        ? []
        : await passInTime(deployment !== undefined || isFirstOfHour(), context);
    if (deployment === undefined && problems.length > 0) throw new Error(problems.join('; '));
  } finally {
    flush();
    // No deployment fails for an image that the next hour may build: what there is stays in use.
    if (deployment !== undefined) await answerDeployment(deployment);
  }
}

/** Of the passes of an hour, the one that may build what can wait. */
function isFirstOfHour(): boolean {
  return new Date().getUTCMinutes() < 10;
}

/** AWS or GitHub may hang, each call for seconds: whatever they do, who waits is told. */
async function passInTime(mayReplace: boolean, context: Context): Promise<readonly string[]> {
  const over = new AbortController();
  const tooLong = ['AWS or GitHub took too long'];
  const late = pause(context.getRemainingTimeInMillis() - marginMs, tooLong, over);
  try {
    const problems = await Promise.race([pass(mayReplace), late]);
    for (const note of problems) log('error', 'image: failed', { note });
    return problems;
  } finally {
    over.abort();
  }
}

async function pass(mayReplace: boolean): Promise<readonly string[]> {
  const { verdicts, failures } = await buildImages(mayReplace, ports);
  for (const verdict of verdicts) log(verdict.kind === 'stuck' ? 'warn' : 'info', `image: ${verdict.kind}`, verdict);
  const ages = verdicts.flatMap(({ ageHours }) => ageHours ?? []);
  if (ages.length > 0) measure('ImageAgeHours', Math.max(...ages));
  return [...failures, ...verdicts.filter(({ kind }) => kind === 'stuck').map(({ arch, note }) => `${arch}: ${note}`)];
}
