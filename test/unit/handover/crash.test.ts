import { describe, expect, test } from 'vitest';
import { Scenario } from './scenario.ts';

describe('the active generation crashes', () => {
  test('the same artifact is started again, later each time', () => {
    const scenario = Scenario.serving({ restartLimit: 10 });
    const delays: (number | null)[] = [];
    for (const key of ['1.0.1', '1.0.2', '1.0.3']) {
      scenario.exits(key, 3);
      const [crash] = scenario.effects('crashed');
      delays.push(crash?.delay ?? null);
      expect(scenario.projection.ready).toBe(false);
      scenario.wait(crash?.delay ?? 0);
      expect(scenario.effects('spawn')).toMatchObject([
        { generation: 1, instance: 0, artifact: { digest: 'a' } },
      ]);
      scenario.allStarted().allReady();
    }
    expect(delays).toEqual([100, 200, 400]);
    expect(scenario.projection.ready).toBe(true);
    expect(scenario.outcomes).toEqual(['promoted']);
  });

  test('the pause has an upper limit', () => {
    const scenario = Scenario.serving({ restartLimit: 10, restartDelayMax: 150 });
    scenario.exits('1.0.1', 1).wait(100).allStarted().exits('1.0.2', 1);
    expect(scenario.effects('crashed').map(({ delay }) => delay)).toEqual([100, 150]);
  });

  test('crashes before the window do not count', () => {
    const scenario = Scenario.serving({ restartLimit: 2 })
      .exits('1.0.1', 1)
      .wait(100)
      .allStarted()
      .allReady();
    scenario.wait(60_000).exits('1.0.2', 1);
    expect(scenario.effects('crashed').at(-1)?.delay).toBe(100);
    expect(scenario.state.stopping).toBe(null);
  });

  test.each([
    [3, 0, 3],
    [0, 11, 139],
  ])("one crash too many: Baton exits with the program's code (%d, signal %d)", (code, signal, exit) => {
    const scenario = Scenario.serving({ restartLimit: 2 }).exits('1.0.1', 1).wait(100).allStarted();
    scenario.effects();
    scenario.exits('1.0.2', code, signal);
    expect(scenario.effects('crashed')).toMatchObject([{ delay: null }]);
    expect(scenario.tell({ type: 'tick' }).effects('exit')).toEqual([{ type: 'exit', code: exit }]);
  });

  test('whatever the main process left behind is asked to stop, then killed', () => {
    const scenario = Scenario.serving().tell({ type: 'exited', key: '1.0.1', code: 1, signal: 0 });
    expect(scenario.effects('kill')).toMatchObject([{ key: '1.0.1', signal: 15, scope: 'group' }]);
    scenario.wait(100).allStarted().allReady().wait(20_000);
    expect(scenario.effects('kill')).toMatchObject([{ key: '1.0.1', signal: 9, scope: 'group' }]);
  });

  test('only the instance that crashed is started again', () => {
    const scenario = Scenario.serving({ instances: 3 }).exits('1.1.2', 1).wait(100);
    expect(scenario.effects('spawn')).toMatchObject([{ key: '1.1.4', instance: 1 }]);
    expect(scenario.projection.ready).toBe(true);
  });

  test('one that does not get ready again is replaced, and counts', () => {
    const scenario = Scenario.serving().exits('1.0.1', 1).wait(100).allStarted();
    scenario.effects();
    scenario.wait(30_000);
    expect(scenario.effects()).toMatchObject([
      { type: 'cancel-probe', key: '1.0.2' },
      { type: 'kill', key: '1.0.2', signal: 15 },
      { type: 'crashed', key: '1.0.2', reason: 'was not ready within 30s', delay: 200 },
    ]);
  });

  test('one that cannot be started any more counts', () => {
    const scenario = Scenario.serving({ restartLimit: 2 }).exits('1.0.1', 1).wait(100);
    scenario.tell({ type: 'spawn-failed', key: '1.0.2', reason: 'no such file', code: 127 });
    expect(scenario.effects('exit')).toEqual([{ type: 'exit', code: 127 }]);
  });

  test('during a handover it is started again all the same, until the candidate is promoted', () => {
    const scenario = Scenario.serving().candidate('b').exits('1.0.1', 1);
    expect(scenario.state.restarts).toEqual([{ instance: 0, at: 100 }]);
    expect(scenario.state.candidate).not.toBe(null);
    scenario.allReady();
    expect(scenario.state.restarts).toEqual([]);
    expect(scenario.projection.deadline).toBe(null);
  });

  test('a program that ends well, with nothing else alive, has done its work', () => {
    const scenario = Scenario.serving({ instances: 2 }).exits('1.0.1', 0);
    expect(scenario.state.stopping).toBe(null);
    scenario.wait(100).allStarted().allReady();
    expect(Scenario.serving().exits('1.0.1', 0).effects('exit')).toEqual([{ type: 'exit', code: 0 }]);
  });

  test('and then the rest is stopped first', () => {
    const scenario = Scenario.serving().candidate('b').exits('1.0.1', 0);
    expect(scenario.effects('kill')).toMatchObject([
      { key: '1.0.1', scope: 'group' },
      { key: '2.0.2', signal: 15 },
    ]);
    scenario.exits('2.0.2', 0, 15);
    expect(scenario.effects('exit')).toEqual([{ type: 'exit', code: 0 }]);
  });
});

