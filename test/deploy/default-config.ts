import { defineFleet } from '../../infra/define-fleet.ts';

/** What is deployed unless DEPLOY_CONFIG names another: each kind of capacity, and two profiles that share labels. */
export default defineFleet({
  name: 'deployed',
  github: { owners: ['acme', 'globex'] },
  profiles: {
    small: { labels: ['fargate-small'], cpu: 1, memoryGiB: 4, maxRunners: 4 },
    large: {
      labels: ['fargate-small', 'fargate-large'],
      cpu: 8,
      memoryGiB: 32,
      diskGiB: 60,
      arch: 'arm64',
      capacity: 'spot-preferred',
      maxRunners: 4,
    },
  },
});
