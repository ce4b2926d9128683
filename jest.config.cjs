/** Tests run on the TypeScript sources; `npm test` type-checks separately. */
const swc = ['@swc/jest', { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'commonjs' } }];
/** ECMAScript modules that src, or fastify's inject, imports when needed; Jest runs CommonJS. */
const modules = 'node_modules/(hyparquet|hyparquet-compressors|hysnappy|fzstd|cookie)/.+\\.js$';

module.exports = {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  transform: { '^.+\\.ts$': swc, [modules]: swc },
  transformIgnorePatterns: [`node_modules/(?!(hyparquet|hyparquet-compressors|hysnappy|fzstd|cookie)/)`],
  testTimeout: 60000,
  maxWorkers: 2,
};
