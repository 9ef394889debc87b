import type { Method } from './method.ts';

/**
 * Ready once the process says READY=1. A datagram is newline-separated assignments (sd_notify(3)); STATUS= is
 * remembered as what was last seen.
 */
export const notify: Method = async (_, target, signal, see) => {
  see(`pid ${target.pid} has not sent READY=1`);
  const payloads = target.notified[Symbol.asyncIterator]();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort);
  try {
    for (;;) {
      const next = await Promise.race([payloads.next(), aborted.promise]);
      if (next.done) throw new Error(`pid ${target.pid} can send no READY=1 any more`);
      const assignments = next.value.split('\n');
      if (assignments.includes('READY=1')) return;
      const status = assignments.findLast((assignment) => assignment.startsWith('STATUS='));
      if (status) see(`pid ${target.pid} has not sent READY=1, its last status: ${status.slice(7)}`);
    }
  } finally {
    signal.removeEventListener('abort', abort);
    // Not awaited: a generator that waits for its next payload would answer only then.
    void payloads.return?.();
  }
};
