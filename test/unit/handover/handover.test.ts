import { describe, expect, test } from 'vitest';
import { keysOf, Scenario } from './scenario.ts';

describe('a handover', () => {
  test('the first generation: prepared, started, watched, promoted', () => {
    const scenario = new Scenario().tell({ type: 'start' });
    expect(scenario.effects()).toEqual([
      { type: 'prepare', trigger: { by: 'start', force: false, events: [], since: 0 } },
    ]);
    scenario.prepared('a');
    expect(scenario.effects()).toMatchObject([{ type: 'spawn', key: '1.0.1', generation: 1, instance: 0 }]);
    scenario.tell({ type: 'spawned', key: '1.0.1', pid: 7 });
    expect(scenario.effects()).toEqual([{ type: 'probe', key: '1.0.1', pid: 7, generation: 1, instance: 0 }]);
    expect(scenario.projection).toMatchObject({ ready: false, started: false, routes: [7], mainPid: null });
    scenario.tell({ type: 'ready', key: '1.0.1' });
    expect(scenario.effects()).toMatchObject([
      { type: 'record', outcome: { result: 'promoted', generation: 1 } },
    ]);
    expect(scenario.projection).toEqual({
      ready: true,
      started: true,
      routes: [7],
      expendable: [],
      mainPid: 7,
      deadline: null,
    });
  });

  test('the old generation is asked to stop only once every instance of the new one is ready', () => {
    const scenario = Scenario.serving({ instances: 2 }).candidate('b', 5);
    const [first = '', second = ''] = keysOf(scenario.state.candidate?.generation);
    scenario.tell({ type: 'ready', key: first });
    expect(scenario.effects('kill')).toEqual([]);
    scenario.at = 1500;
    scenario.tell({ type: 'ready', key: second });
    expect(scenario.effects()).toMatchObject([
      { type: 'record', outcome: { result: 'promoted', generation: 2, by: 'control', duration: 1500 } },
      { type: 'settle', event: 5, ok: true, text: 'promoted: generation 2 serves' },
      { type: 'kill', key: '1.0.1', signal: 15, scope: 'process' },
      { type: 'kill', key: '1.1.2', signal: 15, scope: 'process' },
    ]);
    expect(scenario.projection.ready).toBe(true);
    expect(scenario.projection.routes).toEqual(scenario.state.active?.processes.map(({ pid }) => pid));
  });

  test('what does not stop in its drain time is killed, the whole group', () => {
    const scenario = Scenario.serving().candidate('b').allReady();
    scenario.effects();
    expect(scenario.projection.deadline).toBe(20_000);
    scenario.wait(19_999);
    expect(scenario.effects()).toEqual([]);
    scenario.wait(1);
    expect(scenario.effects('kill')).toMatchObject([{ key: '1.0.1', signal: 9, scope: 'group' }]);
    scenario.wait(60_000);
    expect(scenario.effects()).toEqual([]);
    scenario.exits('1.0.1', 0, 9);
    expect(scenario.state.draining).toEqual([]);
  });

  test('what a stopped main process leaves behind has the rest of the drain time', () => {
    const scenario = Scenario.serving().candidate('b').allReady();
    scenario.effects();
    scenario.tell({ type: 'exited', key: '1.0.1', code: 0, signal: 0 });
    scenario.wait(19_999);
    expect(scenario.effects()).toEqual([]);
    scenario.wait(1);
    expect(scenario.effects('kill')).toMatchObject([{ key: '1.0.1', signal: 9, scope: 'group' }]);
  });

  test.each([
    ['exits', { type: 'exited', key: '2.0.2', code: 1, signal: 0 }, 'exited with code 1 before it was ready'],
    [
      'is killed',
      { type: 'exited', key: '2.0.2', code: 0, signal: 11 },
      'was killed by SIGSEGV before it was ready',
    ],
    [
      'does not fit into memory',
      { type: 'exited', key: '2.0.2', code: 0, signal: 9, oom: 'out of memory (limit 64 MiB)' },
      'was killed by the kernel: out of memory (limit 64 MiB) before it was ready',
    ],
    ['says that it cannot', { type: 'unready', key: '2.0.2', reason: 'answers 500' }, 'answers 500'],
    ['takes too long', { type: 'tick' }, 'was not ready within 30s'],
  ] as const)('a candidate that %s fails, and the active generation is untouched', (_, event, reason) => {
    const scenario = Scenario.serving().candidate('b', 9);
    const before = scenario.state.active;
    scenario.effects();
    scenario.at = 30_000;
    scenario.tell(event);
    expect(scenario.state.active).toEqual(before);
    expect(scenario.state.candidate).toBe(null);
    const [record, settle] = [scenario.state.history[0], scenario.effects('settle')[0]];
    expect(record).toMatchObject({ result: 'failed', generation: 2, reason });
    expect(settle).toMatchObject({ event: 9, ok: false, text: `failed: generation 2: ${reason}` });
    expect(scenario.projection.ready).toBe(true);
  });

  test('time in which nobody ran is no time of the candidate', () => {
    const scenario = Scenario.serving().candidate('b');
    scenario.at = 40_000;
    scenario.tell({ type: 'held-up', missed: 39_000 }).tell({ type: 'tick' });
    expect(scenario.state.candidate).not.toBe(null);
    expect(scenario.projection.deadline).toBe(69_000);
    scenario.wait(29_000);
    expect(scenario.outcomes).toEqual(['failed', 'promoted']);
  });

  test('nor of an old generation that drains', () => {
    const scenario = Scenario.serving().candidate('b').allReady();
    scenario.effects();
    scenario.at = 40_000;
    scenario.tell({ type: 'held-up', missed: 39_000 }).tell({ type: 'tick' });
    expect(scenario.effects('kill')).toEqual([]);
    scenario.wait(19_000);
    expect(scenario.effects('kill')).toMatchObject([{ key: '1.0.1', signal: 9 }]);
  });

  test('a candidate that fails is asked to stop, then killed', () => {
    const scenario = Scenario.serving().candidate('b');
    scenario.effects();
    scenario.tell({ type: 'unready', key: '2.0.2', reason: 'no' });
    expect(scenario.effects('kill')).toMatchObject([{ key: '2.0.2', signal: 15 }]);
    scenario.wait(20_000);
    expect(scenario.effects('kill')).toMatchObject([{ key: '2.0.2', signal: 9, scope: 'group' }]);
  });

  test('a candidate that cannot be started fails, and its siblings are asked to stop once they are there', () => {
    const scenario = Scenario.serving({ instances: 2 }).trigger('control').prepared('b');
    scenario.tell({ type: 'spawn-failed', key: '2.0.3', reason: 'ENOEXEC', code: 126 });
    expect(scenario.outcomes).toEqual(['failed', 'promoted']);
    scenario.effects();
    scenario.wait(5000).tell({ type: 'spawned', key: '2.1.4', pid: 50 });
    expect(scenario.effects()).toMatchObject([{ type: 'kill', key: '2.1.4', pid: 50, signal: 15 }]);
    expect(scenario.projection.deadline).toBe(25_000);
  });

  test('a refused artifact is an outcome, and nothing else happens', () => {
    const scenario = Scenario.serving().trigger('control', 3);
    const before = scenario.state.active;
    scenario.effects();
    scenario.tell({ type: 'refused', reason: 'the signature does not match', code: 78 });
    expect(scenario.effects()).toMatchObject([
      { type: 'record', outcome: { result: 'refused', generation: null } },
      { type: 'settle', event: 3, ok: false, text: 'refused: the signature does not match' },
    ]);
    expect(scenario.state.active).toEqual(before);
  });

  test('a long reason is cut, because the state has to fit into what PID 1 keeps', () => {
    const scenario = Scenario.serving().trigger('control');
    scenario.tell({ type: 'refused', reason: 'x'.repeat(100_000), code: 1 });
    expect(scenario.state.history[0]?.reason).toHaveLength(200);
  });
});

