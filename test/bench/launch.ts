import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { mostReceives, visibilitySeconds } from '../../functions/contracts/with-infra/queue-limits.ts';
import { measureEnds } from './launch/ends.ts';
import { measureLaunches, type Burst, type LaunchFigures } from './launch/launches.ts';
import { queueEvent, type DeliveryShape } from './launch/poller.ts';
import { tableOf } from './launch/table.ts';

// What launches and ends cost: calls, time, CPU time and conflicts of the bundles that are deployed, against a stub of AWS and GitHub with
// latencies. No figure is an error. A job without exactly one task is one, and so is a lease without a task: then the exit code is 1.
//   node test/bench/launch.ts                     everything
//   node test/bench/launch.ts --bursts 1,5        these bursts alone
//   node test/bench/launch.ts --ends              the ends alone
//   --json FILE                                   the figures for a machine, too

const fromQueue = { eventOf: queueEvent, comesBackAfterMs: visibilitySeconds * 1000, mostReceives };
/** As in infra/rooms/scale-up.ts. */
const launchShape: DeliveryShape = { ...fromQueue, batchSize: 10, windowMs: 0, atOnce: 10 };
/** As in infra/rooms/task-stopped.ts. */
const endShape: DeliveryShape = { ...fromQueue, batchSize: 40, windowMs: 1000, atOnce: 5 };

const oneAtATime = { runs: 15, runTaskMs: 40, shape: { ...launchShape, atOnce: 1 } };
const bursts: readonly Burst[] = [
  { ...oneAtATime, jobs: 1 },
  { ...oneAtATime, jobs: 5 },
  { jobs: 100, runs: 1, runTaskMs: 40, shape: launchShape },
  { jobs: 1000, runs: 1, runTaskMs: 700, shape: launchShape },
];

const { values: asked } = parseArgs({
  options: {
    bursts: { type: 'string' },
    ends: { type: 'boolean' },
    json: { type: 'string' },
  },
});
const everything = asked.bursts === undefined && asked.ends === undefined;

const launches: LaunchFigures[] = [];
for (const burst of bursts) {
  if (everything || asked.bursts?.split(',').includes(String(burst.jobs))) launches.push(await measureLaunches(burst));
}
const ends =
  everything || asked.ends === true ? await measureEnds({ ends: 1000, withinMs: 10_000, shape: endShape }) : undefined;

console.log(`Each environment had one call before. An AWS call takes 40 ms (RunTask in the burst of 1000: 700 ms), a GitHub call 120 ms.
The environments share the cores of this machine. Times of bursts that ran more than once are medians.
`);
console.log(tableOf({ launches, ends }));
if (asked.json !== undefined) writeFileSync(asked.json, `${JSON.stringify({ launches, ends }, null, 2)}\n`);

const problems = [...launches, ...(ends === undefined ? [] : [ends])].flatMap((one) => one.problems);
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
