import { Engine } from './engine.ts';
import { StandInRelease } from './stand-in-release.ts';
import { runnerImage } from './container-task.ts';

/** What is known of the image that the suites look at. */
export const built = { BUILD_DATE: '2026-11-21T12:00:00Z', REVISION: 'abc123' };

/** jest runs it before all suites: they look at one image, built as the stack's own build does it. */
export default async function buildOnce(): Promise<void> {
  const engine = await Engine.open();
  const release = await StandInRelease.start();
  try {
    const { code, stdout, stderr } = await engine.build({
      tag: runnerImage,
      arguments: {
        RUNNER_VERSION: release.version,
        RUNNER_URL: release.urlOf(release.runner),
        RUNNER_SHA256: release.runner.sha256,
        ...built,
      },
    });
    if (code !== 0)
      throw new Error(`the image must be built, but buildah said:\n${stdout.slice(-3000)}${stderr.slice(-3000)}`);
  } finally {
    await release.stop();
  }
}
