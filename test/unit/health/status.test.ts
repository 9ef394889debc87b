import { describe, expect, test } from 'vitest';
import { initialState, project, step } from '../../../agent/handover/machine.ts';
import type { Outcome, State } from '../../../agent/handover/state.ts';
import { createMetrics } from '../../../agent/health/metrics.ts';
import { pagesOf, statusLine, statusOf } from '../../../agent/health/status.ts';
import { loadConfig } from '../../../config/load.ts';

const loaded = await loadConfig({
  argvOptions: { listen: [':80'] },
  command: ['server', '--password=hunter2'],
  environment: {},
});
if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
const { config } = loaded;

const promoted: Outcome = {
  result: 'promoted',
  generation: 3,
  by: 'watch',
  reason: '',
  duration: 120,
  at: 5000,
  digest: 'abc',
};

const serving: State = {
  ...initialState(),
  active: {
    id: 3,
    artifact: { digest: 'abc', path: '/run/baton/1/abc/server', source: '/srv/server' },
    processes: [{ key: '3.0.4', instance: 0, pid: 12, state: 'ready', readyBy: 0, stop: null }],
  },
  lastGeneration: 3,
  history: [promoted],
};

const listeners = [{ name: 'web', address: 'tcp://[::]:80', inode: 7 }];
const around = {
  config,
  listeners,
  health: 'tcp://[::]:9901',
  watching: 'inotify',
  limits: { cpu: 0.5, memory: null },
  epoch: Date.UTC(2026, 0, 1),
};
const pages = (state: State) => {
  const projection = project(config, state);
  const status = statusOf(state, projection, around);
  const all = pagesOf(status, projection, { type: 'text/plain', body: 'metrics\n' });
  return new Map(all.map((page) => [page.path, page]));
};
const codes = (state: State) =>
  ['/livez', '/readyz', '/startupz'].map((path) => pages(state).get(path)?.status);

test('no page shows the arguments of the program, which may hold secrets', () => {
  const bodies = [...pages(serving).values()].map(({ body }) => body).join('');
  expect(bodies).toContain('"program":"server"');
  expect(bodies).not.toContain('hunter2');
});

const drained = step(config, serving, { type: 'drain', event: 1, at: 9000 }).state;

describe('the pages', () => {
  test.each<[string, State, number[]]>([
    ['before anything runs', initialState(), [200, 503, 503]],
    ['while a generation serves', serving, [200, 200, 200]],
    ['while the container drains', drained, [200, 503, 200]],
  ])('%s', (_, state, expected) => {
    expect(codes(state)).toEqual(expected);
  });

  test('the status has times that people read', () => {
    const status = JSON.parse(pages(serving).get('/status')?.body ?? '');
    expect(status).toMatchObject({ ready: true, phase: 'steady', active: { generation: 3, digest: 'abc' } });
    expect(status.limits).toEqual({ cpu: 0.5, memory: null });
    expect(status.history[0]).toMatchObject({
      result: 'promoted',
      at: '2026-01-01T00:00:05.000Z',
      durationMs: 120,
    });
  });

  test('the status line says the essence', () => {
    const line = (state: State) => statusLine(statusOf(state, project(config, state), around));
    expect(line(serving)).toBe('generation 3 ready, pid 12, steady; last: promoted generation 3 in 120 ms');
    expect(line(initialState())).toBe('no generation serves yet, starting');
    const failed: Outcome = { ...promoted, result: 'failed', generation: 4, reason: 'exited with code 3' };
    expect(line({ ...serving, history: [failed] })).toMatch(
      /; last: failed generation 4: exited with code 3$/,
    );
  });
});

test('the metrics say what happened', async () => {
  const metrics = createMetrics();
  metrics.recorded(promoted);
  metrics.crashed();
  metrics.drained(2);
  const sample = { state: serving, projection: project(config, serving), reaped: 5, dropped: 0, oomKills: 2 };
  const text = await metrics.render({ ...sample, queues: new Map([['web', 4]]) });
  for (const line of [
    'baton_generation 3',
    'baton_ready 1',
    'baton_draining_generations 0',
    'baton_accept_queue_depth{listener="web"} 4',
    'baton_processes_reaped_total 5',
    'baton_oom_kills_total 2',
    'baton_handovers_total{outcome="promoted"} 1',
    'baton_handovers_total{outcome="failed"} 0',
    'baton_handover_seconds_sum{outcome="promoted"} 0.12',
    'baton_drain_seconds_count 1',
    'baton_restarts_total 1',
  ])
    expect(text.split('\n')).toContain(line);
});
