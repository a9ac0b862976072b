/* The example's graph as demo.h wants it; on bdwgc, too, whose words are then gari's. */
#ifndef BENCH_DEMO_GRAPH_H
#define BENCH_DEMO_GRAPH_H

#include "bench/driver.h"
#include "examples/pkggraph/lookup.h"

static archive_root current;

static void demo_load(const struct catalog *catalog, uint64_t serial)
{
    struct archive *archive = index_build(catalog, serial, NULL, NULL);
    bench_check(archive != NULL, "out of memory");
    gari_move(&current, archive);
}

static archive_root *demo_current(void)
{
    return &current;
}

static void demo_withdraw(void)
{
    gari_move(&current, NULL);
}

#endif
