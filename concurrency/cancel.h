/* gari is left by its end only: where it might come to a cancellation point, in a wait of its own or in
 * a user's function, cancellation is off. A thread that is cancelled meanwhile goes at its next
 * cancellation point outside of gari. */
#ifndef GARI_CONCURRENCY_CANCEL_H
#define GARI_CONCURRENCY_CANCEL_H

#include <pthread.h>

static inline int gari__cancel_off(void)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

static inline void gari__cancel_restore(int before)
{
    pthread_setcancelstate(before, NULL);
}

#endif
