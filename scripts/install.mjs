/** npm's install script: takes the prebuilt addon of this platform where the package has one that loads, else builds from source. */
import { createRequire } from 'node:module';
import { fail, root, run, say } from './lib/shell.mjs';

try {
  createRequire(import.meta.url)('node-gyp-build')(root);
} catch {
  say(
    `no prebuilt addon for ${process.platform}-${process.arch}: building from source (needs a C++20 compiler and CMake)`,
  );
  if (run(process.execPath, ['scripts/cmake-build.mjs']).status !== 0) fail('The native build failed, see above.');
}
