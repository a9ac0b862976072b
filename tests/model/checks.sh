# What run.sh checks; sourced by it.
#
#     holds  short|full|long NAME MODEL DEFINES [PAN-OPTIONS [COMPILER-OPTIONS]]
#     mutant short|full|long NAME MODEL DEFINES [PAN-OPTIONS [COMPILER-OPTIONS]]
#
# A mutant's name begins with the rule or the step that is broken. N objects, F fields each, M mutators.

ops="-DOP_NEW -DOP_BORROW -DOP_STORE -DOP_MOVE -DOP_TAKE -DOP_EXCHANGE -DOP_GIVE"

# ---- The proof: R1 to R9, V1-V2-V3-GP-RC, shrinking, commit, reuse -------------------------------

one="-DN=1 -DF=1 -DM=2 -DTWO_REGISTERS $ops"
one_wide="-DN=1 -DF=2 -DM=2 -DTWO_REGISTERS $ops"
ring="-DN=2 -DF=1 -DM=2 -DSTART_RING -DOP_BORROW -DOP_STORE -DOP_MOVE -DOP_TAKE"

holds short proof/1-object          proof.pml "$one"
holds short proof/1-object-2-fields proof.pml "$one_wide"
holds full  proof/walk-and-shift    proof.pml "-DN=1 -DF=2 -DM=2 $ops -DOP_WALK -DOP_SHIFT"
holds short proof/2-collectors      proof.pml "-DN=1 -DF=1 -DM=2 $ops -DCOLLECTORS=2"
holds short proof/2-collectors-v1-by-scan proof.pml "-DN=1 -DF=1 -DM=2 $ops -DCOLLECTORS=2 -DV1_BY_SCAN -DOP_WALK"
holds full  proof/2-collectors-scan-ring proof.pml "-DN=2 -DF=1 -DM=1 -DSTART_RING -DBUDGET=2 $ops -DCOLLECTORS=2 -DV1_BY_SCAN"
holds full  proof/2-collectors-ring proof.pml "-DN=2 -DF=1 -DM=1 $ops -DCOLLECTORS=2"
holds full  proof/2-objects         proof.pml "-DN=2 -DF=1 -DM=1 $ops"
holds full  proof/2-objects-untouched proof.pml "-DN=2 -DF=1 -DM=1 $ops -DUNTOUCHED"
holds full  proof/2-objects-2-fields proof.pml "-DN=2 -DF=2 -DM=1 -DSTART_READ -DBUDGET=4 $ops -DOP_SHIFT"
holds full  proof/2-objects-2-owned proof.pml "-DN=2 -DF=1 -DM=1 -DTWO_REGISTERS -DNEW_OUTSIDE $ops"
holds full  proof/3-objects         proof.pml "-DN=3 -DF=1 -DM=1 -DSTART_RING -DBUDGET=6 $ops"
holds full  proof/ring-3-operations proof.pml "-DN=2 -DF=1 -DM=2 -DSTART_RING -DBUDGET=3 -DNEW_OUTSIDE $ops"
holds full  proof/ring              proof.pml "$ring"
holds full  proof/one-by-one        proof.pml "-DN=2 -DF=1 -DM=1 -DSTART_RING -DONE_BY_ONE $ops"
holds full  proof/one-by-one-2-collectors proof.pml "-DN=2 -DF=1 -DM=1 -DSTART_RING -DONE_BY_ONE -DCOLLECTORS=2 $ops"
holds long  proof/one-by-one-2-collectors-scan proof.pml "-DN=2 -DF=1 -DM=1 -DSTART_RING -DONE_BY_ONE -DCOLLECTORS=2 -DV1_BY_SCAN -DNEW_OUTSIDE -DOP_NEW -DOP_BORROW -DOP_STORE -DOP_MOVE"

