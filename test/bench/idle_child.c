/* Says that it runs, and then does nothing. */
#include <unistd.h>

int main(void)
{
    if (write(STDOUT_FILENO, "up\n", 3) != 3)
        return 1;
    for (;;)
        pause();
}
