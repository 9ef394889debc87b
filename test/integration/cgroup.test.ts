/** A container with limits, made of a real cgroup: what the program is told of them, and what happens at the end of memory. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempDisposable, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { kill } from 'node:process';
import { describe, expect } from 'vitest';
import { buildApp } from '../apps/build.ts';
import { cgroupTest, TestCgroup } from '../support/cgroup.ts';
import { Service } from '../support/service.ts';

const MIB = 1024 * 1024;
const OUT_OF_MEMORY = 'out of memory (limit 256 MiB)';

/** Room for Baton, and for a program of the usual size. */
async function smallCgroup(): Promise<TestCgroup> {
  const cgroup = await TestCgroup.make();
  await cgroup.set('memory.limit_in_bytes', 256 * MIB);
  return cgroup;
}

/** What the serving program was told. */
async function toldLimits(service: Service): Promise<Record<string, string>> {
  const [pid] = await service.mainPids();
  const environment = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0');
  const entries = environment.filter((entry) => /^BATON_(CPU|MEMORY)_LIMIT=/.test(entry));
  return Object.fromEntries(entries.map((entry) => entry.split('=') as [string, string]));
}

const messages = (service: Service) => service.log.map(({ msg }) => msg);

describe('the limits of the container', () => {
  cgroupTest('are told to each generation as they are when it is started', async () => {
    await using cgroup = await smallCgroup();
    await cgroup.set('cpu.cfs_quota_us', 150_000);
    await using service = await Service.start('c', { through: cgroup.entering });
    expect(await toldLimits(service)).toEqual({
      BATON_CPU_LIMIT: '1.5',
      BATON_MEMORY_LIMIT: String(256 * MIB),
    });
    expect((await service.status()).limits).toEqual({ cpu: 1.5, memory: 256 * MIB });

    await cgroup.set('memory.limit_in_bytes', 300 * MIB);
    await cgroup.set('cpu.cfs_quota_us', -1);
    expect((await service.baton('reload')).code).toBe(0);
    expect(await toldLimits(service)).toEqual({ BATON_MEMORY_LIMIT: String(300 * MIB) });
    expect((await service.status()).limits).toEqual({ cpu: null, memory: 300 * MIB });
  });

  cgroupTest('are what the operator says that they are', async () => {
    await using cgroup = await smallCgroup();
    const environment = { BATON_CPU_LIMIT: '7' };
    await using service = await Service.start('c', { through: cgroup.entering, environment });
    expect(await toldLimits(service)).toEqual({ ...environment, BATON_MEMORY_LIMIT: String(256 * MIB) });
  });
});

describe('a version that does not fit into memory', () => {
  cgroupTest('fails for that, while the one before serves on', async () => {
    await using cgroup = await smallCgroup();
    await using service = await Service.start('c', { version: 'fits', through: cgroup.entering });
    const load = service.load({ mode: 'per-request', connections: 2, rate: 200 });
    await load.completed(20);
    const outcome = await service.outcomeOf(() => service.update('greedy', { variant: 'fills-memory' }));
    expect(outcome).toMatchObject({
      outcome: 'failed',
      generation: 2,
      msg: expect.stringContaining(`was killed by the kernel: ${OUT_OF_MEMORY}`),
    });
    expect(messages(service)).toContain(`${OUT_OF_MEMORY}: the kernel killed a process`);
    expect(await cgroup.read('memory.oom_control')).toMatch(/^oom_kill 1$/m);

    // What somebody else kills is not explained by that.
    const [pid] = await service.mainPids();
    await load.completed(20);
    const report = await load.stop();
    expect(report).toMatchObject({ failed: 0, stale: 0 });
    expect([...report.versions.keys()]).toEqual(['fits']);
    kill(pid as number, 'SIGKILL');
    await service.waitForLog(({ msg }) => msg.startsWith('the program was killed by SIGKILL; '));
  });
});

describe('the serving program runs out of memory', () => {
  cgroupTest('while the agent is dead: the next one tells', async () => {
    await using cgroup = await smallCgroup();
    await using service = await Service.start('c', { through: cgroup.entering });
    const [pid] = await service.mainPids();
    const agent = await service.agentPid();
    kill(agent, 'SIGSTOP');
    await writeFile(`/proc/${pid}/oom_score_adj`, '1000');
    await fillMemory(cgroup);
    kill(agent, 'SIGKILL');
    await service.waitForLog(({ msg }) =>
      msg.startsWith(`the program was killed by the kernel: ${OUT_OF_MEMORY}`),
    );
    const { active } = await service.until(({ active }) => active?.processes[0]?.state === 'ready');
    expect(active?.generation).toBe(1);
  });
});

/** Somebody in the cgroup who takes all of it, until the kernel kills them, too: others that it prefers before them. */
async function fillMemory(cgroup: TestCgroup): Promise<void> {
  await using directory = await mkdtempDisposable(`${tmpdir()}/baton-hog-`);
  const { command } = await buildApp('c', 'hog', directory.path, { variant: 'fills-memory' });
  const [enter = '', ...rest] = [...cgroup.entering, ...command];
  const [code, signal] = await once(spawn(enter, rest, { stdio: 'ignore' }), 'exit');
  expect({ code, signal }).toEqual({ code: null, signal: 'SIGKILL' });
}
