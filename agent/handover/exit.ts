/** How a process ended, in numbers and in words. */
import { signalName } from '../../config/signal.ts';

export const SIGKILL = 9;

/** What is known of an end that nobody saw; containerd's UnknownExitStatus. */
export const UNKNOWN_EXIT = 255;

/** As a shell exits for a command that it cannot run (POSIX, Shell Command Language 2.8.2). */
export const CANNOT_EXECUTE = 126;
export const NOT_FOUND = 127;

export interface Exit {
  readonly code: number;
  /** 0 after an exit. */
  readonly signal: number;
  /** Where the kernel killed it for want of memory: "out of memory (limit 64 MiB)". */
  readonly oom?: string | null;
}

/** The code with which a shell reports it: 128+n after signal n. */
export function exitCode({ code, signal }: Exit): number {
  return signal === 0 ? code : 128 + signal;
}

/** Completes the sentence "the process …". */
export function exitReason({ code, signal, oom }: Exit): string {
  if (oom) return `was killed by the kernel: ${oom}`;
  return signal === 0 ? `exited with code ${code}` : `was killed by ${signalName(signal)}`;
}
