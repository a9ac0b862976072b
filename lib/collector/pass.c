#include "lib/collector/pass.h"

#include "concurrency/perturb.h"
#include "lib/collector/seeds.h"

/* At most one proof is open in the process: two that overlapped on one ring would both see unchanged
 * words and free it twice. */
static struct gari__pass *proving;

struct gari__pass *gari__pass_stepping;

static size_t run_phase(struct gari__pass *pass, struct gari__object_thread *self, size_t budget)
{
    switch (pass->phase) {
    case GARI__SEEDING:
        return gari__phase_seed(pass, budget);
    case GARI__GATHER:
        return gari__phase_gather(pass, budget);
    case GARI__SCAN:
        return gari__phase_scan(pass, budget);
    case GARI__SWEEP:
        return gari__phase_sweep(pass, budget);
    case GARI__V1:
    case GARI__V2:
    case GARI__V3:
    case GARI__TAG:
    case GARI__UNTAG:
    case GARI__GRACE:
    case GARI__RC:
    case GARI__SHRINK:
    case GARI__COMPACT:
        return gari__phase_proof(pass, budget);
    case GARI__SPARE:
    case GARI__SPARE_REACHED:
    case GARI__SORT:
        return gari__phase_sift(pass, budget);
    case GARI__READMIT:
        return gari__phase_readmit(pass, budget);
    case GARI__SPLIT:
        return gari__phase_split(pass, budget);
    case GARI__SET_ASIDE:
        return gari__phase_set_aside(pass, budget);
    case GARI__RECLAIM:
        return gari__phase_reclaim(pass, self, budget);
    case GARI__COMMIT:
        return gari__phase_commit(pass, budget);
    case GARI__CLEAR:
        return gari__phase_clear(pass, budget);
    case GARI__DISPOSE:
        return gari__phase_dispose(pass, self, budget);
    case GARI__DROP:
        return gari__phase_drop(pass, self, budget);
    default:
        return gari__phase_end(pass, self, budget);
    }
}

void gari__pass_abandon(struct gari__pass *pass)
{
    while (pass->phase == GARI__SEEDING && pass->block) {
        struct gari__block *block = pass->block;
        pass->block = gari__seeds_next(pass->which);
        gari__seeds_put_back(block, true, pass->young_since);
    }
    gari__proof_untag(pass);
    pass->undecided = true;
    pass->member_count = 0;
    pass->phase = GARI__END;
}

enum gari__progress gari__pass_step(struct gari__pass *pass, struct gari__object_thread *self,
                                    size_t budget)
{
    while (budget > 0 && pass->phase != GARI__IDLE) {
        if (pass->out_of_memory && pass->phase < GARI__RECLAIM) {
            if (proving == pass)
                proving = NULL;
            gari__pass_abandon(pass);
        }
        if (gari__pass_in_proof(pass)) {
            if (proving && proving != pass && !GARI_MUTANT(TWO_PROOFS))
                return GARI__BLOCKED;
            proving = pass;
        }
        if (gari__proof_waits(pass))
            return GARI__WAITING;
        gari__pass_stepping = pass;
        budget = run_phase(pass, self, budget);
        if (proving == pass && !gari__pass_in_proof(pass))
            proving = NULL;
    }
    if (pass->phase != GARI__IDLE)
        return GARI__MORE;
    gari__tables_end(pass);
    return GARI__FINISHED;
}
