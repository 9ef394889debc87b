/** Why PID 1 ends is left in /dev/termination-log, where Kubernetes looks for it. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { mountTest, throughDevices } from '../../support/mounts.ts';
import { actor, describePid1, type Suite } from './suite.ts';

function devices({ installation }: Suite, content?: string) {
  const folder = mkdtempSync(join(installation.folder, 'dev-'));
  const file = join(folder, 'termination-log');
  if (content !== undefined) writeFileSync(file, content);
  return { file, through: throughDevices(folder), content: () => readFileSync(file, 'utf8') };
}

describePid1((suite) => {
  /** A container that stops without an agent, and whose program does not end. */
  async function stopped(through: readonly string[], beforeStop: () => void = () => {}) {
    await using pid1 = await suite.start({ through });
    const agent = await pid1.attached();
    const options = ['stop-timeout=100'];
    const pid = await agent.spawn('program', [actor, 'deaf', 'say:up', 'stay'], { options });
    await pid1.running.waitFor(/^up$/m);
    beforeStop();
    await agent.kill();
    await pid1.agent();
    pid1.running.kill('SIGTERM');
    expect(await pid1.exit).toEqual({ code: 137, signal: null });
    return `no agent to make the stop: stopping the service without it
pid ${pid} did not end within 100 ms: killing it
`;
  }

  mountTest('a stop without an agent, and what was killed in it', async () => {
    const log = devices(suite, '');
    expect(await stopped(log.through)).toBe(log.content());
  });

  mountTest('what the agent has written stays', async () => {
    const log = devices(suite, '');
    const lines = await stopped(log.through, () => writeFileSync(log.file, 'said by the agent\n'));
    expect(log.content()).toBe(`said by the agent\n${lines}`);
  });

  mountTest('4096 bytes and no more', async () => {
    const log = devices(suite, 'x'.repeat(4096 - 30));
    await stopped(log.through);
    expect(log.content()).toBe('x'.repeat(4096 - 30));
  });

  mountTest('nothing makes the file', async () => {
    const log = devices(suite);
    await stopped(log.through);
    expect(existsSync(log.file)).toBe(false);
  });

  mountTest.each([
    ['a pipe that nobody reads', (file: string) => execFileSync('mkfifo', [file])],
    ['a directory', (file: string) => mkdirSync(file)],
  ])('%s in its place keeps nobody', async (_, make) => {
    const log = devices(suite);
    make(log.file);
    await stopped(log.through);
  });

  mountTest('no Node', async () => {
    const log = devices(suite, '');
    await using pid1 = await suite.start({ through: log.through, env: { BATON_NODE: '/nonexistent' } });
    expect(await pid1.exit).toEqual({ code: 127, signal: null });
    expect(log.content()).toBe('cannot execute BATON_NODE=/nonexistent: ENOENT\n');
    expect(pid1.running.stderr).toBe(`baton: ${log.content()}`);
  });

  mountTest.each([
    [7, 'the agent exited with 7 before it ran anything: the log says why\n'],
    [0, ''],
  ])('an agent that exits with %i before it attaches', async (code, text) => {
    const log = devices(suite, '');
    await using pid1 = await suite.start({ through: log.through });
    (await pid1.agent()).exit(code);
    await pid1.exit;
    expect(log.content()).toBe(text);
  });

  mountTest('the end that an agent asks for is for the agent to explain', async () => {
    const log = devices(suite, '');
    await using pid1 = await suite.start({ through: log.through });
    (await pid1.attached()).send('exit', 3);
    expect(await pid1.exit).toEqual({ code: 3, signal: null });
    expect(log.content()).toBe('');
  });
});
