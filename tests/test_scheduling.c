/* Scheduling that cannot be starved or fooled, and the figures that show it. */
#include "concurrency/atomics.h"
#include "lib/collector/collector.h"
#include "tests/support.h"

#include <stdatomic.h>
#include <time.h>

TestSuite(scheduling, .timeout = 120);

/* ---- Explicit collections do not stop automatic ones -------------------------------------- */

static atomic_bool stop;

static void *collect_young_for_ever(void *arg)
{
    while (!atomic_load(&stop))
        gari_collect((int)(long)arg);
    return NULL;
}

static bool older_ran(void *generation)
{
    return stats_now().generation[(long)generation].collections > 0;
}

static struct node *kept[3000];

/* Rings that are held through a collection or more, so that they die old; a slowly growing heap. */
static void *make_old_garbage(void *arg)
{
    for (size_t i = 0; !atomic_load(&stop); i++) {
        gari_decref(kept[i % 3000]);
        kept[i % 3000] = new_ring(&watched_type, 2);
        /* Under a sanitizer making costs as much as collecting, and without a rest now and then a few
         * huge collections take the place of many. */
        if (SANITIZED && i % 3000 == 2999)
            nanosleep(&(struct timespec){0, 50000000}, NULL);
    }
    for (int i = 0; i < 3000; i++) {
        gari_decref(kept[i]);
        kept[i] = NULL;
    }
    return arg;
}

static void check_that_it_starves_nothing(gari_mode mode, long generation)
{
    use_mode(mode);
    pthread_t collecting = start_thread(collect_young_for_ever, (void *)generation);
    pthread_t making = start_thread(make_old_garbage, NULL);
    for (long older = generation + 1; older < 3; older++)
        cr_assert(wait_until(older_ran, (void *)older, 60), "generation %ld has had no turn",
                  older);
    atomic_store(&stop, true);
    join_thread(making);
    join_thread(collecting);
    assert_nothing_left();
}

Test(scheduling, endless_collections_of_0_starve_nothing_in_the_background)
{
    check_that_it_starves_nothing(GARI_MODE_BACKGROUND, 0);
}

Test(scheduling, endless_collections_of_0_starve_nothing_in_inline_mode)
{
    check_that_it_starves_nothing(GARI_MODE_INLINE, 0);
}

Test(scheduling, endless_collections_of_1_starve_nothing_in_inline_mode)
{
    check_that_it_starves_nothing(GARI_MODE_INLINE, 1);
}

/* One thread: each ring is born, outlives a collection of generation 0 and then dies, so that no such
 * collection will ever find it. */
static void check_that_old_garbage_dies(gari_mode mode)
{
    use_mode(mode);
    gari_set_threshold(100, 5, 5);
    size_t rings = SCALED(40000) + 4000;
    for (size_t i = 0; i < rings; i++) {
        struct node *ring = new_ring(&watched_type, 2);
        gari_collect(0);
        gari_decref(ring);
    }
    cr_assert(stats_now().generation[1].collections > 0);
    cr_assert(stats_now().generation[2].collections > 0);
    assert_at_most(stats_now().objects_live, rings / 2);
    assert_nothing_left();
}

Test(scheduling, collections_of_0_after_each_ring_let_none_pile_up_in_the_background)
{
    check_that_old_garbage_dies(GARI_MODE_BACKGROUND);
}

Test(scheduling, collections_of_0_after_each_ring_let_none_pile_up_in_inline_mode)
{
    check_that_old_garbage_dies(GARI_MODE_INLINE);
}

/* ---- Reading changes nothing -------------------------------------------------------------- */

static void read_everything(void)
{
    size_t count[3];
    int threshold[3];
    gari_get_count(count);
    gari_get_threshold(threshold);
    gari_is_enabled();
    gari_get_debug();
    gari_garbage_count();
    gari_get_memory_limit();
    stats_now();
}

Test(scheduling, reading_counters_changes_nothing)
{
    use_manual_mode();
    uint64_t collections[2];
    size_t count[2][3];
    for (int reading = 0; reading < 2; reading++) {
        struct node *node[701];
        for (int i = 0; i < 701; i++) {
            node[i] = new_node(&node_type, 0);
            for (int k = 0; reading && k < 10; k++)
                read_everything();
        }
        uint64_t before = all_collections();
        gari_get_count(count[reading]);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); /* two are 10 ms apart */
        gari_step(100000);
        collections[reading] = all_collections() - before;
        for (int i = 0; i < 701; i++)
            gari_decref(node[i]);
        while (gari_step(100000))
            continue;
        gari_collect(2);
    }
    assert_equal(count[0][0], 701);
    assert_equal(count[1][0], 701);
    assert_equal(collections[0], 1);
    assert_equal(collections[1], 1);
    assert_nothing_left();
}

