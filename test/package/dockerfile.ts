/**
 * The steps of a Dockerfile in a folder, without Docker: WORKDIR, RUN, COPY, and what CMD and
 * HEALTHCHECK then say. Where it stands: docs/serving.md; the test that runs it: install.test.ts.
 */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { blocksOf } from '../docs/markdown';

export interface DockerImage {
  /** What WORKDIR is here. */
  folder: string;
  /** Of the image that it starts from: the number of `node:22-slim`. */
  nodeVersion: number;
  /** Of EXPOSE. */
  port: number;
  command: string[];
  /** A command for a shell. */
  healthcheck: string;
}

/** Asynchronous: a registry may answer in this process. */
export function shell(
  command: string,
  folder: string,
  env: NodeJS.ProcessEnv,
): Promise<{ status: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn('/bin/sh', ['-c', command], { cwd: folder, env });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data: Buffer) => {
        output += data.toString();
      });
    child.on('close', (status) => resolve({ status, output }));
  });
}

/**
 * @param page whose one block in `dockerfile` is taken.
 * @param context the folder that COPY takes from.
 * @throws what a step prints that fails; for a step that is not known here.
 */
export async function runDockerfile(
  page: string,
  context: string,
  root: string,
  env: NodeJS.ProcessEnv,
): Promise<DockerImage> {
  const [block] = blocksOf(page).filter(({ language }) => language === 'dockerfile');
  const image: DockerImage = { folder: root, nodeVersion: 0, port: 0, command: [], healthcheck: '' };
  for (const line of (block?.code ?? '').split('\n').filter((text) => text.trim() !== '')) {
    const [, step, rest] = /^([A-Z]+) (.*)$/.exec(line) as unknown as [string, string, string];
    if (step === 'FROM') image.nodeVersion = Number(/^node:(\d+)/.exec(rest)?.[1]);
    else if (step === 'WORKDIR') {
      image.folder = path.join(root, rest);
      fs.mkdirSync(image.folder, { recursive: true });
    } else if (step === 'COPY') {
      const [from, to] = rest.split(' ') as [string, string];
      fs.cpSync(path.join(context, from), path.join(image.folder, to), { recursive: true });
    } else if (step === 'RUN') {
      const { status, output } = await shell(rest, image.folder, env);
      if (status !== 0) throw new Error(`${line}\nended with ${status}:\n${output}`);
    } else if (step === 'EXPOSE') image.port = Number(rest);
    else if (step === 'HEALTHCHECK') image.healthcheck = rest.replace(/^CMD /, '');
    else if (step === 'CMD') image.command = JSON.parse(rest);
    else if (step !== 'USER') throw new Error(`nothing here runs ${line}`);
  }
  return image;
}
