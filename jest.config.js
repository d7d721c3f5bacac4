export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '^.+\\.ts$': '@swc/jest' },
  setupFiles: ['<rootDir>/test/setup.ts'],
  collectCoverageFrom: ['functions/**/*.ts', 'infra/**/*.ts', 'cli/**/*.ts'],
};