static void *read_for_ever(void *arg)
{
    while (!atomic_load(&stop))
        read_everything();
    return arg;
}

Test(scheduling, reading_counters_in_a_loop_stops_no_collection)
{
    use_mode(GARI_MODE_INLINE);
    pthread_t reading = start_thread(read_for_ever, NULL);
    for (size_t i = 0; i < 200000 && all_collections() == 0; i++)
        make_garbage_ring(&watched_type, 2);
    cr_assert(all_collections() > 0);
    atomic_store(&stop, true);
    join_thread(reading);
    assert_nothing_left();
}

/* ---- The work is in proportion ------------------------------------------------------------ */

/* Objects examined while a list of `length` live nodes is built in the way that makes most candidates:
 * each is stored, and the maker's reference dropped. */
static uint64_t examined_in_building(size_t length)
{
    gari_stats before = stats_now();
    struct node *first = new_node(&node_type, 0);
    struct node *last = gari_incref(first);
    for (size_t i = 1; i < length; i++) {
        struct node *node = new_node(&node_type, 0);
        gari_store(&last->next, node);
        gari_store(&node->prev, last);
        gari_decref(last);
        last = node;
    }
    gari_decref(last);
    gari_stats after = stats_now();
    uint64_t examined = 0;
    for (int i = 0; i < 3; i++)
        examined += after.generation[i].examined - before.generation[i].examined;
    gari_decref(first);
    gari_collect(2);
    return examined;
}

static void check_linear(gari_mode mode)
{
    use_mode(mode);
    size_t base = SCALED(200000);
    for (size_t factor = 1; factor <= (SANITIZED ? 2 : 8); factor *= 2) {
        uint64_t examined = examined_in_building(base * factor);
        cr_log_info("%zu nodes: %.2f examined for each", base * factor,
                    (double)examined / (double)(base * factor));
        assert_at_most(examined, 12 * base * factor);
    }
    assert_nothing_left();
}

Test(scheduling, building_live_objects_costs_linear_work_in_the_background)
{
    check_linear(GARI_MODE_BACKGROUND);
}

Test(scheduling, building_live_objects_costs_linear_work_in_inline_mode)
{
    check_linear(GARI_MODE_INLINE);
}

/* ---- What dies by its count beside an open pass ---------------------------------------------- */

#define BULK_CHAINS 100
#define BULK_CHAIN 1000

static bool old_is_open(void)
{
    return gari__load_relaxed(&gari__collector.old_open);
}

static struct node *prepend(struct node *chain)
{
    struct node *node = new_node(&node_type, 0);
    if (chain)
        gari_move(&node->next, chain);
    return node;
}

/* It is not to be made up for by births before the young are looked at again. */
Test(scheduling, old_objects_that_die_beside_an_open_pass_hold_up_no_young_collection)
{
    use_mode(GARI_MODE_INLINE);
    struct node *live = new_ring(&node_type, SANITIZED ? 100000 : 1000000), *more = NULL;
    struct node *bulk[BULK_CHAINS];
    for (int i = 0; i < BULK_CHAINS; i++)
        bulk[i] = new_chain(&node_type, BULK_CHAIN);
    while (old_is_open())
        make_garbage_ring(&node_type, 2);
    /* A heap that has grown far enough is walked. */
    while (!old_is_open()) {
        more = prepend(more);
        make_garbage_ring(&node_type, 2);
    }
    for (int i = 0; i < BULK_CHAINS; i++)
        gari_decref(bulk[i]);
    size_t before = collections_of(0) + collections_of(1), nodes = 0;
    while (collections_of(0) + collections_of(1) < before + 2) {
        make_garbage_ring(&node_type, 2);
        nodes += 2;
        assert_at_most(nodes, BULK_CHAINS * BULK_CHAIN * 3 / 4);
    }
    cr_assert(old_is_open(), "the pass was too short for a test");
    gari_decref(live);
    gari_decref(more);
    assert_nothing_left();
}

/* ---- Churn keeps its peak ----------------------------------------------------------------- */

