import everywhere from '../../jest.config.js';

// Not part of `npm test`: it needs Python, installs from PyPI, and takes minutes.
export default {
  ...everywhere,
  rootDir: '../..',
  testMatch: ['<rootDir>/test/deploy/*.suite.ts'],
};
