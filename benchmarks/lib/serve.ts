/**
 * What a child process does all its life: answers JSON lines until standard input ends.
 * The side that calls: child.ts. The same in Python: peers/serve.py.
 */
import * as readline from 'node:readline';

type Handler = (args: never) => unknown;

/** One call after the other, in the order in which they came. */
export function serve(handlers: Record<string, Handler>): void {
  let last: Promise<void> = Promise.resolve();
  const answer = async (line: string) => {
    const { id, call, args } = JSON.parse(line) as { id: number; call: string; args: never };
    let reply: object;
    try {
      const handler = handlers[call];
      if (!handler) throw new Error(`there is no call "${call}"`);
      reply = { id, result: (await handler(args)) ?? null };
    } catch (error) {
      reply = { id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    }
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  };
  readline
    .createInterface({ input: process.stdin })
    .on('line', (line) => {
      last = last.then(() => answer(line));
    })
    .on('close', () => last.then(() => process.exit(0)));
}
