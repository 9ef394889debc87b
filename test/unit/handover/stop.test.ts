import { describe, expect, test } from 'vitest';
import { Scenario } from './scenario.ts';

describe('a stop signal', () => {
  test('readiness first, the lame duck, then the stop signals, then SIGKILL', () => {
    const scenario = Scenario.serving({ drainDelay: 5000 }).tell({ type: 'stop', event: 1 });
    expect(scenario.projection).toMatchObject({ ready: false, started: true, deadline: 5000 });
    expect(scenario.effects()).toEqual([]);
    scenario.wait(5000);
    expect(scenario.effects()).toMatchObject([{ type: 'kill', key: '1.0.1', signal: 15, scope: 'process' }]);
    scenario.wait(20_000);
    expect(scenario.effects('kill')).toMatchObject([{ key: '1.0.1', signal: 9, scope: 'group' }]);
    scenario.exits('1.0.1', 0, 9);
    expect(scenario.effects()).toEqual([{ type: 'exit', code: 137 }]);
  });

  test('without a lame duck the stop signals go at once', () => {
    const scenario = Scenario.serving().tell({ type: 'stop', event: 1 });
    expect(scenario.effects()).toMatchObject([{ type: 'kill', signal: 15 }]);
    expect(scenario.projection.ready).toBe(false);
  });

  test("time in which nobody ran counts for the orchestrator, and so for the container's stop", () => {
    const scenario = Scenario.serving({ stopGrace: 10_000 }).tell({ type: 'stop', event: 1 });
    scenario.effects();
    scenario.at = 9000;
    scenario.tell({ type: 'held-up', missed: 8000 }).tell({ type: 'tick' });
    expect(scenario.effects('kill')).toMatchObject([{ key: '1.0.1', signal: 9 }]);
  });

  test.each([
    [0, 0, 0],
    [3, 0, 3],
    [0, 15, 143],
  ])("the exit code is the program's own (%d, signal %d: %d)", (code, signal, exit) => {
    const scenario = Scenario.serving().tell({ type: 'stop', event: 1 });
    scenario.effects();
    scenario.exits('1.0.1', code, signal);
    expect(scenario.effects()).toEqual([{ type: 'exit', code: exit }]);
  });

  test('of several instances, the first code that is not 0', () => {
    const scenario = Scenario.serving({ instances: 3 }).tell({ type: 'stop', event: 1 });
    scenario.exits('1.0.1', 0).exits('1.1.2', 7).exits('1.2.3', 9);
    expect(scenario.effects('exit')).toEqual([{ type: 'exit', code: 7 }]);
  });

  test('the code of a generation that was already draining does not count', () => {
    const scenario = Scenario.serving().candidate('b').allReady().tell({ type: 'stop', event: 1 });
    scenario.exits('1.0.1', 9).exits('2.0.2', 0);
    expect(scenario.effects('exit')).toEqual([{ type: 'exit', code: 0 }]);
  });

  test('the exit waits for what the main process left behind', () => {
    const scenario = Scenario.serving().tell({ type: 'stop', event: 1 });
    scenario.tell({ type: 'exited', key: '1.0.1', code: 0, signal: 0 });
    expect(scenario.effects('exit')).toEqual([]);
    scenario.tell({ type: 'gone', key: '1.0.1' });
    expect(scenario.effects('exit')).toEqual([{ type: 'exit', code: 0 }]);
  });

  test('a second, different one ends the lame duck', () => {
    const scenario = Scenario.serving({ drainDelay: 5000 }).tell({ type: 'stop', event: 1 });
    scenario.tell({ type: 'stop', event: 1 });
    expect(scenario.effects()).toEqual([]);
    scenario.tell({ type: 'stop', event: 2 });
    expect(scenario.effects()).toMatchObject([{ type: 'kill', signal: 15 }]);
    scenario.tell({ type: 'stop', event: 1 }).tell({ type: 'stop', event: 2 });
    expect(scenario.effects()).toEqual([]);
  });

  test('ends every handover: exactly one outcome each', () => {
    const scenario = Scenario.serving().candidate('b', 1).trigger('signal', 2);
    scenario.effects();
    scenario.tell({ type: 'stop', event: 3 });
    expect(scenario.effects()).toMatchObject([
      { type: 'record', outcome: { result: 'refused', generation: null } },
      { type: 'settle', event: 2, ok: false, text: 'refused: the container is stopping' },
      {
        type: 'record',
        outcome: { result: 'superseded', generation: 2, reason: 'the container is stopping' },
      },
      { type: 'settle', event: 1, ok: false },
      { type: 'cancel-probe', key: '2.0.2' },
      { type: 'kill', key: '2.0.2', signal: 15 },
      { type: 'kill', key: '1.0.1', signal: 15 },
    ]);
    expect(scenario.prepared('c').effects()).toEqual([]);
  });

  test('after a drain alone the answer says that', () => {
    const scenario = Scenario.serving().tell({ type: 'drain', event: 1 }).trigger('control', 2);
    expect(scenario.effects()).toContainEqual(
      expect.objectContaining({
        type: 'settle',
        event: 2,
        text: 'refused: the container was asked to drain',
      }),
    );
    scenario.tell({ type: 'stop', event: 3 }).trigger('control', 4);
    expect(scenario.effects()).toContainEqual(
      expect.objectContaining({ type: 'settle', event: 4, text: 'refused: the container is stopping' }),
    );
  });

  test('a reload from then on is refused', () => {
    const scenario = Scenario.serving({ drainDelay: 5000 })
      .tell({ type: 'stop', event: 1 })
      .trigger('control', 2);
    expect(scenario.effects()).toMatchObject([
      { type: 'record', outcome: { result: 'refused' } },
      { type: 'settle', event: 2, ok: false, text: 'refused: the container is stopping' },
    ]);
    expect(scenario.trigger('watch').effects()).toEqual([]);
  });

  test('during the lame duck a crash is still mended; after it no more', () => {
    const scenario = Scenario.serving({ drainDelay: 5000 })
      .tell({ type: 'stop', event: 1 })
      .exits('1.0.1', 1);
    scenario.wait(100);
    expect(scenario.effects('spawn')).toHaveLength(1);
    scenario.allStarted().exits('1.0.2', 1);
    scenario.effects();
    scenario.wait(4900);
    expect(scenario.effects()).toEqual([{ type: 'exit', code: 0 }]);
  });

  test('before the first generation is ready there is nobody to wait for', () => {
    const scenario = new Scenario({ drainDelay: 5000 }).tell({ type: 'start' }).prepared('a').allStarted();
    scenario.effects();
    scenario.tell({ type: 'stop', event: 1 });
    expect(scenario.effects('kill')).toMatchObject([{ key: '1.0.1', signal: 15 }]);
    scenario.exits('1.0.1', 0, 15);
    expect(scenario.effects('exit')).toEqual([{ type: 'exit', code: 143 }]);
  });

  test('with no process at all: 0', () => {
    const scenario = new Scenario().tell({ type: 'start' });
    scenario.effects();
    scenario.tell({ type: 'stop', event: 1 });
    expect(scenario.effects('exit')).toEqual([{ type: 'exit', code: 0 }]);
  });
});

