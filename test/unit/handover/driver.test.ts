import { describe, expect, test, vi } from 'vitest';
import { Driver, type Ports } from '../../../agent/handover/driver.ts';
import { initialState } from '../../../agent/handover/machine.ts';
import { POLICY } from './scenario.ts';

const artifact = { digest: 'd1', path: '/store/server', source: '/srv/server' };

/** Ports that note what is asked of them, in order, and succeed at once. */
function fakePorts(overrides: Partial<Ports> = {}): { ports: Ports; said: string[] } {
  const said: string[] = [];
  let pid = 100;
  const ports: Ports = {
    now: () => 1000,
    keep: () => void said.push('keep'),
    prepare: async () => artifact,
    spawn: async ({ key }) => {
      said.push(`spawn ${key}`);
      return ++pid;
    },
    probe: () => ({ ready: Promise.resolve(), lastSeen: () => 'nothing yet' }),
    kill: async ({ key, signal }) => void said.push(`kill ${key} ${signal}`),
    settle: ({ event, ok, text }) => void said.push(`settle ${event} ${ok} ${text}`),
    overdue: ({ pids }) => void said.push(`overdue ${pids}`),
    record: ({ result, reason }) => void said.push(`record ${result} ${reason}`.trim()),
    crashed: ({ key }) => void said.push(`crashed ${key}`),
    apply: ({ ready, routes }) => void said.push(`apply ready=${ready} routes=${routes}`),
    exit: (code, reason) => void said.push(`exit ${code} ${reason}`),
    ...overrides,
  };
  return { ports, said };
}

const recorded = (said: string[], what: string) =>
  vi.waitUntil(() => said.some((line) => line.startsWith(what)));

describe('the driver', () => {
  test('keeps the state and shows what is true before it acts', async () => {
    const { ports, said } = fakePorts();
    const driver = new Driver(POLICY, ports, initialState());
    driver.dispatch({ type: 'start' });
    await recorded(said, 'record');
    said.length = 0;
    driver.dispatch({ type: 'stop', event: 9 });
    expect(said).toEqual(['keep', 'apply ready=false routes=101', 'kill 1.0.1 15']);
  });

  test('feeds back what came of each effect', async () => {
    const { ports, said } = fakePorts();
    const driver = new Driver(POLICY, ports, initialState());
    driver.dispatch({ type: 'start' });
    await recorded(said, 'record promoted');
    driver.dispatch({ type: 'trigger', by: 'control', force: true, event: 5 });
    await recorded(said, 'settle');
    expect(said.filter((line) => /^(spawn|record|settle|kill)/.test(line))).toEqual([
      ...['spawn 1.0.1', 'record promoted', 'spawn 2.0.2', 'record promoted'],
      ...['settle 5 true promoted: generation 2 serves', 'kill 1.0.1 15'],
    ]);
    await vi.waitUntil(() => driver.state.draining[0]?.processes[0]?.stop?.told === true);
  });

  test('turns what cannot be started into an exit code as of a shell', async () => {
    const prepare = () =>
      Promise.reject(Object.assign(new Error('/srv/server: no such file'), { code: 'ENOENT' }));
    const { ports, said } = fakePorts({ prepare });
    new Driver(POLICY, ports, initialState()).dispatch({ type: 'start' });
    await recorded(said, 'exit');
    expect(said).toContain('record refused /srv/server: no such file');
    expect(said.at(-1)).toBe('exit 127 /srv/server: no such file');
  });

  test('says what a probe last saw when time is up, and ends the probe', async () => {
    let aborted = false;
    const probe: Ports['probe'] = (_, signal) => {
      signal.addEventListener('abort', () => {
        aborted = true;
      });
      return { ready: new Promise(() => {}), lastSeen: () => 'nobody accepts on web' };
    };
    let now = 1000;
    const { ports, said } = fakePorts({ probe, now: () => now });
    const driver = new Driver({ ...POLICY, readyTimeout: 1, restartLimit: 1 }, ports, initialState());
    driver.dispatch({ type: 'start' });
    await vi.waitUntil(() => driver.state.candidate?.generation.processes[0]?.state === 'running');
    now += 500;
    await recorded(said, 'record failed');
    expect(said).toContain('record failed was not ready within 1ms: nobody accepts on web');
    expect(aborted).toBe(true);
  });

  test('tells how long it was kept from waking, whatever wakes it, before anything is overdue', async () => {
    const probe: Ports['probe'] = () => ({ ready: new Promise(() => {}), lastSeen: () => '' });
    let now = 1000;
    const { ports, said } = fakePorts({ probe, now: () => now });
    const driver = new Driver({ ...POLICY, readyTimeout: 3000 }, ports, initialState());
    driver.dispatch({ type: 'start' });
    await vi.waitUntil(() => driver.state.candidate?.generation.processes[0]?.state === 'running');
    now += 60_000;
    driver.dispatch({ type: 'tick' });
    expect(driver.state.candidate?.generation.processes[0]?.readyBy).toBe(64_000);
    expect(said.filter((line) => line.startsWith('record'))).toEqual([]);
    now += 1500; // a busy machine: no more than a late timer
    driver.dispatch({ type: 'tick' });
    expect(driver.state.candidate?.generation.processes[0]?.readyBy).toBe(64_000);
    now = 64_000;
    driver.dispatch({ type: 'tick' });
    expect(said.filter((line) => line.startsWith('record'))).toEqual([
      'record failed was not ready within 3s',
    ]);
  });

  test('an agent that is always late is slow: no deadline is put off for ever', async () => {
    const probe: Ports['probe'] = () => ({ ready: new Promise(() => {}), lastSeen: () => '' });
    let now = 1000;
    const { ports, said } = fakePorts({ probe, now: () => now });
    const driver = new Driver({ ...POLICY, readyTimeout: 10_000 }, ports, initialState());
    driver.dispatch({ type: 'start' });
    await vi.waitUntil(() => driver.state.candidate?.generation.processes[0]?.state === 'running');
    for (let late = 0; late < 10; late++) {
      now += 2500;
      // What comes at once with the late one is no time that passed.
      for (let event = 0; event < 3; event++) driver.dispatch({ type: 'tick' });
    }
    expect(said.filter((line) => line.startsWith('record'))).toEqual([
      'record failed was not ready within 10s',
    ]);
  });

  test('gives up a preparation that a stop made needless', async () => {
    let signalled: AbortSignal | undefined;
    const prepare: Ports['prepare'] = (_, signal) => {
      signalled = signal;
      return new Promise(() => {});
    };
    const { ports } = fakePorts({ prepare });
    const driver = new Driver(POLICY, ports, initialState());
    driver.dispatch({ type: 'start' });
    expect(signalled?.aborted).toBe(false);
    driver.dispatch({ type: 'stop', event: 1 });
    expect(signalled?.aborted).toBe(true);
  });
});
