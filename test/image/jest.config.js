import everywhere from '../../jest.config.js';

// Not part of `npm test`: it needs root, buildah and podman, and Debian's packages from the network.
export default {
  ...everywhere,
  rootDir: '../..',
  testMatch: ['<rootDir>/test/image/*.suite.ts'],
  globalSetup: '<rootDir>/test/image/build-once.ts',
  testTimeout: 240_000,
};
