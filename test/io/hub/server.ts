/**
 * A server on 127.0.0.1 that speaks the hub's protocol as far as it is used: revisions, listings in
 * pages, files by redirects to another origin, ranges, tokens, and failures on demand.
 */
import { createHash } from 'node:crypto';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface HubRepository {
  /** Path → content. */
  files: Record<string, Buffer>;
  /** Path → id in listings, in place of the checksum. */
  ids?: Record<string, string>;
  /** Branch or tag → commit. */
  refs: Record<string, string>;
  /** The token that may read it; others get 401, `denied` 403. */
  token?: string;
  denied?: boolean;
}

export interface Request {
  method: string;
  path: string;
  range: string | undefined;
  token: string | undefined;
  status: number;
  /** Whether it came to the origin that large files are on. */
  storage: boolean;
}

/** Files from this size are large ones (LFS): named by SHA-256 and given by another origin. */
const LARGE = 1024;
/** Files a page of a listing. */
const PAGE = 3;

export const commitOf = (text: string) => createHash('sha1').update(text).digest('hex');
export const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex');
export const gitBlob = (content: Buffer) =>
  createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');

export class HubServer {
  /** `models/owner/name` or `datasets/owner/name` → repository. */
  readonly repositories = new Map<string, HubRepository>();
  readonly requests: Request[] = [];
  /** Path of a request → what its next answers are in place of the right ones. */
  readonly faults = new Map<RegExp, ('500' | '429' | 'cut' | 'stall' | 'damaged' | 'no ranges' | 'hang up')[]>();
  private readonly main = http.createServer((request, response) => this.answer(request, response, false));
  private readonly storage = http.createServer((request, response) => this.answer(request, response, true));

  async start(): Promise<void> {
    for (const server of [this.main, this.storage]) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    }
  }

  async stop(): Promise<void> {
    for (const server of [this.main, this.storage]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.main.address() as AddressInfo).port}`;
  }

  private answer(request: http.IncomingMessage, response: http.ServerResponse, storage: boolean): unknown {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const path = decodeURIComponent(url.pathname);
    const token = request.headers.authorization?.replace(/^Bearer /, '');
    const entry: Request = {
      method: request.method ?? '',
      path,
      range: request.headers.range,
      token,
      status: 0,
      storage,
    };
    this.requests.push(entry);
    response.on('close', () => {
      entry.status = response.statusCode;
    });
    const fault = this.faultOf(path);
    if (fault === '500' || fault === '429') return response.writeHead(Number(fault)).end('try later');
    if (fault === 'hang up') return request.socket.destroy();
    if (storage) return this.sendLarge(path.slice(1), request, response, fault);
    // A slash in a revision is written %2F, so what is decoded is the parts.
    const api = /^\/api\/(models|datasets)\/(.+?)\/(revision|tree)\/([^/]+)$/.exec(url.pathname);
    const file = /^\/(datasets\/)?(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(path);
    const key = api ? `${api[1]}/${api[2]}` : file ? `${file[1] ? 'datasets' : 'models'}/${file[2]}` : '';
    const repository = this.repositories.get(key);
    const fail = (status: number, code: string) =>
      response
        .writeHead(status, { 'X-Error-Code': code, 'Content-Type': 'application/json' })
        .end(JSON.stringify({ error: code }));
    if (!repository) return fail(token === undefined ? 401 : 404, 'RepoNotFound');
    if (repository.token !== undefined && repository.token !== token) return fail(401, 'GatedRepo');
    if (repository.denied) return fail(403, 'GatedRepo');
    const revision = decodeURIComponent((api?.[4] ?? file?.[3]) as string);
    const commit = repository.refs[revision] ?? Object.values(repository.refs).find((sha) => sha === revision);
    if (commit === undefined) return fail(404, 'RevisionNotFound');
    if (api?.[3] === 'revision') {
      const info = { _id: '1', id: api[2], sha: commit, private: false, downloads: 0, likes: 0, gated: false };
      return response
        .writeHead(200, { 'Content-Type': 'application/json' })
        .end(JSON.stringify({ ...info, lastModified: '2024-01-01T00:00:00.000Z' }));
    }
    if (api) return this.list(repository, url, response);
    const content = repository.files[file![4] as string];
    if (!content) return fail(404, 'EntryNotFound');
    if (content.length < LARGE) {
      return this.send(content, request, response, fault, { ETag: `"${gitBlob(content)}"`, 'X-Repo-Commit': commit });
    }
    const port = (this.storage.address() as AddressInfo).port;
    response
      .writeHead(302, {
        Location: `http://127.0.0.1:${port}/${key}/${file![4]}`,
        'X-Linked-Size': content.length,
        'X-Linked-ETag': `"${sha256(content)}"`,
        'X-Repo-Commit': commit,
      })
      .end();
  }

  private faultOf(path: string) {
    for (const [pattern, faults] of this.faults) if (pattern.test(path) && faults.length > 0) return faults.shift();
    return undefined;
  }

  private list(repository: HubRepository, url: URL, response: http.ServerResponse): unknown {
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const names = Object.keys(repository.files).sort();
    const entries = names.slice(from, from + PAGE).map((path) => {
      const content = repository.files[path] as Buffer;
      const large = content.length >= LARGE && {
        lfs: { oid: sha256(content), size: content.length, pointerSize: 130 },
      };
      return { type: 'file', path, size: content.length, oid: repository.ids?.[path] ?? gitBlob(content), ...large };
    });
    url.searchParams.set('cursor', String(from + PAGE));
    const next = `${this.endpoint}${url.pathname}${url.search}`;
    return response
      .writeHead(200, {
        'Content-Type': 'application/json',
        ...(from + PAGE < names.length && { Link: `<${next}>; rel="next"` }),
      })
      .end(JSON.stringify(entries));
  }

  private sendLarge(
    name: string,
    request: http.IncomingMessage,
    response: http.ServerResponse,
    fault?: string,
  ): unknown {
    const [type, owner, repo, ...path] = name.split('/');
    const content = this.repositories.get(`${type}/${owner}/${repo}`)?.files[path.join('/')];
    if (!content) return response.writeHead(404).end();
    // As S3 does, it names the content by something else.
    return this.send(content, request, response, fault, { ETag: '"d41d8cd98f00b204e9800998ecf8427e-3"' });
  }

  private send(
    content: Buffer,
    request: http.IncomingMessage,
    response: http.ServerResponse,
    fault: string | undefined,
    headers: http.OutgoingHttpHeaders,
  ): unknown {
    const range = fault === 'no ranges' ? null : /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const start = range ? Number(range[1]) : 0;
    const end = range?.[2] ? Math.min(Number(range[2]) + 1, content.length) : content.length;
    const part = Buffer.from(content.subarray(start, end));
    if (fault === 'damaged') part[0] = (part[0] as number) ^ 1;
    response.writeHead(range ? 206 : 200, {
      ...headers,
      'Content-Length': part.length,
      ...(range && { 'Content-Range': `bytes ${start}-${end - 1}/${content.length}` }),
    });
    if (fault !== 'cut' && fault !== 'stall') return response.end(part);
    const half = part.subarray(0, Math.ceil(part.length / 2));
    return response.write(half, () => fault === 'cut' && setTimeout(() => request.socket.destroy(), 50));
  }
}
