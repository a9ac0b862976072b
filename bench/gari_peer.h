/* What the benchmark programs on gari share. */
#ifndef BENCH_GARI_PEER_H
#define BENCH_GARI_PEER_H

#include "bench/driver.h"
#include "lib/gari.h"

/* --mode background (default), inline or manual: docs/guide.md says what they are. */
__attribute__((unused)) static void gari_peer_configure(void)
{
    static const char *const names[] = {"background", "inline", "manual"};
    const char *wanted = bench_text("--mode", names[0]);
    gari_config config = GARI_CONFIG_INIT;
    int mode = 0;
    while (mode < 3 && strcmp(names[mode], wanted) != 0)
        mode++;
    bench_check(mode < 3, "--mode must be background, inline or manual");
    config.mode = (gari_mode)mode;
    bench_check(gari_configure(&config) == 0, "gari_configure failed");
}

__attribute__((unused)) static gari_stats gari_peer_stats(void)
{
    gari_stats stats;
    memset(&stats, 0, sizeof(stats));
    stats.struct_size = sizeof(stats);
    bench_check(gari_get_stats(&stats) == 0, "gari_get_stats failed");
    return stats;
}

/* Ends gari, so that what a program has measured did not leak. */
__attribute__((unused)) static void gari_peer_end(void)
{
    bench_check(gari_shutdown(NULL, NULL) == 0, "objects are left at the end");
}

__attribute__((unused)) static void *gari_peer_new(const gari_type *type)
{
    void *object = gari_new(type);
    bench_check(object != NULL, "out of memory");
    return object;
}

#endif