proof_mutant() { # NAME MACRO [DEFINES]
    mutant short "$1" proof.pml "${3:-$one} -D$2"
}
proof_mutant R1-drop-after-section M_R1_LATE_DROP
proof_mutant R1-bump-after-section M_R1_LATE_BUMP
proof_mutant R2-publish-then-count M_R2
proof_mutant R3-drop-then-remove   M_R3
proof_mutant R4-no-bump            M_R4
proof_mutant R5-rises-from-zero    M_R5_BLIND
proof_mutant R5-try-after-section  M_R5_OUTSIDE
proof_mutant R6-no-grace           M_R6_NO_GRACE
mutant full  R6-no-sweep           proof.pml "$ring -DM_R6_NO_SWEEP"
proof_mutant R7-birth-does-not-bump M_R7_SAME
proof_mutant R7-version-reset      M_R7_RESET
proof_mutant R8-shift-in-place     M_R8 "-DN=2 -DF=2 -DM=1 $ops -DOP_SHIFT"
proof_mutant R9-walk-beside-proof  M_R9 "$one -DOP_WALK"
proof_mutant count-without-version M_NO_VERSION
proof_mutant V1-keeps-the-dying    M_V1_DYING
mutant full  V1-mixed-with-V2      proof.pml "$ring -DM_INTERLEAVED"
proof_mutant V1-after-V2           M_V1_LATE
proof_mutant V3-left-out           M_NO_V3
proof_mutant GP-left-out           M_NO_GRACE
proof_mutant RC-left-out           M_NO_RC
proof_mutant shrink-failed-only    M_SHRINK_FAILED_ONLY "$ring"
proof_mutant shrink-without-grace  M_SHRINK_NO_GRACE
proof_mutant commit-stale-edges    M_STALE_EDGES "-DN=2 -DF=2 -DM=1 -DSTART_READ -DOP_BORROW -DOP_STORE -DOP_MOVE -DOP_TAKE"
proof_mutant commit-unmarks-the-freed M_UNMARKED_EARLY "-DN=2 -DF=1 -DM=1 -DSTART_RING -DONE_BY_ONE $ops"
proof_mutant two-open-proofs       M_TWO_PROOFS "-DN=1 -DF=1 -DM=1 $ops -DCOLLECTORS=2"

# What V3 refuses leaves the set, and what it refers to by then; the proof goes on (-DWALK, as in the code; the
# checks above go by the edges that V2 has counted).
holds short leavers/1-object          proof.pml "-DWALK $one"
holds full  leavers/1-object-2-fields proof.pml "-DWALK $one_wide"
holds full  leavers/2-objects         proof.pml "-DWALK -DN=2 -DF=1 -DM=1 $ops"
holds full  leavers/2-objects-untouched proof.pml "-DWALK -DN=2 -DF=1 -DM=1 $ops -DUNTOUCHED"
holds full  leavers/2-objects-2-fields proof.pml "-DWALK -DN=2 -DF=2 -DM=1 -DSTART_READ -DBUDGET=4 $ops -DOP_SHIFT"
holds full  leavers/3-objects         proof.pml "-DWALK -DN=3 -DF=1 -DM=1 -DSTART_RING -DBUDGET=6 $ops"
holds full  leavers/ring-3-operations proof.pml "-DWALK -DN=2 -DF=1 -DM=2 -DSTART_RING -DBUDGET=3 -DNEW_OUTSIDE $ops"
holds full  leavers/2-collectors-scan-ring proof.pml "-DWALK -DN=2 -DF=1 -DM=1 -DSTART_RING -DBUDGET=3 $ops -DCOLLECTORS=2 -DV1_BY_SCAN"

proof_mutant shrink-leavers-unread M_WALK_NOT  "-DWALK -DN=2 -DF=1 -DM=1 -DSTART_RING $ops"
proof_mutant shrink-dead-passed-over M_WALK_DEAD "-DWALK -DN=2 -DF=1 -DM=1 -DSTART_RING $ops"

# R8, the second way: a store that is published afresh.
holds short stores/2-elements   stores.pml ""
mutant short R8-pointer-loaded-twice stores.pml -DM_R8_TWO_LOADS
mutant short R8-old-store-written stores.pml -DM_R8_WRITTEN_AGAIN

# ---- Weak references: tags and the gate ----------------------------------------------------------

weak="-DF=1 -DWEAK -DOP_NEW -DOP_BORROW -DOP_STORE -DOP_MOVE -DOP_TAKE -DOP_GIVE"

holds short weak/1-object   proof.pml "-DN=1 -DM=2 $weak"
holds short weak/1-object-leavers proof.pml "-DWALK -DN=1 -DM=2 $weak"
holds full  weak/2-objects-leavers proof.pml "-DWALK -DN=2 -DM=1 -DNEW_OUTSIDE $weak"
holds full  weak/2-objects  proof.pml "-DN=2 -DM=1 $weak"
holds full  weak/ring-2-operations proof.pml "-DN=2 -DM=2 -DSTART_RING -DBUDGET=2 -DNEW_OUTSIDE $weak"

weak_mutant() { # NAME MACRO [DEFINES]
    mutant short "weak-$1" proof.pml "${3:--DN=1 -DM=2} $weak -D$2"
}
weak_mutant tags-ignored        M_WEAK_NO_GATE
weak_mutant tagged-after-grace  M_WEAK_LATE_TAG
weak_mutant memory-without-grace M_WEAK_NO_GRACE
weak_mutant emptied-late        M_WEAK_EMPTIED_LATE
weak_mutant get-outside-section M_WEAK_OUTSIDE_SECTION
weak_mutant counts-the-dead     M_WEAK_BLIND
weak_mutant left-keeps-tag      M_WEAK_TAG_STAYS "-DN=2 -DM=1"

