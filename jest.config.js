export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '^.+\\.ts$': '@swc/jest' },
  // Many tests start processes, on whatever machine this is: a deadline is for what hangs, not for what is slow.
  testTimeout: 60_000,
  setupFiles: ['<rootDir>/test/setup.ts'],
  collectCoverageFrom: ['functions/**/*.ts', 'infra/**/*.ts', 'cli/**/*.ts'],
};
