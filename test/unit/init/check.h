/* The C unit tests' one macro. A test program runs to its end and exits 1 if any check failed. */
#ifndef BATON_CHECK_H
#define BATON_CHECK_H

#include <stdio.h>

static int checks, failures;

#define CHECK(condition)                                                                                              \
    do {                                                                                                              \
        checks++;                                                                                                     \
        if (!(condition)) {                                                                                           \
            failures++;                                                                                               \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                   \
        }                                                                                                             \
    } while (0)

static inline int check_report(void)
{
    printf("%d checks, %d failures\n", checks, failures);
    return failures || !checks;
}

#endif