describe('when memory runs out', () => {
  test('the candidate is to go first, from its start to its promotion', () => {
    const scenario = Scenario.serving({ instances: 2 }).trigger('control').prepared('b');
    expect(scenario.projection.expendable).toEqual([]);
    scenario.allStarted();
    expect(scenario.projection.expendable).toEqual([103, 104]);
    expect(scenario.allReady().projection.expendable).toEqual([]);
  });

  test('before anything serves, nobody is', () => {
    const scenario = new Scenario().tell({ type: 'start' }).prepared('a').allStarted();
    expect(scenario.projection.expendable).toEqual([]);
  });
});

describe('triggers', () => {
  test('a watched file that is the same as before changes nothing and is no handover', () => {
    const scenario = Scenario.serving().trigger('watch').prepared('a');
    expect(scenario.effects('spawn')).toEqual([]);
    expect(scenario.outcomes).toEqual(['promoted']);
  });

  test('a signal or a command starts a new generation of the same artifact all the same', () => {
    const scenario = Scenario.serving().trigger('signal', 4).prepared('a');
    expect(scenario.effects('spawn')).toHaveLength(1);
  });

  test('triggers during a handover collapse into one that follows, and all of them are answered', () => {
    const scenario = Scenario.serving().candidate('b', 1);
    scenario.trigger('signal', 2).trigger('control', 3).trigger('signal', 4);
    scenario.effects();
    scenario.allReady();
    expect(scenario.effects('prepare')).toMatchObject([{ trigger: { events: [2, 3, 4], force: true } }]);
    scenario.effects();
    scenario.prepared('b').allStarted().allReady();
    expect(scenario.effects('settle').map(({ event }) => event)).toEqual([2, 3, 4]);
    expect(scenario.outcomes).toEqual(['promoted', 'promoted', 'promoted']);
  });

  test('something newer replaces a candidate that is still starting', () => {
    const scenario = Scenario.serving().candidate('b', 1).trigger('watch');
    expect(scenario.effects('prepare')).toHaveLength(2);
    scenario.prepared('c');
    expect(scenario.effects()).toMatchObject([
      { type: 'record', outcome: { result: 'superseded', generation: 2 } },
      { type: 'settle', event: 1, ok: false },
      { type: 'cancel-probe', key: '2.0.2' },
      { type: 'kill', key: '2.0.2', signal: 15 },
      { type: 'spawn', generation: 3 },
    ]);
  });

  test('the same again leaves the candidate alone', () => {
    const scenario = Scenario.serving().candidate('b').trigger('watch');
    scenario.effects();
    scenario.prepared('b');
    expect(scenario.effects()).toEqual([]);
    expect(scenario.state.candidate?.generation.id).toBe(2);
  });

  test('a change undone while its candidate starts leads back to the active generation', () => {
    const scenario = Scenario.serving().trigger('watch').prepared('b').allStarted();
    scenario.trigger('watch').prepared('a');
    expect(scenario.outcomes).toEqual(['superseded', 'promoted']);
    expect(scenario.state).toMatchObject({ candidate: null, active: { id: 1 } });
  });

  test('but a restart that someone insisted on is made', () => {
    const scenario = Scenario.serving().candidate('b', 1).trigger('watch').prepared('a');
    expect(scenario.state.candidate?.generation).toMatchObject({ id: 3, artifact: { digest: 'a' } });
  });

  test('a change that comes while another is prepared is looked at as soon as that one starts', () => {
    const scenario = Scenario.serving().trigger('watch').trigger('watch').prepared('b');
    expect(scenario.effects().map(({ type }) => type)).toEqual(['prepare', 'spawn', 'prepare']);
  });

  test('a handover waits while too many old generations drain', () => {
    const scenario = Scenario.serving({ maxDraining: 1 }).candidate('b').allReady();
    scenario.effects();
    scenario.trigger('signal', 8);
    expect(scenario.effects()).toEqual([]);
    scenario.exits('1.0.1', 0);
    expect(scenario.effects()).toMatchObject([{ type: 'prepare', trigger: { events: [8] } }]);
  });

  test('an event delivered again is answered again and starts nothing', () => {
    const scenario = Scenario.serving().candidate('b', 6);
    scenario.effects();
    scenario.trigger('control', 6);
    expect(scenario.effects()).toEqual([]);
    scenario.allReady();
    const [answer] = scenario.effects('settle');
    scenario.trigger('control', 6);
    expect(scenario.effects()).toEqual([answer]);
  });
});

describe('news that come late, twice, or about strangers', () => {
  test.each([
    { type: 'ready', key: '9.9.9' },
    { type: 'exited', key: '9.9.9', code: 1, signal: 0 },
    { type: 'gone', key: '9.9.9' },
    { type: 'spawned', key: '9.9.9', pid: 9 },
    { type: 'told', key: '1.0.1' },
    { type: 'prepared', artifact: { digest: 'z', path: '/z', source: '/z' } },
    { type: 'refused', reason: 'late', code: 1 },
    { type: 'start' },
    { type: 'tick' },
  ] as const)('$type changes nothing', (event) => {
    const scenario = Scenario.serving();
    const before = scenario.state;
    scenario.tell(event);
    expect(scenario.effects()).toEqual([]);
    expect(scenario.state).toEqual(before);
  });

  test('a candidate that failed is not promoted by a late ready', () => {
    const scenario = Scenario.serving().candidate('b').tell({ type: 'unready', key: '2.0.2', reason: 'no' });
    scenario.tell({ type: 'ready', key: '2.0.2' });
    expect(scenario.state.active?.id).toBe(1);
  });
});
