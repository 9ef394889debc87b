/** On what the figures were taken, for whoever compares them with others. */
import { cpus, loadavg, release, totalmem, type } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memory: string;
  readonly kernel: string;
  readonly node: string;
}

export function describeMachine(): Machine {
  const [first] = cpus();
  return {
    cpu: first?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    kernel: `${type()} ${release()}`,
    node: process.version,
  };
}

/** Of the last minute, getloadavg(3). Above half the cores the figures are of a machine that had other things to do. */
export function load(): number {
  return loadavg()[0] ?? 0;
}
