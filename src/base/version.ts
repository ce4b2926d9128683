/**
 * The version of this package, as files, reports and the addon name it. A constant, so that it is
 * right in a bundle too; test/base/version.test.ts holds it to package.json.
 */
export const VERSION = '0.1.0';
