#!/usr/bin/env node
/**
 * `baton` of the npm package: becomes the C binary, same process, same pid, so that it is PID 1 where this was.
 * The agent then runs on the Node.js that runs this, unless BATON_NODE says otherwise.
 */
import { fileURLToPath } from 'node:url';

if (!process.execve) {
  console.error(
    `baton: Node.js 22.15, 23.11 or newer is needed for process.execve, ${process.execPath} is ${process.version}`,
  );
  process.exit(78); // EX_CONFIG, sysexits.h
}
const binary = fileURLToPath(new URL(`linux-${process.arch}/baton`, import.meta.url));
try {
  process.execve(binary, [binary, ...process.argv.slice(2)], {
    ...process.env,
    BATON_NODE: process.env.BATON_NODE || process.execPath,
  });
} catch (error) {
  console.error(`baton: ${error.message}`);
  process.exit(error.code === 'ENOENT' ? 127 : 126);
}