describe('baton drain', () => {
  test('not ready, serving, answered after the lame duck, stopped by the signal that follows without another', () => {
    const scenario = Scenario.serving({ drainDelay: 5000 }).tell({ type: 'drain', event: 1 });
    expect(scenario.projection).toMatchObject({ ready: false, deadline: 5000 });
    scenario.wait(2000).tell({ type: 'drain', event: 2 });
    expect(scenario.effects()).toEqual([]);
    scenario.wait(3000);
    expect(scenario.effects()).toMatchObject([
      { type: 'settle', event: 1, ok: true, outcome: null },
      { type: 'settle', event: 2, ok: true, outcome: null },
    ]);
    expect(scenario.projection).toMatchObject({ ready: false, deadline: null });
    scenario.wait(600_000).tell({ type: 'stop', event: 3 });
    expect(scenario.effects()).toMatchObject([{ type: 'kill', key: '1.0.1', signal: 15 }]);
  });

  test('a stop signal meanwhile waits for what is left of it', () => {
    const scenario = Scenario.serving({ drainDelay: 5000 }).tell({ type: 'drain', event: 1 });
    scenario.wait(2000).tell({ type: 'stop', event: 2 });
    expect(scenario.effects()).toEqual([]);
    scenario.wait(3000);
    expect(scenario.effects()).toMatchObject([
      { type: 'settle', event: 1 },
      { type: 'kill', signal: 15 },
    ]);
  });

  test('refuses reloads and ends a handover', () => {
    const scenario = Scenario.serving({ drainDelay: 5000 })
      .candidate('b', 1)
      .tell({ type: 'drain', event: 2 });
    expect(scenario.outcomes).toEqual(['superseded', 'promoted']);
    expect(scenario.trigger('control', 3).outcomes[0]).toBe('refused');
    expect(scenario.state.active?.processes).toMatchObject([{ key: '1.0.1', stop: null }]);
  });

  test('delivered again, it is answered again', () => {
    const scenario = Scenario.serving().tell({ type: 'drain', event: 1 });
    const [answer] = scenario.effects('settle');
    expect(scenario.tell({ type: 'drain', event: 1 }).effects()).toEqual([answer]);
  });
});

