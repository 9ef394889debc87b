import { describe, expect, test } from 'vitest';
import { Scenario } from './scenario.ts';

describe('a new agent takes over', () => {
  test('where nothing was on its way, nothing is asked for', () => {
    const scenario = Scenario.serving();
    scenario.tell({ type: 'attached', processes: [{ key: '1.0.1', pid: 101 }] });
    expect(scenario.effects()).toEqual([]);
  });

  test('the artifact is prepared again', () => {
    const scenario = Scenario.serving().trigger('control', 4);
    scenario.effects();
    scenario.tell({ type: 'attached', processes: [{ key: '1.0.1', pid: 101 }] });
    expect(scenario.effects()).toMatchObject([{ type: 'prepare', trigger: { events: [4] } }]);
  });

  test('a process that PID 1 started meanwhile is watched', () => {
    const scenario = Scenario.serving().trigger('control').prepared('b');
    scenario.effects();
    const processes = [
      { key: '1.0.1', pid: 101 },
      { key: '2.0.2', pid: 102 },
    ];
    scenario.tell({ type: 'attached', processes });
    expect(scenario.effects()).toMatchObject([{ type: 'probe', key: '2.0.2', pid: 102 }]);
    scenario.tell({ type: 'attached', processes });
    expect(scenario.effects()).toMatchObject([{ type: 'probe', key: '2.0.2', pid: 102 }]);
  });

  test('one that PID 1 never started is asked for again, under a new key', () => {
    const scenario = Scenario.serving().trigger('control').prepared('b');
    scenario.effects();
    scenario.tell({ type: 'attached', processes: [{ key: '1.0.1', pid: 101 }] });
    expect(scenario.effects()).toMatchObject([{ type: 'spawn', key: '2.0.3', generation: 2, instance: 0 }]);
    scenario.tell({ type: 'exited', key: '2.0.2', code: 1, signal: 0 });
    expect(scenario.state.candidate).not.toBe(null);
  });

  test('one that is lost ended in a way that nobody knows', () => {
    const scenario = Scenario.serving({ restartLimit: 1 }).tell({ type: 'attached', processes: [] });
    expect(scenario.effects('crashed')).toMatchObject([{ key: '1.0.1', reason: 'exited with code 255' }]);
    expect(scenario.effects('exit')).toEqual([]);
    expect(scenario.tell({ type: 'tick' }).effects('exit')).toEqual([{ type: 'exit', code: 255 }]);
  });

  test('one whose exit is about to be told again keeps its code', () => {
    const scenario = Scenario.serving().tell({ type: 'attached', processes: [{ key: '1.0.1', pid: 101 }] });
    scenario.exits('1.0.1', 0);
    expect(scenario.effects('exit')).toEqual([{ type: 'exit', code: 0 }]);
  });

  test('a stranger is asked to stop, then killed, and waited for', () => {
    const scenario = Scenario.serving().tell({
      type: 'attached',
      processes: [
        { key: '1.0.1', pid: 101 },
        { key: '7.0.31', pid: 202 },
      ],
    });
    expect(scenario.effects()).toMatchObject([{ type: 'kill', key: '7.0.31', pid: 202, signal: 15 }]);
    scenario.wait(20_000);
    expect(scenario.effects('kill')).toMatchObject([{ key: '7.0.31', signal: 9, scope: 'group' }]);
    expect(scenario.trigger('control').prepared('b').effects('spawn')).toMatchObject([{ key: '8.0.32' }]);
    scenario.exits('7.0.31', 0, 9);
    expect(scenario.state.draining).toEqual([]);
  });

  test('strangers do not hold up the first generation', () => {
    const scenario = new Scenario({ maxDraining: 1 });
    scenario.tell({ type: 'attached', processes: [{ key: '7.0.31', pid: 202 }] }).tell({ type: 'start' });
    expect(scenario.effects('prepare')).toHaveLength(1);
  });

  test('a stop signal that PID 1 confirmed is not repeated', () => {
    const scenario = Scenario.serving().tell({ type: 'stop', event: 1 }).tell({ type: 'told', key: '1.0.1' });
    scenario.effects();
    scenario.at = 1000;
    scenario.tell({ type: 'attached', processes: [{ key: '1.0.1', pid: 101 }] });
    expect(scenario.effects()).toEqual([]);
    expect(scenario.projection.deadline).toBe(20_000);
  });

  test('one that it did not confirm is, with the whole drain time', () => {
    const scenario = Scenario.serving().tell({ type: 'stop', event: 1 });
    scenario.effects();
    scenario.at = 1000;
    scenario.tell({ type: 'attached', processes: [{ key: '1.0.1', pid: 101 }] });
    expect(scenario.effects()).toMatchObject([{ type: 'kill', key: '1.0.1', signal: 15 }]);
    expect(scenario.projection.deadline).toBe(21_000);
  });

  test('SIGKILL is repeated: it can do no harm, and without it nothing would end', () => {
    const scenario = Scenario.serving().tell({ type: 'stop', event: 1 }).wait(20_000);
    scenario.effects();
    scenario.tell({ type: 'attached', processes: [{ key: '1.0.1', pid: 101 }] });
    expect(scenario.effects()).toMatchObject([{ type: 'kill', key: '1.0.1', signal: 9 }]);
  });

  test('a process whose exit was heard before its start is still known by its pid', () => {
    const scenario = Scenario.serving().trigger('control').prepared('b');
    scenario.tell({ type: 'exited', key: '2.0.2', code: 1, signal: 0 });
    scenario.effects();
    const processes = [
      { key: '1.0.1', pid: 101 },
      { key: '2.0.2', pid: 102 },
    ];
    scenario.tell({ type: 'attached', processes });
    expect(scenario.effects()).toMatchObject([{ type: 'kill', key: '2.0.2', pid: 102, scope: 'group' }]);
  });

  test('the exit is asked for again', () => {
    const scenario = Scenario.serving().tell({ type: 'stop', event: 1 }).exits('1.0.1', 3);
    scenario.effects();
    scenario.tell({ type: 'attached', processes: [] }).tell({ type: 'stop', event: 1 });
    expect(scenario.effects('exit').at(-1)).toEqual({ type: 'exit', code: 3 });
  });
});
