import { describe, expect, test } from 'vitest';
import { Gate } from '../../support/gate.ts';
import { Service } from '../../support/service.ts';

/** A shell around the app that says which signals it gets, and in which generation it is. */
const witness = (app: readonly string[]) => {
  const traps = ['USR1', 'USR2', 'WINCH', 'HUP', '40'].map(
    (name) => `trap "echo $BATON_GENERATION ${name}" ${name}`,
  );
  return [
    'sh',
    '-c',
    `${traps.join(';')}; trap 'kill $!; wait $!; exit' TERM; "$@" & echo "$BATON_GENERATION up"; while :; do wait; done`,
    'sh',
    ...app,
  ];
};

describe.concurrent('signals', () => {
  test('that are not Baton’s own reach the active generation, and no other', async () => {
    await using gate = await Gate.opened();
    const flags = ['--ready', gate.readiness, '--watch', 'off'];
    await using service = await Service.start('c', { command: witness, flags, watch: [] });
    const { running } = service;
    await running.waitFor(/^1 up\n$/);
    running.kill('SIGUSR1');
    await running.waitFor(/1 USR1\n$/);

    // Begun while there is one generation only: the other might take it.
    const { begun, result } = service.slow(6000);
    await begun;
    await gate.close();
    running.kill('SIGHUP');
    await service.until(({ candidate }) => candidate?.processes[0]?.state === 'running');
    await running.waitFor(/2 up\n$/);
    running.kill('SIGWINCH');
    await running.waitFor(/1 WINCH\n$/);

    await gate.open();
    await service.until(({ draining }) => draining.length > 0);
    running.kill(40);
    await running.waitFor(/2 40\n$/);
    await result;
    await service.stop();
    expect(running.stdout).toBe('1 up\n1 USR1\n2 up\n1 WINCH\n2 40\n');
  });

  test('--reload-signal: another one reloads, and SIGHUP is the program’s', async () => {
    const flags = ['--reload-signal', 'SIGUSR2'];
    await using service = await Service.start('c', { command: witness, flags });
    service.running.kill('SIGHUP');
    await service.running.waitFor(/1 HUP\n$/);
    expect(await service.outcomeOf(() => service.running.kill('SIGUSR2'))).toMatchObject({
      outcome: 'promoted',
      generation: 2,
      by: 'signal',
    });
    await service.stop();
    expect(service.running.stdout).toBe('1 up\n1 HUP\n2 up\n');
  });
});
