/* gari_finalize at exit. */
#ifndef GARI_OBJECT_FINALIZER_H
#define GARI_OBJECT_FINALIZER_H

/* Calls what is registered for the exit, the latest first. In no section, under no lock. */
void gari__finalizers_at_exit(void);

void gari__finalizers_before_fork(void);
void gari__finalizers_after_fork(void);

#endif
