/** What is to run, resolved once per generation; made by `artifact/`. */
export interface Artifact {
  /** Digest over the program and everything watched, hex: two artifacts with the same digest are the same. */
  readonly digest: string;
  /** The file that is executed: a private snapshot, or the program itself where it is not watched. */
  readonly path: string;
  /** The program's own path, fully resolved, for people. */
  readonly source: string;
}
