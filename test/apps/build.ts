/**
 * Puts a version of a sample service into a directory, as a deploy would: whole and at once, or in place; good or
 * broken.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { chmod, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { payload, slowBody } from './contract.ts';

export type AppName = 'c' | 'go' | 'gunicorn' | 'nginx' | 'node' | 'puma';

/**
 * - `exits-at-once`: exits with a code other than 0 before it listens;
 * - `never-ready`: runs, and never accepts a connection;
 * - `not-executable`: whole, without execute permission; only for apps whose program is itself executed (`c`, `go`);
 * - `crashes-after-start`: serves, and dies of a signal half a second later; all but `nginx`;
 * - `fills-memory`: takes all the memory that it gets, and never listens; `c` alone.
 */
export type Variant =
  | 'good'
  | 'exits-at-once'
  | 'never-ready'
  | 'not-executable'
  | 'crashes-after-start'
  | 'fills-memory';

export interface BuildOptions {
  /** Default `good`. */
  readonly variant?: Variant;
  /**
   * `rename`: written beside it and renamed over it, the default. `in-place`: the same inode, truncated and written.
   */
  readonly replace?: 'rename' | 'in-place';
  /** nginx alone has to be told the address of the socket that it inherits: `127.0.0.1:8080`, `unix:/run/app.sock`. */
  readonly listen?: string;
}

export interface AppBuild {
  /** Stays the same from version to version. */
  readonly command: readonly [string, ...string[]];
  /** What changes with the version. */
  readonly watch: readonly string[];
  /** Everything that was put there. */
  readonly files: readonly string[];
  /** Asks for a graceful stop. */
  readonly stopSignal: 'SIGTERM' | 'SIGQUIT';
  /** To be added to the environment. */
  readonly environment: Readonly<Record<string, string>>;
}

interface Recipe {
  /** Commands that it needs on PATH. */
  readonly needs: readonly string[];
  /** Name of the file that has the version in it. */
  readonly program: string;
  readonly variants: readonly Variant[];
  readonly make: (job: Job) => Promise<Buffer>;
  /** Files that every version shares. */
  readonly shared?: Readonly<Record<string, () => Buffer | Promise<Buffer>>>;
  readonly command: (program: string, directory: string) => [string, ...string[]];
  readonly executed?: boolean;
  readonly stopSignal?: 'SIGQUIT';
  readonly environment?: Readonly<Record<string, string>>;
}

interface Job {
  readonly version: string;
  readonly variant: Variant;
  readonly directory: string;
  readonly listen: string | undefined;
}

const run = promisify(execFile);
const here = import.meta.dirname;
const scripted: readonly Variant[] = ['good', 'exits-at-once', 'never-ready', 'crashes-after-start'];
const compiled: readonly Variant[] = [...scripted, 'not-executable'];

const recipes: Record<AppName, Recipe> = {
  c: {
    needs: ['cc'],
    program: 'app',
    variants: [...compiled, 'fills-memory'],
    executed: true,
    // Static, so that it runs in any base image.
    make: (job) =>
      compile('c', 'app.c', job, (output) => [
        'cc',
        ['-std=c11', '-D_GNU_SOURCE', '-O2', `-DVERSION="${job.version}"`, `-D${constantName(job.variant)}`],
        ['-static', '-o', output, 'app.c'],
      ]),
    command: (program) => [program],
  },
  go: {
    needs: ['go'],
    program: 'app',
    variants: compiled,
    executed: true,
    make: (job) =>
      compile('go', 'main.go', job, (output) => [
        'go',
        ['build', '-ldflags', `-s -w -X main.version=${job.version} -X main.variant=${job.variant}`],
        ['-o', output, '.'],
      ]),
    command: (program) => [program],
  },
  gunicorn: {
    needs: ['gunicorn'],
    program: 'app.py',
    variants: scripted,
    make: (job) => template('gunicorn/app.py', job),
    command: (_, directory) => [
      find('gunicorn'),
      ...['--chdir', directory, '--workers', '2', '--timeout', '60', '--graceful-timeout', '60'],
      ...['--backlog', '4096', '--log-level', 'warning', 'app:app'],
    ],
    // A .pyc is matched by size and whole seconds of mtime: two versions within one second would be the same to Python.
    environment: { PYTHONDONTWRITEBYTECODE: '1' },
  },
  nginx: {
    needs: ['nginx'],
    program: 'nginx.conf',
    variants: ['good', 'exits-at-once', 'never-ready'],
    make: nginxConfiguration,
    shared: { 'slow.bin': () => slowBody },
    command: (program, directory) => [find('nginx'), '-p', directory, '-e', 'stderr', '-c', program],
    stopSignal: 'SIGQUIT',
    environment: { NGINX: '3;' },
  },
  node: {
    needs: [],
    program: 'app.mjs',
    variants: scripted,
    make: (job) => template('node/app.mjs', job),
    command: (program) => [process.execPath, program],
  },
  puma: {
    needs: ['puma'],
    program: 'config.ru',
    variants: scripted,
    make: (job) => template('puma/config.ru', job),
    shared: { 'puma.rb': () => readFile(join(here, 'puma/puma.rb')) },
    command: (program, directory) => [find('puma'), '-C', join(directory, 'puma.rb'), program],
  },
};

export const appNames = Object.keys(recipes) as AppName[];

