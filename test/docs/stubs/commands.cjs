/**
 * What stands for the programs that pages of docs/ call, so that their commands run anywhere,
 * without network and in seconds. `fused-lora` is the built command line itself; of what takes long
 * (benchmarks, set-up, peers in Python) the names of scripts and options are checked.
 */
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const ROOT = path.join(__dirname, '..', '..', '..');
const [, , name, ...args] = process.argv;

function fail(message) {
  process.stderr.write(`docs-test: ${[name, ...args].join(' ')}: ${message}\n`);
  process.exit(97);
}

function exec(file, rest) {
  const { status } = spawnSync(process.execPath, [file, ...rest], { stdio: 'inherit' });
  process.exit(status ?? 98);
}

const flagsIn = (words) =>
  words.filter((word) => word.startsWith('--') && word !== '--').map((word) => word.split('=')[0]);

/** Options that a script does not name would be refused, or do nothing. */
function checkFlags(words, files) {
  const text = files.map((file) => fs.readFileSync(path.join(ROOT, file), 'utf8')).join('\n');
  for (const flag of flagsIn(words)) {
    const option = flag.slice(2);
    const camel = option.replace(/-(.)/g, (_, c) => c.toUpperCase());
    if (!new RegExp(`(['"]?--)?\\b(${option}|${camel})\\b`).test(text)) fail(`${files[0]} has no option ${flag}`);
  }
}

function fusedLora(words) {
  if (words[0] !== 'bench') return exec(path.join(ROOT, 'dist', 'cli', 'main.js'), words);
  // The package's command is one file, and gives nothing away.
  const { makeProgram } = require('tsx/cjs/api').require(path.join(ROOT, 'src', 'cli', 'program.ts'), __filename);
  const bench = makeProgram().commands.find((command) => command.name() === 'bench');
  const { unknown, operands } = bench.parseOptions(words.slice(1));
  if (unknown.length + operands.length > 0) fail(`bench does not take ${[...unknown, ...operands].join(' ')}`);
}

function npm([command, script, ...rest]) {
  if (['install', 'ci', 'test', 'init', 'rebuild', 'pack'].includes(command)) return;
  if (command !== 'run') return fail('this npm command is not known to the test');
  const text = require(path.join(ROOT, 'package.json')).scripts[script];
  if (text === undefined) return fail(`package.json has no script ${script}`);
  const files = text.match(/\b(scripts|benchmarks)\/[\w/]+\.(mjs|ts)\b/g) ?? [];
  if (flagsIn(rest).length > 0)
    checkFlags(rest, [...files, ...(files.some((f) => f.startsWith('benchmarks')) ? ['benchmarks/lib/main.ts'] : [])]);
}

function npx([command, ...rest]) {
  if (command === 'fused-lora') return fusedLora(rest);
  const inProject = rest.find((word) => !word.startsWith('-'));
  if (command === 'tsx' && fs.existsSync(inProject))
    return exec(path.join(ROOT, 'node_modules', 'tsx', 'dist', 'cli.mjs'), rest);
  if ((command === 'tsx' || command === 'jest') && fs.existsSync(path.join(ROOT, inProject))) return;
  fail('npx of this is not known to the test, or its file is not there');
}

/** Peers in Python are not installed where tests run. */
function python(words) {
  if (words[0] === '-c') return process.stdout.write('roberta-base\n');
  const script = words.find((word) => word.endsWith('.py'));
  if (script === undefined || !fs.existsSync(path.join(ROOT, script))) return fail('there is no such script');
  checkFlags(words, [script]);
}

/** A request to a server of the page: -d sends a body. */
async function curl(words) {
  const flag = words.find((word) => word === '-d' || word === '--json');
  const body = flag === undefined ? undefined : words[words.indexOf(flag) + 1];
  const headers = flag === '--json' ? { 'content-type': 'application/json' } : {};
  const url = words.find((word) => /^(http:\/\/)?localhost/.test(word));
  if (url === undefined) return fail('it is no address of this machine');
  for (let attempt = 0; ; attempt++) {
    try {
      const answer = await fetch(
        url.replace(/^(http:\/\/)?/, 'http://'),
        body === undefined ? {} : { method: 'POST', body, headers },
      );
      return process.stdout.write(await answer.text());
    } catch (error) {
      if (attempt === 300) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

const COMMANDS = { npm, npx, 'fused-lora': fusedLora, python, python3: python, curl };
Promise.resolve(COMMANDS[name](args)).catch((error) => fail(error.message));
