import { setTimeout as pause } from 'node:timers/promises';
import type { Context } from 'aws-lambda';
import { answerDeployment, type Deployment } from '../aws/deployments.ts';
import { runnerTasks } from '../aws/runner-tasks.ts';
import { telemetry } from '../aws/telemetry.ts';
import { decodeSettings } from '../contracts/with-infra/settings.ts';
import { endFleet } from './end-fleet.ts';

const settings = decodeSettings(process.env.FLEET_CHOICES, process.env);
const { log } = telemetry('end-fleet', settings.fleet);
const ports = { ...runnerTasks(settings), now: Date.now, pause: async (ms: number) => pause(ms) };
/** What is left of the function's time when CloudFormation is told. */
const marginMs = 30_000;

/** CloudFormation asks when it makes, changes and deletes the stack; only a deletion has something to do here. */
export async function handler(event: Deployment, context: Context): Promise<void> {
  let problem: string | undefined = 'the tasks of the fleet could not be stopped; see the log of end-fleet';
  try {
    problem = event.RequestType === 'Delete' ? await end(context) : undefined;
  } finally {
    await answerDeployment(event, problem);
  }
}

async function end(context: Context): Promise<string | undefined> {
  const verdict = await endFleet(Date.now() + context.getRemainingTimeInMillis() - marginMs, ports);
  log(verdict.problem === undefined ? 'info' : 'error', 'fleet: ended', verdict);
  return verdict.problem;
}