# ---- Finalizers, resurrection, the second proof --------------------------------------------------

finalizers="-DF=1 -DFINALIZERS -DOP_NEW -DOP_BORROW -DOP_STORE -DOP_MOVE -DOP_TAKE -DOP_GIVE"

holds short finalizers/1-object  proof.pml "-DN=1 -DM=2 $finalizers"
holds short finalizers/1-object-leavers proof.pml "-DWALK -DN=1 -DM=2 $finalizers"
holds full  finalizers/2-objects proof.pml "-DN=2 -DM=1 -DNEW_OUTSIDE $finalizers"

finalizers_mutant() { # NAME MACRO [DEFINES]
    mutant short "finalizers-$1" proof.pml "${3:--DN=1 -DM=2} $finalizers -D$2"
}
finalizers_mutant claim-unseen      M_FIN_CLAIM_UNSEEN
finalizers_mutant claim-blindly     M_FIN_CLAIM_BLIND
finalizers_mutant no-second-proof   M_FIN_NO_SECOND_PROOF
finalizers_mutant no-reference      M_FIN_NO_REFERENCE
finalizers_mutant before-all-are-held M_FIN_EARLY "-DN=2 -DM=1 -DSTART_RING"

# Both: a ring without a finalizer that is committed and one that is put aside, and weak gets to both.
holds full  aside/1-mutator aside.pml "-DM=1 -DNUMBERS=4"
for macro in NO_GATE LATE_TAG NO_GRACE NO_LIMBO NO_UNTAG NO_SECOND HOLD_BLINDLY BLIND ONE_LOOK; do
    mutant short "aside-$(echo $macro | tr 'A-Z_' 'a-z-')" aside.pml "-DM=1 -DNUMBERS=4 -DM_$macro"
done

# ---- Candidates: completeness --------------------------------------------------------------------

candidates="-DN=2 -DF=1 -DSTART_RING -DNEW_OUTSIDE -DOP_BORROW -DOP_STORE -DOP_MOVE -DOP_TAKE -DOP_NEW"
few="$candidates -DM=1 -DBUDGET=3"

holds short candidates/2-operations candidates.pml "$candidates -DM=1 -DBUDGET=2"
holds full  candidates/1-mutator  candidates.pml "$few"
holds full  candidates/looked-at  candidates.pml "$few -DLOOKS"
holds short candidates/liveness   candidates.pml "$candidates -DM=1 -DBUDGET=1 -DLIVENESS" -a -DCOLLAPSE
holds full  candidates/opened     candidates.pml "$candidates -DM=1 -DBUDGET=2 -DLOOKER"
holds full  candidates/gives-up   candidates.pml "$candidates -DM=1 -DBUDGET=2 -DGIVES_UP"
holds full  candidates/liveness-3-operations candidates.pml "$few -DLIVENESS" -a -DCOLLAPSE
holds full  candidates/2-mutators-1-operation candidates.pml "$candidates -DM=2 -DBUDGET=1"
holds full  candidates/2-mutators-whole candidates.pml "$candidates -DM=2 -DBUDGET=2 -DNO_YOUNG"
holds full  candidates/2-mutators candidates.pml "-DN=2 -DF=1 -DSTART_RING -DOP_BORROW -DOP_MOVE -DM=2 -DBUDGET=2"

