// Deploys as the suite does, says where everything is, and stays until Ctrl-C: `node test/deploy/stay.ts [config]`.
import { fileURLToPath } from 'node:url';
import { DeployedFleet } from './deployed-fleet.ts';
import { arrangeGitHub, placeFor } from './workload.ts';

const ownConfig = fileURLToPath(new URL('default-config.ts', import.meta.url));
const ended = new Promise<void>((resolve) => {
  process.once('SIGINT', resolve);
  process.once('SIGTERM', resolve);
});

const deployed = await DeployedFleet.start(process.argv[2] ?? ownConfig);
try {
  arrangeGitHub(deployed.github, deployed.fleet);
  await deployed.deploy();
  await deployed.putSecrets();
  await Promise.race([deployed.awaitImages(), ended]);
  console.log(`webhook    ${deployed.github.app.webhookUrl}`);
  console.log(`secret     ${deployed.webhookSecret}`);
  console.log(`GitHub     ${deployed.github.apiUrl}`);
  console.log(`AWS        ${deployed.awsUrl}`);
  const { choices } = deployed.fleet;
  for (const profile of choices.profiles) {
    const { repo, labels } = placeFor(profile, choices);
    console.log(`runs-on    [${labels.join(', ')}] in ${repo}`);
  }
  await ended;
} finally {
  await deployed.stop();
}
