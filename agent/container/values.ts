/** What stands in the files of a cgroup. Pure; null: no limit, or nothing that could be read as one. */

/** v2 `cpu.max`: "QUOTA PERIOD" or "max PERIOD", microseconds. */
export function parseCpuMax(text: string): number | null {
  const [quota = '', period = ''] = text.trim().split(' ');
  return parseCpuQuota(quota, period);
}

/** v1 `cpu.cfs_quota_us` (-1: none) and `cpu.cfs_period_us`. */
export function parseCpuQuota(quota: string, period: string): number | null {
  const [time, length] = [parseCount(quota), parseCount(period)];
  if (!time || !length) return null;
  // Both stand in whole microseconds, a period is at most a second and a quota at least a millisecond: never 0.000.
  return Number((time / length).toFixed(3));
}

/**
 * v2 `memory.max`: bytes or "max". v1 `memory.limit_in_bytes`: none is the largest number of whole pages (the kernel's
 * PAGE_COUNTER_MAX), just below 2^63, whatever the size of a page; no machine has what does not fit into a number here.
 */
export function parseBytes(text: string): number | null {
  const bytes = parseCount(text);
  return bytes !== null && Number.isSafeInteger(bytes) ? bytes : null;
}

/** A file of "key value" lines, the kernel's "flat keyed": `memory.events`, `memory.stat`, v1 `memory.oom_control`. */
export function parseEntry(text: string, key: string): number | null {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${key} `));
  return line === undefined ? null : parseBytes(line.slice(key.length + 1));
}

function parseCount(text: string): number | null {
  const digits = text.trim();
  return /^\d+$/.test(digits) ? Number(digits) : null;
}
