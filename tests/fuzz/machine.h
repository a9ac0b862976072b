/* Runs a program of API calls on gari and on the model, and compares the two. */
#ifndef GARI_TESTS_FUZZ_MACHINE_H
#define GARI_TESTS_FUZZ_MACHINE_H

#include "tests/fuzz/things.h"

enum { REGISTERS = 8, THREADS = 3 };

/* The program, as bytes; past its end all are zero. */
struct fuzz_bytes {
    const uint8_t *at, *end;
};

static inline unsigned fuzz_byte(struct fuzz_bytes *bytes)
{
    return bytes->at < bytes->end ? *bytes->at++ : 0;
}

/* The operands of one operation. */
struct fuzz_operation {
    unsigned code;
    unsigned a, b, field; /* registers, and a field or a little number */
    unsigned more;        /* a byte for what takes one */
};

struct machine {
    int holds[REGISTERS];     /* each an owned reference to an object */
    bool in_section[THREADS]; /* of the threads that have a read section open */
    int borrowed[THREADS];    /* in it */
    unsigned sections;
    unsigned thread; /* whose turn it is */
};

extern struct machine machine;

/* A program in which one thread at a time works and gari does nothing by itself: everything is
 * compared. `options` is the program's first byte. */
void machine_run(unsigned options, struct fuzz_bytes bytes);
/* A program for several threads that run as they like: compared at the end. */
void free_run(unsigned options, struct fuzz_bytes bytes);
/* The first byte chooses. */
void fuzz_run(const uint8_t *data, size_t size);

/* ---- Parts of the machine ----------------------------------------------------------------- */

static inline int machine_at(unsigned i)
{
    return machine.holds[i];
}

static inline void *machine_address(int o)
{
    return o == NONE ? NULL : model_of(o)->address;
}

/* Register i gets an owned reference; what it held goes. */
void machine_set(unsigned i, int o);
/* A result of gari's has to be this object. */
void machine_expect(const void *found, int expected, const char *call);
/* Operations on fields; on weak references; on containers; of the collector. False: no such one. */
bool machine_field(const struct fuzz_operation *op);
bool machine_weak(const struct fuzz_operation *op);
bool machine_container(const struct fuzz_operation *op);
bool machine_collector(const struct fuzz_operation *op);
/* Runs collections until nothing more happens, then compares everything. */
void machine_settle(void);
/* What is on the garbage list is held from outside. */
void machine_look_at_garbage(void);

enum fuzz_code {
    /* fields */
    OP_NEW,
    OP_NEW_AGAIN, /* the same, so that it is frequent */
    OP_DROP,
    OP_COPY,
    OP_LOAD,
    OP_STORE,
    OP_STORE_AGAIN,
    OP_MOVE,
    OP_TAKE,
    OP_EXCHANGE,
    OP_COMPARE_EXCHANGE,
    OP_INIT,
    OP_BORROW,
    OP_STORE_INTO_DYING,
    OP_ROOT,
    OP_GROW,
    OP_DEFER,
    /* threads and sections */
    OP_THREAD,
    OP_EXIT,
    OP_SECTION,
    OP_TRY,
    /* weak references and finalizers from outside */
    OP_WEAKREF,
    OP_ARMED,
    OP_WEAK_GET,
    OP_HANDLE,
    OP_HANDLE_CALL,
    OP_HANDLE_DETACH,
    OP_WEAKMAP_SET,
    OP_WEAKMAP_GET,
    OP_WEAKMAP_REMOVE,
    OP_WEAKMAP_COUNT,
    /* containers */
    OP_APPEND,
    OP_INSERT,
    OP_LIST_SET,
    OP_POP,
    OP_LIST_TAKE,
    OP_SPLICE,
    OP_ORDER,
    OP_SLICE,
    OP_PUT,
    OP_MAP_TAKE,
    OP_CLEAR,
    OP_LOOK,
    /* the collector */
    OP_COLLECT,
    OP_STEP,
    OP_SETTLE,
    OP_FREEZE,
    OP_UNFREEZE,
    OP_RUN_FINALIZERS,
    OP_SAVEALL,
    OP_CLEAR_GARBAGE,
    OP_SEARCH,
    OP_CODES
};

#endif
