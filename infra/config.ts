import { defineFleet } from './define-fleet.ts';

// What an operator edits. Every option is described where it is declared (define-fleet.ts, fleet-config/read-profile.ts)
// and in docs/configuration.md; all that is wrong is told at once by `npm run synth`.
export default defineFleet({
  // Begins the name of the stack (github-runners-ci) and of every runner.
  name: 'ci',

  github: {
    // Or a GitHub Enterprise Server, or https://SUB.ghe.com.
    url: 'https://github.com',
    // Whose jobs are served: orgs, personal accounts. A delivery from anybody else starts nothing.
    owners: ['acme'],
  },

  // A job gets the profile that has all labels it asks for: `runs-on: [self-hosted, fargate-small]`.
  profiles: {
    small: {
      labels: ['fargate-small'],
      cpu: 2,
      memoryGiB: 8,
      maxRunners: 50,
    },
    large: {
      labels: ['fargate-large'],
      cpu: 8,
      memoryGiB: 32,
      diskGiB: 60,
      arch: 'arm64',
      // Spot while AWS has it, on demand otherwise. A job on an interrupted Spot task fails.
      capacity: 'spot-preferred',
      maxRunners: 20,
      // Two runners wait for jobs during working hours, so that nobody waits for them:
      // warm: [{ scope: 'acme', count: 2, days: 'MON-FRI', from: '08:00', to: '18:00', timezone: 'Europe/Berlin' }],
    },
    // For jobs that use Docker. It costs a NAT gateway, always, and trusts its jobs with more: docs/docker.md.
    // docker: { labels: ['docker'], docker: true, cpu: 4, capacity: 'spot-preferred' },
  },

  // Where runners live. Without it: a VPC of the fleet's own, public subnets, an address for each task, no way in. What
  // each kind reaches and costs is in docs/network.md.
  // network: { kind: 'private' },
  // network: { kind: 'existing', vpcId: 'vpc-0a1b2c3d4e5f67890', subnetIds: ['subnet-0a1b2c3d4e5f67890'] },

  // What is in the image that this stack builds: whether jobs may use sudo, whether they find a compiler.
  // runnerImage: { sudo: false, buildTools: true },

  // Backups of the ledger, and what stays in the account when the stack is deleted.
  // pointInTimeRecovery: true,
  // keepOnDestroy: ['ledger', 'logs'],

  // The KMS key that the three secrets are encrypted with, if it is not the account's own for Parameter Store.
  // parametersKey: 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab',
});