/* Drops rings of a size one after the other, besides a live heap, and looks at the peak. */
static void check_churn(gari_mode mode, size_t ring, size_t objects)
{
    use_mode(mode);
    struct node *live = new_ring(&node_type, 100000);
    size_t base = stats_now().heap_bytes;
    size_t churned = 0;
    for (size_t made = 0; made < objects; made += ring) {
        make_garbage_ring(&node_type, ring);
        churned += ring * sizeof(struct node);
    }
    size_t peak = stats_now().heap_peak_bytes;
    size_t one = ring * sizeof(struct node) * 5 / 4;
    /* What is live twice over, some nurseries, and a few rings of which the last lives. */
    size_t bound = 2 * base + ((size_t)24 << 20) + 6 * one;
    cr_log_info("rings of %zu: base %zu K, peak %zu K, churned %zu K", ring, base >> 10, peak >> 10,
                churned >> 10);
    assert_at_most(peak, bound);
    cr_assert(SANITIZED || churned > 2 * bound, "too little churn for its bound");
    gari_decref(live);
    assert_nothing_left();
}

#define CHURN(ring)                                                                                \
    Test(scheduling, churn_of_rings_of_##ring##_keeps_its_peak_in_the_background)                  \
    {                                                                                              \
        check_churn(GARI_MODE_BACKGROUND, ring, SANITIZED ? 200000 : 4000000);                     \
    }                                                                                              \
    Test(scheduling, churn_of_rings_of_##ring##_keeps_its_peak_in_inline_mode)                     \
    {                                                                                              \
        check_churn(GARI_MODE_INLINE, ring, SANITIZED ? 200000 : 4000000);                         \
    }

CHURN(10)
CHURN(1000)
CHURN(100000)

/* ---- A heap that is known to be alive ------------------------------------------------------ */

/* Rings that refer to `old`, each of which is garbage at once; two objects each. */
static void churn_beside(struct node *old, size_t rings)
{
    for (size_t i = 0; i < rings; i++) {
        struct node *ring = new_ring(&node_type, 2);
        gari_store(&ring->any, old);
        gari_decref(ring);
    }
}

/* Built without a decref or a move, it has no candidates, so all of it is alive; and what hangs on it is no
 * reason to walk it. */
Test(scheduling, a_heap_that_grows_without_candidates_is_not_walked)
{
    use_mode(GARI_MODE_INLINE);
    size_t length = SCALED(400000); /* 20 MB, in most builds */
    struct node *chain = new_chain(&node_type, length);
    cr_assert(SANITIZED || stats_now().heap_bytes > (size_t)16 << 20);
    churn_beside(chain, SCALED(100000));
    gari_stats stats = stats_now();
    cr_assert(SANITIZED || stats.generation[0].collected > 0);
    assert_at_most(stats.generation[2].examined, length / 2);
    gari_decref(chain);
    assert_nothing_left();
}

/* Old garbage does not wait for so many collections of the young as the thresholds say, once there is much of
 * it beside what is alive. */
Test(scheduling, old_garbage_is_found_when_the_heap_has_grown_by_a_quarter)
{
    use_mode(GARI_MODE_INLINE);
    gari_set_threshold(700, 100000, 100000);
    struct node *live = new_chain(&node_type, SCALED(400000));
    size_t base = stats_now().heap_bytes, made = 0;
    while (made < 3 * base) {
        struct node *ring = new_ring(&node_type, 1000);
        gari_collect(0); /* from here on it is none of a young collection's */
        gari_decref(ring);
        made += 1000 * sizeof(struct node);
    }
    cr_assert(SANITIZED || stats_now().generation[2].collected > 0);
    assert_at_most(stats_now().heap_peak_bytes, base + base / 2 + ((size_t)16 << 20));
    gari_decref(live);
    assert_nothing_left();
}

/* ---- The histogram ------------------------------------------------------------------------ */

Test(scheduling, each_collection_is_in_the_histogram_of_its_generation)
{
    use_manual_mode();
    for (int generation = 0; generation < 3; generation++) {
        for (int i = 0; i <= generation; i++) {
            make_garbage_ring(&node_type, 1000);
            gari_collect(generation);
        }
    }
    gari_stats stats = stats_now();
    for (int generation = 0; generation < 3; generation++) {
        const gari_generation_stats *figures = &stats.generation[generation];
        uint64_t sum = 0, least = 0;
        for (int i = 0; i < GARI_TIME_BUCKETS; i++) {
            sum += figures->histogram[i];
            if (i > 0)
                least += figures->histogram[i] * (UINT64_C(512) << i);
        }
        assert_equal(sum, generation + 1);
        cr_assert(figures->time_ns >= least);
        cr_assert(figures->time_ns <= 2 * least + sum * 1024);
        assert_equal(figures->collected, 1000 * (generation + 1));
        assert_equal(figures->uncollectable, 0);
    }
    assert_nothing_left();
}
