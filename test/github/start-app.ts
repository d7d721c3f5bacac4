import { GitHubError } from '../../functions/contracts/with-github/errors.ts';
import { appClient, type AppClient } from '../../functions/github/app-client.ts';
import { startAcme } from '../emulators/github/start-acme.ts';
import type { AnsweredRequest, GitHubOptions } from '../emulators/github/server.ts';

export type AppOnAcme = Awaited<ReturnType<typeof startAcme>> & {
  readonly app: AppClient;
  /** What the emulator was asked, oldest first. */
  readonly asked: AnsweredRequest[];
  /** The parameters as the operator has written them; a test may write them anew. */
  readonly secrets: { appId: string; appKey: string };
};

/** Our client against a GitHub with `acme/app` and `dev/toy`, on its clock. */
export async function startApp(options: Partial<GitHubOptions> = {}): Promise<AppOnAcme> {
  const acme = await startAcme(options);
  const secrets = { appId: acme.github.app.id, appKey: acme.github.app.privateKey };
  const asked: AnsweredRequest[] = [];
  acme.github.on('request', (request) => asked.push(request));
  const app = appClient({
    apiUrl: acme.github.apiUrl,
    parameters: { appId: 'appId', appKey: 'appKey' },
    secrets: { read: async (parameter) => Promise.resolve(secrets[parameter as keyof typeof secrets]) },
    now: () => acme.clock.now(),
  });
  /** @throws Error naming what of the calls and answers was not as GitHub describes its API */
  const stop = async (): Promise<void> => {
    await acme.stop();
    const [violation] = acme.github.contractViolations;
    if (violation !== undefined) throw new Error(`GitHub's API description was not kept: ${JSON.stringify(violation)}`);
  };
  return { ...acme, app, asked, secrets, stop };
}

/** The error that a call ends with, which must be one of ours. */
export async function errorOf(call: Promise<unknown>): Promise<GitHubError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof GitHubError) return error;
  throw new Error(`the call must fail with a GitHubError, got ${String(error)}`);
}
