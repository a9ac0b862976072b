#include "concurrency/fault.h"

unsigned gari__faults_armed;

/* All atomically: gari's threads may be at work while a test changes its mind. */
static long first, last, again, counted, met;

void gari__faults_arm(const struct gari__faults *faults)
{
    gari__store_relaxed(&gari__faults_armed, 0);
    if (!faults)
        return;
    gari__store_relaxed(&counted, 0);
    gari__store_relaxed(&met, 0);
    gari__store_relaxed(&first, faults->first);
    gari__store_relaxed(&last, faults->last);
    gari__store_relaxed(&again, faults->again);
    gari__store_relaxed(&gari__faults_armed, faults->kinds);
}

long gari__faults_counted(void)
{
    return gari__load_relaxed(&counted);
}

long gari__faults_met(void)
{
    return gari__load_relaxed(&met);
}

bool gari__fault_slow(void)
{
    long number = gari__fetch_add_relaxed(&counted, 1) + 1;
    bool fails = (number >= gari__load_relaxed(&first) && number <= gari__load_relaxed(&last)) ||
                 number == gari__load_relaxed(&again);
    if (fails)
        gari__fetch_add_relaxed(&met, 1);
    return fails;
}