candidates_mutant() { # NAME MACRO [DEFINES]
    mutant short "candidates-$1" candidates.pml "${3:-$few} -D$2"
}
candidates_mutant none-by-decref    M_DECREF_NO_CANDIDATE
candidates_mutant decref-looks-first M_DECREF_LOOKS_FIRST
candidates_mutant none-by-move      M_MOVE_NO_CANDIDATE
candidates_mutant bit-first         M_BIT_FIRST
candidates_mutant section-ends-first M_SECTION_ENDS_FIRST
candidates_mutant not-listed        M_NOT_LISTED
candidates_mutant listed-first      M_LISTED_FIRST
candidates_mutant bits-read-first   M_READ_FIRST
candidates_mutant bit-taken-late    M_BIT_TAKEN_LATE "$few -DNO_YOUNG"
candidates_mutant flag-taken-first  M_FLAG_TAKEN_FIRST "$few -DNO_YOUNG"
candidates_mutant flag-taken-late   M_FLAG_TAKEN_LATE
candidates_mutant dirty-again-ignored M_AGAIN_IGNORED
renewed="-DN=3 -DF=1 -DSTART_RING -DNEW_OUTSIDE -DOP_MOVE -DOP_NEW -DM=1 -DBUDGET=5"
holds long  candidates/opened-3-objects candidates.pml "$renewed -DLOOKER"
mutant full candidates-stamp-unseen candidates.pml "$renewed -DM_STAMP_UNSEEN"
mutant full candidates-settled-blindly candidates.pml "$few -DM_SETTLED_BLINDLY"
mutant full candidates-opened-late candidates.pml "$few -DM_OPENED_LATE"
mutant full candidates-opened-blindly candidates.pml "$renewed -DLOOKER -DM_OPENED_BLINDLY"
candidates_mutant dead-read-first   M_LOOK_WORD_FIRST "$few -DNO_YOUNG -DLOOKS"
candidates_mutant newborn-has-flag  M_BIRTH_KEEPS_FLAG "$few -DNO_YOUNG -DLOOKS"
candidates_mutant boundary-first    M_EPOCH_FIRST "$few -DNO_YOUNG"
candidates_mutant young-forgets     M_YOUNG_FORGETS
candidates_mutant gives-up-forgets  M_GIVING_UP_FORGETS "$few -DGIVES_UP"
mutant full candidates-failure-drops-all candidates.pml "-DM_FAILURE_DROPS_ALL -DN=2 -DF=1 -DSTART_RING -DOP_BORROW -DOP_MOVE -DM=2 -DBUDGET=3 -DNO_YOUNG"
candidates_mutant two-open-proofs   M_TWO_PROOFS "$candidates -DM=1 -DBUDGET=2"
# It has no bad state: the pass takes up the same candidates for ever. Found depth first.
mutant short candidates-whole-keeps candidates.pml "$candidates -DM=1 -DBUDGET=1 -DLIVENESS -DM_WHOLE_KEEPS" -a -DCOLLAPSE

# ---- Orders of memory --------------------------------------------------------------------------------

holds short ordering/all-shapes ordering.pml ""
for macro in BIRTH_RELAXED WALK_RELAXED TAG_RELAXED GET_RELAXED LIST_ACQ_REL UNLIST_ACQ_REL WAKE_ACQ_REL \
    SLEEP_ACQ_REL DECREF_LOOKS_AT_BIT SUSPECT_RELAXED MOVE_LOOKS_AT_FLAG TAKE_RELAXED READ_RELAXED; do
    mutant short "ordering-$(echo $macro | tr 'A-Z_' 'a-z-')" ordering.pml "-DM_$macro"
done

# ---- Kept references: each thread's table, and who takes back from it ----------------------------------

holds short kept/2-operations kept.pml "-DOPERATIONS=2"
holds full  kept/4-operations kept.pml "-DOPERATIONS=4"
for macro in BUSY NO_BARRIER END_RELAXED NOT_TOLD LOOKED_BEFORE GIVEN_AND_KEPT; do
    mutant short "kept-$(echo $macro | tr 'A-Z_' 'a-z-')" kept.pml "-DOPERATIONS=3 -DM_KEPT_$macro"
done

# ---- Readers that rest, and who looks whether all have --------------------------------------------------

holds short rest/3-operations rest.pml "-DOPERATIONS=3 -DROUNDS=2"
holds full  rest/5-operations rest.pml "-DOPERATIONS=5 -DROUNDS=3"
for macro in NO_BARRIER FOREVER IN_SECTION NUMBER_AHEAD BEGUN_BEFORE OLD_NUMBER; do
    mutant short "rest-$(echo $macro | tr 'A-Z_' 'a-z-')" rest.pml "-DOPERATIONS=3 -DROUNDS=2 -DM_REST_$macro"
done

# ---- Late death: what hangs on a dead root is freed without a count ---------------------------------

holds short late/tracked   late.pml "-DM=2"
holds short late/untracked late.pml "-DM=2 -DLEAF"
# A sweep beside it, which finds C without a reference.
holds short late/1-mutator-sweep late.pml "-DM=1 -DSWEEPER"
holds full  late/tracked-sweep   late.pml "-DM=2 -DSWEEPER"
holds full  late/untracked-sweep late.pml "-DM=2 -DSWEEPER -DLEAF"

late_mutant() { # NAME MACRO
    mutant short "late-$1" late.pml "-DM=2 -DLEAF -D$2"
}
late_mutant no-grace          M_NO_GRACE
late_mutant ignores-shared    M_IGNORES_SHARED
late_mutant decref-unshared   M_UNSHARED
late_mutant shared-set-later  M_MARK_LATER
late_mutant take-unshared     M_TAKE_UNSHARED
late_mutant collector-at-it   M_UNQUIET
late_mutant looked-up-later   M_LOOKED_UP_LATER
late_mutant walk-beside       M_IN_WALK
mutant short late-sweep-unasked late.pml "-DM=2 -DSWEEPER -DM_NO_SWEEP_WAIT"
