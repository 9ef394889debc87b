import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';

/** The first child of a process whose command line matches, awaited: PID 1 starts what died again after a pause of its own. */
export async function childOf(pid: number, matches: (command: string) => boolean): Promise<number> {
  for (;;) {
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
    for (const child of children.trim().split(' ')) {
      const command = await readFile(`/proc/${child}/cmdline`, 'utf8').catch(() => '');
      if (matches(command.replaceAll('\0', ' '))) return Number(child);
    }
    await pause(5);
  }
}
