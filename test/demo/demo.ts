/**
 * `make demo`: a program is replaced under load, again and again, well and badly, while every request is counted.
 * Exits 1 when one of them failed or a handover did not go as it should, 130 after Ctrl-C.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type BuildOptions, buildApp } from '../apps/build.ts';
import { failuresOf } from './loads.ts';
import { probe, untilStatus } from './probes.ts';
import {
  number,
  print,
  printEvent,
  printFacts,
  printHeader,
  printLoads,
  printNote,
  printVerdict,
} from './screen.ts';
import { Stage } from './stage.ts';

/** Many times what it takes: when this is over, something hangs. */
const LIMIT_MS = 120_000;
/** Answers while the container is being drained: fewer than its --drain-delay has room for. */
const LAME_DUCK_ANSWERS = 100;
const LOG_FILE = join(import.meta.dirname, '../../build/demo.log');

/** What is put on the volume, in this order. */
const versions = {
  v1: {},
  v2: {},
  v3: { replace: 'in-place' },
  v4: { variant: 'exits-at-once' },
  v5: {},
  v6: { variant: 'never-ready' },
  v7: {},
  v8: {},
  v9: { replace: 'in-place' },
} as const satisfies Record<string, BuildOptions>;

async function main(): Promise<number> {
  await using cleanup = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'baton-demo-'));
  cleanup.defer(() => rm(directory, { recursive: true, force: true }));
  return await Promise.race([perform(directory, cleanup), interruption(), overtime()]);
}

async function perform(directory: string, cleanup: AsyncDisposableStack): Promise<number> {
  // Beforehand, since a compiler beside the load would be measured as well.
  for (const [version, options] of Object.entries(versions))
    await buildApp('c', version, join(directory, 'built'), options);
  const stage = cleanup.use(await Stage.open(directory));
  cleanup.defer(() => saveLog(stage));

  print(`A service on 127.0.0.1:${stage.port}; its program, on a volume, changes under load.`);
  print(`Baton is ${stage.container.role}.`);
  print();
  printHeader();
  const failures = [...(await play(stage)), ...stage.surprises];
  print();
  printVerdict(failures);
  return failures.length > 0 ? 1 : 0;
}

/** @returns what failed, in words */
async function play(stage: Stage): Promise<string[]> {
  const serving = new AbortController();
  const probing = probe(stage.healthPort, '/readyz', serving.signal);
  const put = (version: keyof typeof versions) => stage.put(version, versions[version]);

  await stage.handover('the container starts', () => {});
  await stage.handover('v2 renamed over it', () => put('v2'));
  await stage.handover('v3 written in place', () => put('v3'));
  await stage.handover('v4, exits at once', () => put('v4'), 'failed');
  await stage.handover('v5 renamed over it', () => put('v5'));
  await stage.handover('v6, never gets ready', () => put('v6'), 'failed');
  await stage.handover('v7, and kill -9 of the agent', async () => {
    const from = stage.container.log.length;
    await put('v7');
    await stage.container.line((log) => log.slice(from).find(({ msg }) => msg === 'change seen'));
    await stage.container.killAgent();
  });
  printNote('the agent died in the middle of it, PID 1 started another, and that one carried on');
  await stage.handover('kill -HUP, v7 started anew', () => stage.container.signal('SIGHUP'));
  await stage.handover('v8 renamed over it', () => put('v8'));
  await stage.handover('v9 written in place', () => put('v9'));

  serving.abort();
  const probes = await probing;
  const { reports, exit } = await stop(stage);
  print();
  printLoads(reports);
  print();
  const promoted = stage.outcomes.filter((outcome) => outcome === 'promoted').length;
  const failed = stage.outcomes.length - promoted;
  printFacts([
    ['handovers', `${stage.outcomes.length}: ${promoted} promoted, ${failed} broken versions failed`],
    ['agent kills', '1, in the middle of a handover'],
    ['downloads', `${stage.loads.outlived} ended on a generation that had been replaced meanwhile`],
    [
      '/readyz',
      `${number(probes.count)} probes, ${probes.failures.length} failed, slowest ${probes.slowest.toFixed(1)} ms`,
    ],
    ['exit code', `${exit}`],
    ["Baton's log", relative(process.cwd(), LOG_FILE)],
  ]);
  return [
    ...reports.flatMap(([name, report]) =>
      failuresOf(report) === 0
        ? []
        : report.samples.map(({ kind, detail, at }) => `${name}: ${kind} at ${at.toFixed(3)} s: ${detail}`),
    ),
    ...probes.failures,
    ...(exit === 0 ? [] : [`Baton ended with ${exit}, where 0 was expected`]),
  ];
}

/**
 * As an orchestrator ends a container: the load balancer sees /readyz, and looks away while everything is still
 * served.
 */
async function stop(stage: Stage) {
  const { container, healthPort, loads } = stage;
  container.signal('SIGTERM');
  await untilStatus(healthPort, '/readyz', 503);
  const before = loads.totals.requests;
  await loads.served(LAME_DUCK_ANSWERS);
  printEvent(
    stage.seconds,
    'SIGTERM',
    `/readyz says 503, and ${loads.totals.requests - before} more requests are answered`,
  );
  const reports = await loads.stop();
  const { code, signal } = await container.exit;
  printEvent(stage.seconds, `exit code ${code ?? signal}`, 'after the downloads under way');
  return { reports, exit: code ?? signal };
}

function interruption(): Promise<number> {
  return new Promise((resolve) => {
    const interrupted = () => resolve(130);
    process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  });
}

async function overtime(): Promise<number> {
  await delay(LIMIT_MS, undefined, { ref: false });
  printVerdict([`The demo took longer than ${LIMIT_MS / 1000} s. Baton's log: ${LOG_FILE}`]);
  return 1;
}

async function saveLog({ container }: Stage): Promise<void> {
  await mkdir(dirname(LOG_FILE), { recursive: true });
  await writeFile(LOG_FILE, container.output);
}

const code = await main().catch((error: Error) => {
  printVerdict([`The demo failed: ${error.message.trim()}`]);
  return 1;
});
// Whoever lost the race above still waits for something that will not come.
process.exit(code);
