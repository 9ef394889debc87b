/** One call for a burst, however many files it touched. */

export interface Debounce {
  /** Something happened; `what` is told with the call. */
  note(what: string): void;
  cancel(): void;
}

/**
 * Calls `fire` once nothing was noted for `quiet` ms, and at the latest `latest` ms after the first note, so that a
 * file that is written to without end cannot hold it back for ever. `fire` gets each distinct thing noted, oldest
 * first.
 */
export function debounce(fire: (what: readonly string[]) => void, quiet: number, latest: number): Debounce {
  const noted = new Set<string>();
  let quietTimer: NodeJS.Timeout | undefined;
  let latestTimer: NodeJS.Timeout | undefined;
  const cancel = () => {
    clearTimeout(quietTimer);
    clearTimeout(latestTimer);
    latestTimer = undefined;
    noted.clear();
  };
  const flush = () => {
    const what = [...noted];
    cancel();
    fire(what);
  };
  return {
    note(what) {
      noted.add(what);
      clearTimeout(quietTimer);
      quietTimer = setTimeout(flush, quiet);
      latestTimer ??= setTimeout(flush, latest);
    },
    cancel,
  };
}
