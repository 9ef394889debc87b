/* execvp(3) as glibc does it, whichever libc we are built with. */
#ifndef BATON_EXEC_H
#define BATON_EXEC_H

/* Executes argv[0], searched in PATH when it has no slash, with our own environment. A file that the kernel does not
 * know as a program (ENOEXEC: a script without "#!") is run by /bin/sh; for that argv[-1] must exist and is
 * overwritten. Returns only on failure, with errno: EACCES if any candidate was refused, else ENOENT, or what
 * execve(2) said. Allocates nothing; fit for the child of vfork(2). */
void exec_command(char **argv);

#endif
