/* Late death: what hangs on a dead object of a GARI_TYPE_LATE type is given back after the object's
 * grace period, and what nothing else holds is then freed without a single atomic read-modify-write.
 *
 * An object is *exclusive* when its count is 1, the one reference is in a field of a dead object whose
 * grace period has passed or of another exclusive one, it is not SHARED, its block is quiet, and
 * nobody is to be told of its death. Not SHARED means that this one place is the only one it was ever
 * reachable through; so whoever has a borrowed pointer to it came by way of the dead object, in a
 * section that the grace period has waited for. Quiet means that the collector is not at it either,
 * and while walks are kept out nobody else finds it (R9). So nobody can see it, and it goes back to its
 * block at once. Anything else is counted down as usual. (docs/protocol.md, "Late death") */
#ifndef GARI_OBJECT_LATE_H
#define GARI_OBJECT_LATE_H

#include "lib/object/self.h"

/* Retires an object whose last reference is gone, its fields untouched, to limbo. Its type is late. */
void gari__late_retire(struct gari__object_thread *self, gari_object *object);

/* Takes apart and frees the dead objects of a block linked from `slot` on, whose grace period has
 * passed, and what is exclusive below them. What exceeds the budget (edges) is left as GARI__RIPE.
 * Outside of gari's sections. Returns what is left of the budget. */
size_t gari__late_free(struct gari__object_thread *self, struct gari__block *block, uint32_t slot,
                       size_t budget);

#endif