describe('the time that the orchestrator gives', () => {
  /** 10 s, of which 1 s is for the end. */
  const docker = { stopGrace: 10_000 };
  const killed = (scenario: Scenario) =>
    scenario.effects('kill').flatMap(({ key, signal }) => (signal === 9 ? key : []));

  test('cuts the drain, and leaves room for the end', () => {
    const scenario = Scenario.serving(docker).tell({ type: 'stop', event: 1 });
    expect(scenario.projection.deadline).toBe(9000);
    expect(killed(scenario.wait(8999))).toEqual([]);
    expect(killed(scenario.wait(1))).toEqual(['1.0.1']);
    expect(scenario.exits('1.0.1', 0, 9).effects('exit')).toEqual([{ type: 'exit', code: 137 }]);
  });

  test('is shared with the lame duck', () => {
    const scenario = Scenario.serving({ ...docker, drainDelay: 5000 }).tell({ type: 'stop', event: 1 });
    scenario.wait(5000);
    expect(scenario.effects('kill')).toMatchObject([{ signal: 15 }]);
    expect(scenario.projection.deadline).toBe(9000);
  });

  test('does not lengthen a shorter stop-timeout', () => {
    const scenario = Scenario.serving({ ...docker, stopTimeout: 3000 }).tell({ type: 'stop', event: 1 });
    expect(scenario.projection.deadline).toBe(3000);
  });

  test('is nobody’s business after a reload, until the container stops: then it cuts those drains, too', () => {
    const scenario = Scenario.serving(docker).candidate('b').allReady();
    scenario.tell({ type: 'told', key: '1.0.1' });
    expect(scenario.projection.deadline).toBe(20_000);
    scenario.wait(6000).tell({ type: 'stop', event: 1 });
    expect(scenario.projection.deadline).toBe(15_000);
    expect(killed(scenario.wait(9000))).toEqual(['2.0.2', '1.0.1']);
  });

  test('is not lengthened by the same signal told to another agent, nor by a second one', () => {
    const scenario = Scenario.serving({ ...docker, drainDelay: 5000 }).tell({ type: 'stop', event: 1 });
    scenario.wait(2000).tell({ type: 'attached', processes: [{ key: '1.0.1', pid: 101 }] });
    scenario.tell({ type: 'stop', event: 1 }).tell({ type: 'stop', event: 2 });
    expect(scenario.effects('kill')).toMatchObject([{ signal: 15 }]);
    scenario.wait(1000).tell({ type: 'stop', event: 2 }).tell({ type: 'stop', event: 3 });
    expect(scenario.projection.deadline).toBe(9000);
  });

  test('holds for who is told again by another agent', () => {
    const scenario = Scenario.serving(docker).tell({ type: 'stop', event: 1 });
    scenario.wait(8000).tell({ type: 'attached', processes: [{ key: '1.0.1', pid: 101 }] });
    expect(scenario.effects('kill')).toMatchObject([{ signal: 15 }, { signal: 15 }]);
    expect(scenario.projection.deadline).toBe(9000);
  });

  test('counts from when PID 1 got the signal, however late an agent hears of it', () => {
    const scenario = Scenario.serving({ ...docker, drainDelay: 5000 });
    scenario.at = 6000;
    scenario.tell({ type: 'stop', event: 1, since: 0 });
    expect(scenario.effects('kill')).toMatchObject([{ signal: 15 }]);
    expect(scenario.projection.deadline).toBe(9000);
  });

  test.each([
    ['from the drain, where the signal follows within its lame duck', 3000, 9000],
    ['from the drain, where the signal comes soon after: that was the preStop hook', 6900, 9000],
    ['from the signal, long after a drain by hand', 7001, 7001 + 9000],
  ])('counts %s', (_, signalled, deadline) => {
    const scenario = Scenario.serving({ ...docker, drainDelay: 5000 }).tell({ type: 'drain', event: 1 });
    scenario.wait(Math.min(signalled, 5000));
    scenario.at = signalled;
    scenario.tell({ type: 'stop', event: 2 });
    expect(scenario.state.stopping).toMatchObject({ event: 2, deadline });
  });

  test('begins with a signal that finds Baton stopping of its own accord', () => {
    const scenario = Scenario.serving({ ...docker, restartLimit: 1, instances: 2 }).exits('1.0.1', 3);
    expect(scenario.projection.deadline).toBe(20_000);
    scenario.wait(1000).tell({ type: 'stop', event: 1 });
    expect(scenario.projection.deadline).toBe(10_000);
    expect(killed(scenario.wait(9000))).toEqual(['1.1.2']);
    expect(scenario.exits('1.1.2', 0, 9).effects('exit')).toEqual([{ type: 'exit', code: 3 }]);
  });
});

