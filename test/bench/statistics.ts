/**
 * What is said of a sample: its middle and its spread. Means are left out: one preempted round in a thousand moves
 * them.
 */

export interface Summary {
  readonly count: number;
  readonly p10: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/**
 * Interpolated between the two closest ranks (type 7 of Hyndman and Fan, 1996: the default of R and NumPy).
 * @param percent 0 to 100
 * @throws RangeError when there is nothing in the sample, or no such percentile
 */
export function percentile(sample: readonly number[], percent: number): number {
  return ofSorted(sorted(sample), percent);
}

/** @throws RangeError when there is nothing in the sample */
export function median(sample: readonly number[]): number {
  return percentile(sample, 50);
}

/** @throws RangeError when there is nothing in the sample */
export function summarise(sample: readonly number[]): Summary {
  const values = sorted(sample);
  const at = (percent: number) => ofSorted(values, percent);
  return { count: values.length, p10: at(10), p50: at(50), p90: at(90), p99: at(99), max: at(100) };
}

/**
 * The ratios of two contenders round by round: what slows a whole round down cancels out, which the ratio of two
 * medians does not promise.
 * @throws RangeError when the samples are not of the same rounds, or a reference is not above 0
 */
export function pairedRatio(sample: readonly number[], reference: readonly number[]): Summary {
  if (sample.length !== reference.length)
    throw new RangeError(`${sample.length} rounds cannot be paired with ${reference.length}`);
  return summarise(
    sample.map((value, round) => {
      const base = reference[round] as number;
      if (!(base > 0)) throw new RangeError(`round ${round} of the reference is ${base}, not above 0`);
      return value / base;
    }),
  );
}

function sorted(sample: readonly number[]): number[] {
  if (sample.length === 0) throw new RangeError('an empty sample has no percentiles');
  return sample.toSorted((a, b) => a - b);
}

function ofSorted(values: readonly number[], percent: number): number {
  if (!(percent >= 0 && percent <= 100)) throw new RangeError(`there is no percentile ${percent}`);
  const rank = ((values.length - 1) * percent) / 100;
  const below = values[Math.floor(rank)] as number;
  const above = values[Math.ceil(rank)] as number;
  return below + (above - below) * (rank - Math.floor(rank));
}
