/* GARI_STRESS: collections at calls that a seed decides, so that a program whose references are wrong
 * breaks soon, and at the same place each time. */
#ifndef GARI_COLLECTOR_STRESS_H
#define GARI_COLLECTOR_STRESS_H

/* A collection at every so manieth call of a thread, on average; 0: none. While no other thread uses
 * gari. All threads' sequences begin anew. */
void gari__stress_set(unsigned every, unsigned seed);
/* They begin anew. */
void gari__stress_restart(void);

#endif