/** The commands that this machine lacks for building and running the app; empty when it can. */
export const missingFor = (name: AppName): string[] =>
  recipes[name].needs.filter((command) => !which(command));

/**
 * Builds `version` (letters, digits, `.`, `_`, `-`) of an app into `directory`, which is created; once more for an
 * update.
 */
export async function buildApp(
  name: AppName,
  version: string,
  directory: string,
  { variant = 'good', replace = 'rename', listen }: BuildOptions = {},
): Promise<AppBuild> {
  const recipe = recipes[name];
  if (!/^[\w.-]+$/.test(version)) throw new Error(`version "${version}": use letters, digits, ".", "_", "-"`);
  if (!recipe.variants.includes(variant)) {
    throw new Error(`${name} has no variant "${variant}": use one of ${recipe.variants.join(', ')}`);
  }
  await mkdir(directory, { recursive: true });
  const shared = await Promise.all(
    Object.entries(recipe.shared ?? {}).map(async ([file, content]) => {
      const path = join(directory, file);
      // Left alone when it is there: the running version may be reading it.
      if (!(await stat(path).catch(() => null))) await put(path, await content(), 0o644, 'rename');
      return path;
    }),
  );
  const program = join(directory, recipe.program);
  const content = await recipe.make({ version, variant, directory, listen });
  await put(program, content, recipe.executed && variant !== 'not-executable' ? 0o755 : 0o644, replace);
  return {
    command: recipe.command(program, directory),
    watch: [program],
    files: [program, ...shared],
    stopSignal: recipe.stopSignal ?? 'SIGTERM',
    environment: recipe.environment ?? {},
  };
}

let puts = 0;

async function put(path: string, content: Buffer, mode: number, replace: 'rename' | 'in-place') {
  const target = replace === 'rename' ? `${path}.${process.pid}.${++puts}.new` : path;
  await writeFile(target, content);
  await chmod(target, mode);
  if (target !== path) await rename(target, path);
}

/** Compiles once for each source, version and variant, into build/apps. */
async function compile(
  folder: string,
  source: string,
  { version, variant }: Job,
  commandLine: (output: string) => [string, string[], string[]],
): Promise<Buffer> {
  const cwd = join(here, folder);
  const digest = createHash('sha256').update(await readFile(join(cwd, source)));
  const key = digest.update(commandLine('').flat().join('\0')).digest('hex').slice(0, 16);
  const cache = join(here, '../../build/apps');
  const output = join(cache, `${folder}-${version}-${variant}-${key}`);
  const cached = await readFile(output).catch(() => null);
  if (cached) return cached;
  await mkdir(cache, { recursive: true });
  const fresh = `${output}.${process.pid}.${++puts}`;
  const [compiler, flags, rest] = commandLine(fresh);
  const { GOCACHE: goCache } = process.env;
  await run(find(compiler), [...flags, ...rest], {
    cwd,
    env: {
      ...process.env,
      CGO_ENABLED: '0',
      GO111MODULE: 'on',
      GOFLAGS: '-mod=mod -buildvcs=false',
      GOPROXY: 'off',
      GOCACHE: goCache ?? join(cache, 'go-cache'),
    },
  });
  await rename(fresh, output);
  return readFile(output);
}

async function template(file: string, job: Job): Promise<Buffer> {
  return Buffer.from(fill(await readFile(join(here, file), 'utf8'), job));
}

const fill = (text: string, { version, variant }: Job) =>
  text.replaceAll('@VERSION@', version).replaceAll('@VARIANT@', variant);

async function nginxConfiguration(job: Job): Promise<Buffer> {
  if (!job.listen)
    throw new Error('nginx needs the address of its inherited socket: set listen to "HOST:PORT"');
  const text = fill(await readFile(join(here, 'nginx/nginx.conf'), 'utf8'), job)
    .replace('@USER@', process.getuid?.() === 0 ? 'user root;' : '')
    .replaceAll('@DIRECTORY@', job.directory)
    .replace('@LISTEN@', job.listen)
    .replace('@PAYLOAD@', payload)
    .replace('@RATES@', slowRates().join('\n        '));
  switch (job.variant) {
    case 'exits-at-once':
      return Buffer.from(`${text}\nthis is no directive;\n`);
    case 'never-ready':
      return Buffer.from(text.slice(0, text.indexOf('http {')));
    default:
      return Buffer.from(text);
  }
}

/** limit_rate sends one second's worth at once and then by whole seconds, the first of which may be short: two more. */
function slowRates(): string[] {
  const rate = (seconds: number) => Math.ceil(slowBody.length / (seconds + 2));
  const lines = Array.from({ length: 60 }, (_, index) => `${index + 1}000 ${rate(index + 1)};`);
  return [`default ${rate(20)};`, ...lines];
}

/** `never-ready` → `NEVER_READY` */
const constantName = (variant: Variant) => variant.replaceAll('-', '_').toUpperCase();

/** Where `PATH` has a command. */
export function which(command: string): string | null {
  const { PATH = '' } = process.env;
  for (const directory of PATH.split(delimiter)) {
    const path = join(directory, command);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not here
    }
  }
  return null;
}

function find(command: string): string {
  const path = which(command);
  if (!path) throw new Error(`${command} is not on PATH: install it to build the sample services`);
  return path;
}