describe('nothing was ever ready', () => {
  test('a first generation that fails is tried again from preparing on, later each time', () => {
    const scenario = new Scenario().tell({ type: 'start' }).prepared('a').allStarted().exits('1.0.1', 1);
    expect(scenario.outcomes).toEqual(['failed']);
    expect(scenario.projection.deadline).toBe(100);
    scenario.effects();
    scenario.wait(99);
    expect(scenario.effects()).toEqual([]);
    scenario.wait(1);
    expect(scenario.effects()).toMatchObject([{ type: 'prepare', trigger: { by: 'start' } }]);
    scenario.prepared('b').allStarted().allReady();
    expect(scenario.state.active).toMatchObject({ id: 2, artifact: { digest: 'b' } });
    expect(scenario.state.crashes).toEqual([]);
  });

  test('a change does not wait for the pause to end', () => {
    const scenario = new Scenario().tell({ type: 'start' }).prepared('a').allStarted().exits('1.0.1', 1);
    scenario.effects();
    scenario.trigger('watch');
    expect(scenario.effects('prepare')).toHaveLength(1);
    expect(scenario.state.next).toBe(null);
  });

  test("too many failures: Baton exits with the program's code", () => {
    const scenario = new Scenario({ restartLimit: 1 }).tell({ type: 'start' }).prepared('a').allStarted();
    scenario.exits('1.0.1', 42);
    expect(scenario.effects('exit').at(-1)).toEqual({ type: 'exit', code: 42 });
  });

  test.each([127, 126])('a program that cannot be executed: exit %d at once', (code) => {
    const scenario = new Scenario().tell({ type: 'start' }).prepared('a');
    scenario.tell({ type: 'spawn-failed', key: '1.0.1', reason: 'cannot', code });
    expect(scenario.effects('exit')).toEqual([{ type: 'exit', code }]);
    expect(scenario.outcomes).toEqual(['failed']);
  });

  test('a start that may yet succeed is tried again', () => {
    const scenario = new Scenario().tell({ type: 'start' }).prepared('a');
    scenario.tell({ type: 'spawn-failed', key: '1.0.1', reason: 'EAGAIN', code: 1 });
    expect(scenario.effects('exit')).toEqual([]);
    expect(scenario.projection.deadline).toBe(100);
  });

  test('an artifact that is refused: exit with its code', () => {
    const scenario = new Scenario()
      .tell({ type: 'start' })
      .tell({ type: 'refused', reason: 'unsigned', code: 78 });
    expect(scenario.effects('exit')).toEqual([{ type: 'exit', code: 78 }]);
    expect(scenario.outcomes).toEqual(['refused']);
  });

  test('a program that ends well before it is ready is not run again', () => {
    const scenario = new Scenario().tell({ type: 'start' }).prepared('a').allStarted().exits('1.0.1', 0);
    expect(scenario.effects('exit').at(-1)).toEqual({ type: 'exit', code: 0 });
    expect(scenario.outcomes).toEqual(['failed']);
  });
});