describe('where no stop-timeout is given', () => {
  const given = { stopTimeout: null, stopGrace: 60_000 };
  const lost = (scenario: Scenario) => scenario.effects('overdue').map(({ text }) => text);

  test('the program has all that stop-grace leaves when the container stops', () => {
    const scenario = Scenario.serving({ ...given, drainDelay: 12_000 }).tell({ type: 'stop', event: 1 });
    expect(lost(scenario.wait(12_000).wait(46_999))).toEqual([]);
    expect(lost(scenario.wait(1))).toEqual([
      expect.stringMatching(/^generation 1 .* stop-grace, 1m, leaves/),
    ]);
  });

  test('what a reload replaced has 20 s', () => {
    const scenario = Scenario.serving(given).candidate('b').allReady();
    expect(lost(scenario.wait(19_999))).toEqual([]);
    expect(lost(scenario.wait(1))).toEqual([expect.stringMatching(/^generation 1 .* stop-timeout is 20s/)]);
  });

  test('and all that stop-grace leaves, when the container stops meanwhile', () => {
    const scenario = Scenario.serving(given).candidate('b').allReady().wait(15_000);
    expect(scenario.tell({ type: 'stop', event: 1 }).projection.deadline).toBe(15_000 + 59_000);
  });

  test('what is asked to stop while no orchestrator waits has 20 s', () => {
    const scenario = Scenario.serving({ ...given, restartLimit: 1, instances: 2 }).exits('1.0.1', 3);
    expect(scenario.projection.deadline).toBe(20_000);
  });
});

describe('what a stop cost is told, and why it came', () => {
  test('killed for want of stop-grace', () => {
    const scenario = Scenario.serving({ stopGrace: 10_000, instances: 2 }).tell({ type: 'stop', event: 1 });
    const [lost] = scenario.wait(9000).effects('overdue');
    expect(lost).toEqual({
      type: 'overdue',
      pids: [101, 102],
      text:
        'generation 1 (pid 101, 102) did not end within 9.0 s and was killed, what it had begun is lost: stop-grace, 10s, ' +
        "leaves no more (raise it together with the orchestrator's own)",
    });
    expect(scenario.state.stopping?.reason).toBe(`stopped as asked; ${lost?.text}`);
  });

  test('killed for want of stop-timeout', () => {
    const scenario = Scenario.serving().candidate('b').allReady();
    const [lost] = scenario.wait(20_000).effects('overdue');
    expect(lost?.text).toBe(
      'generation 1 (pid 101) did not end within 20.0 s and was killed, what it had begun is lost: stop-timeout is 20s (raise it)',
    );
    expect(scenario.state.stopping).toBe(null);
  });

  test.each<[string, Scenario, string]>([
    ['a stop', Scenario.serving().tell({ type: 'stop', event: 1 }), 'stopped as asked'],
    [
      'too many crashes',
      Scenario.serving({ restartLimit: 1 }).exits('1.0.1', 3),
      'too many crashes; the last: the program exited with code 3',
    ],
    [
      'memory',
      Scenario.serving({ restartLimit: 1 }).tell({
        type: 'exited',
        key: '1.0.1',
        code: 0,
        signal: 9,
        oom: 'out of memory (limit 64 MiB)',
      }),
      'too many crashes; the last: the program was killed by the kernel: out of memory (limit 64 MiB)',
    ],
    [
      'a program that cannot be executed',
      new Scenario()
        .tell({ type: 'start' })
        .prepared('a')
        .tell({ type: 'spawn-failed', key: '1.0.1', reason: 'EACCES', code: 126 }),
      'the program could not be started: EACCES',
    ],
    [
      'nothing to execute',
      new Scenario()
        .tell({ type: 'start' })
        .tell({ type: 'refused', reason: '/srv/app: no such file', code: 127 }),
      '/srv/app: no such file',
    ],
    [
      'work that is done',
      Scenario.serving().exits('1.0.1', 0),
      'the program has done its work: it exited with code 0',
    ],
  ])('%s', (_, scenario, reason) => {
    expect(scenario.state.stopping?.reason).toBe(reason);
  });
});
