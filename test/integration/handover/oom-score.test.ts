/** Where memory does not suffice for two, the kernel is to take the candidate and not what serves. */
import { readFile } from 'node:fs/promises';
import { kill } from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Gate } from '../../support/gate.ts';
import { Service } from '../../support/service.ts';

const scoreOf = async (pid: number) => Number(await readFile(`/proc/${pid}/oom_score_adj`, 'utf8'));

async function untilScore(pid: number, score: number): Promise<void> {
  while ((await scoreOf(pid)) !== score) await pause(5);
}

test('the candidate is first, until it is promoted; an agent that died in between does not matter', async () => {
  await using gate = await Gate.opened();
  await using service = await Service.start('c', { flags: ['--ready', gate.readiness] });
  const own = await scoreOf(service.running.pid);
  const [serving = 0] = await service.mainPids();
  await gate.close();
  const reload = service.baton('reload');
  const { candidate } = await service.until((status) => status.candidate?.processes[0]?.pid != null);
  const starting = await service.hostPid(candidate?.processes[0]?.pid as number);
  await untilScore(starting, 1000);
  expect(await scoreOf(serving)).toBe(own);
  kill(await service.agentPid(), 'SIGKILL');
  await service.waitForLog(({ msg }) => msg === 'a new agent carries on');
  expect(await scoreOf(starting)).toBe(1000);
  await gate.open();
  expect(await reload).toMatchObject({ code: 0 });
  await untilScore(starting, own);
});
