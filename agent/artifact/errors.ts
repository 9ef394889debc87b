/** What went wrong with a file, in a sentence that says what to do. */

/** The source was written to while it was read: not a failure, but a reason to settle again. */
export class ChangedMeanwhile extends Error {
  readonly path: string;

  constructor(path: string) {
    super(`${path}: changed while it was read`);
    this.path = path;
  }
}

/**
 * There is no program to run. `code` as execve(2) would have it: ENOENT, or EACCES where there is one that may not be
 * executed.
 */
export class ProgramError extends Error {
  readonly code: 'ENOENT' | 'EACCES';

  constructor(code: 'ENOENT' | 'EACCES', text: string) {
    super(text);
    this.code = code;
  }
}

const SENTENCES: Readonly<Record<string, string>> = {
  EACCES: 'permission denied; make it and the directories above it readable for the user that Baton runs as',
  EDQUOT: 'disk quota exceeded; free some space there or configure another store',
  ELOOP: 'too many levels of symbolic links; break the loop',
  EIO: 'input/output error; check the volume',
  EMFILE: 'too many open files; raise the limit (ulimit -n)',
  ENAMETOOLONG: 'file name too long; shorten it',
  ENOENT: 'no such file; put it there or correct the path',
  ENOSPC: 'no space left on device; free some space there or configure another store',
  ENOTDIR: 'a part of the path is not a directory; correct the path',
  EPERM: 'operation not permitted; check the owner and the security profile of the container',
  EROFS: 'read-only file system; configure a store that can be written to',
  ESTALE: 'stale file handle; the volume was replaced on its server: remount it',
  ETXTBSY: 'text file busy; something holds it open for writing',
};

/** "PATH: what is wrong; what to do" for a symbolic errno. */
export function sentence(path: string, errno: string): string {
  return `${path}: ${SENTENCES[errno] ?? `failed with ${errno}`}`;
}

/** What is wrong, without what to do. */
export function withoutAdvice(text: string): string {
  return text.split('; ', 1).join();
}
