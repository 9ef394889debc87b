/**
 * What a test that runs out of time leaves behind: it is abandoned where it waits, and what it holds with `await using` is never
 * disposed of. Not vitest's onTestFinished, which does not know whose it is where tests run side by side.
 */
import { afterAll } from 'vitest';

const held = new Set<() => Promise<void>>();

afterAll(async () => {
  await Promise.all([...held].map((remove) => remove()));
});

/** @returns to be called by the test that is done with it; else `remove` is called after the last test of the file. Once only */
export function removable(remove: () => Promise<void>): () => Promise<void> {
  const once = async () => {
    if (held.delete(once)) await remove();
  };
  held.add(once);
  return once;
}
