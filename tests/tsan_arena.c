/* Lets Criterion run under ThreadSanitizer; only that build of the tests links this file.
 *
 * Criterion's sandbox library (BoxFort) maps an arena at the address
 *     0x200000000000 + (rand_r() & 0x3fffff) * 2^24
 * that parent and child share, and gives up when it cannot. ThreadSanitizer lets a program map only
 * some ranges, and most such addresses are outside them. This rand_r, which the library finds
 * instead of the C library's (the program is linked with -rdynamic), draws from the part that lies
 * in the range of position-independent programs, 0x550000000000 to 0x560000000000. */
#include <stdlib.h>

int rand_r(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return (int)(0x350000u + (*seed >> 16 & 0xffffu));
}
