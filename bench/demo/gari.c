/* demo on gari: the example's own graph. */
#include "bench/demo/graph.h"
#include "bench/gari_peer.h"

static void demo_begin(void)
{
    gari_peer_configure();
}

static void demo_end(void)
{
    gari_stats stats = gari_peer_stats();
    bench_put("heap_peak_mb", (double)stats.heap_peak_bytes / 1e6);
    bench_put("longest_wait_us", (double)stats.longest_wait_ns / 1e3);
    gari_peer_end();
}
#include "bench/demo/demo.h"
