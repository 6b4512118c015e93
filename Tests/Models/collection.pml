/*
The protocol between writers, readers and collectors of one store (docs/store.md), to be checked by spin.

Two objects: B, a blob, and D, a directory that refers to it. Whoever relies on D relies on B without
looking. At the start both lie in one old pack and have a name, which an administrator may take away;
or there is B alone, which nobody names.
Two writers store the tree and name it, a reader mounts it; writers may fail or die, which leaves their
sealed packs and nothing else. Collections run one after the other, and may be cut off.

Never is anything deleted that a name, or somebody who is alive, relies on: SAFE, asserted after each
deletion, each naming and each confirmation.

Each macro takes one rule away, and the script that runs this expects an error from every one of them:
  HOLD_AFTER_STATE   who confirms looks at the condemned set first, and writes the hold after
  NO_SECOND_LOOK     a collector does not look again once the set is published
  NAMES_FIRST        ... looks at names before holds: who names and leaves in between is in neither
  NO_NEW_PACKS       ... does not look at packs that came since it began
  NO_GENERATION      who confirms believes an index that it loaded before a collection
  CLEAR_ONLY         ... and only the end of a collection counts as a change, not its beginning
  FILE_RECORDS_ONLY  (with LARGE) before it unlinks a blob's file, a collector looks for records alone
With LARGE, B is a file of its own beside its record in a pack.
*/

#ifndef ROUNDS
#define ROUNDS 1
#endif

#define B 1
#define D 2

#define WRITERS 2
#define SESSIONS 3 /* the writers' and the reader's */
#define PACKS 5    /* the old one, the writers', and one of each collection */

byte pack[PACKS];      /* which objects have records in a sealed pack */
bit file = 1;          /* with LARGE: whether B's file is there */
bit named[3];          /* whether a name stands for D: one of each writer, and the old one */
bit live[SESSIONS];    /* whether the session's lock is held */
byte hold[SESSIONS];   /* what its file of holds says */
byte relied[SESSIONS]; /* what was confirmed to it, or stored by it */
byte view[SESSIONS];   /* what its index says is there */
byte seen[SESSIONS];   /* the generation in which that was loaded */

byte condemned;        /* the published set */
byte generation;       /* in the same 16 bytes */

#define RECORDS (pack[0] | pack[1] | pack[2] | pack[3] | pack[4])
#ifdef LARGE
#define PRESENT (RECORDS & (file -> (B | D) : D))
#else
#define PRESENT RECORDS
#endif
#define CLOSURE(set) ((set) | (((set) & D) -> B : 0))
#define NAMED ((named[0] || named[1] || named[2]) -> (B | D) : 0)
#define RELIED (CLOSURE(relied[0]) | CLOSURE(relied[1]) | CLOSURE(relied[2]))
#define SAFE (((NAMED | RELIED) & ~PRESENT) == 0)

inline load(s) { view[s] = RECORDS; seen[s] = generation }

inline begin(s) { atomic { live[s] = 1; load(s) } }

/* Ends, or dies. */
inline end(s) {
  atomic { live[s] = 0; hold[s] = 0; relied[s] = 0; view[s] = 0; seen[s] = 0; found = 0 }
}

inline writeHold(s, object) { hold[s] = hold[s] | object }

/* One read of 16 bytes. */
inline readState(s, object) {
  atomic {
    isCondemned = ((condemned & object) != 0);
#ifndef NO_GENERATION
    isStale = (generation != seen[s])
#endif
  }
}

/* Whether an object may be relied on: `found`. */
inline confirm(s, object) {
#ifdef HOLD_AFTER_STATE
  readState(s, object);
  writeHold(s, object);
#else
  writeHold(s, object);
  readState(s, object);
#endif
  /* The index; a miss looks for new packs. */
  atomic {
    if
    :: isStale || (view[s] & object) == 0 -> load(s)
    :: else
    fi
  };
  atomic {
    found = (!isCondemned && (view[s] & object) != 0);
    relied[s] = relied[s] | (found -> object : 0);
    isCondemned = 0;
    isStale = 0;
    assert(SAFE)
  }
}

proctype Writer(byte s) {
  byte draft;
  bit isCondemned, isStale, found;
  begin(s);
  /* A directory that is known is relied on with all below it; else children come first. */
  confirm(s, D);
  if
  :: found
  :: else ->
    draft = D;
    confirm(s, B);
    if
    :: found
    :: else ->
      draft = B | D;
#ifdef LARGE
      file = 1  /* renamed into place, under the lock on files held shared */
#endif
    fi
  fi;
  if
  :: true ->
    /* Sealed, and visible to all. */
    atomic {
      pack[s + 1] = pack[s + 1] | draft;
      relied[s] = relied[s] | draft;
      draft = 0;
      assert(SAFE)
    };
    if
    :: atomic { named[s] = 1; assert(SAFE) }
    :: true  /* an import that fails here leaves its packs */
    fi
  :: true -> draft = 0  /* or it dies before */
  fi;
  end(s)
}

proctype Reader(byte s) {
  bit isCondemned, isStale, found;
  begin(s);
  if
  :: named[0] || named[2] -> confirm(s, D)  /* and shows it for as long as it likes */
  :: else
  fi;
  end(s)
}

proctype Administrator() {
  named[2] = 0;
  if
  :: named[0] = 0
  :: true
  fi
}

inline lookAtHolds() {
  atomic { mark = mark | (live[0] -> hold[0] : 0) };
  atomic { mark = mark | (live[1] -> hold[1] : 0) };
  atomic { mark = mark | (live[2] -> hold[2] : 0) }
}

inline lookAtNames() { mark = mark | NAMED }

#define IS_CANDIDATE(i) ((candidates & (1 << (i))) != 0)
#define STAYS(i) (IS_CANDIDATE(i) -> 0 : pack[i])
#define GOES(i) (IS_CANDIDATE(i) -> pack[i] : 0)

/* All that is in packs that stay: what it refers to stays as well. */
inline lookAtPacks() {
  atomic {
    mark = mark | STAYS(0) | STAYS(1) | STAYS(2) | STAYS(3) | STAYS(4);
    mark = CLOSURE(mark)
  }
}

inline consider(i, isOver) {
  if
  :: pack[i] != 0 && (isOver) -> candidates = candidates | (1 << (i))
  :: true
  fi
}

inline remove(i) {
  if
  :: IS_CANDIDATE(i) -> atomic { pack[i] = 0; assert(SAFE) }
  :: else
  fi
}

proctype Collector() {
  byte round, candidates, mark, doomed;
  do
  :: round < ROUNDS ->
    /* 1. Candidates are any sealed packs whose sessions are over. */
    atomic {
      consider(0, true);
      consider(1, !live[0]);
      consider(2, !live[1]);
      consider(3, true)
    };
    lookAtHolds();
    lookAtNames();
    lookAtPacks();
    doomed = (GOES(0) | GOES(1) | GOES(2) | GOES(3)) & ~mark;

    /* 2. Published before anybody's holds are looked at for the last time. */
    atomic {
      condemned = doomed;
#ifndef CLEAR_ONLY
      generation++
#endif
    };
    if
    :: goto cut
    :: true
    fi;

    /* 3. */
#ifndef NO_SECOND_LOOK
#ifdef NAMES_FIRST
    lookAtNames();
    lookAtHolds();
#else
    lookAtHolds();
    lookAtNames();
#endif
#ifdef NO_NEW_PACKS
    mark = CLOSURE(mark);
#else
    lookAtPacks();
#endif
#endif

    /* 4. What stays of the candidates is sealed in a new pack before the old ones go. */
    atomic {
      doomed = doomed & ~mark;
      pack[WRITERS + 1 + round] = (GOES(0) | GOES(1) | GOES(2) | GOES(3)) & ~doomed
    };
    remove(0);
    if
    :: goto cut
    :: true
    fi;
    remove(1);
    remove(2);
    remove(3);
#ifdef LARGE
    /* Under the lock on files, held alone. Holds before records: who left in between has sealed. */
    atomic {
#ifndef FILE_RECORDS_ONLY
      doomed = doomed & ~((live[0] -> hold[0] : 0) | (live[1] -> hold[1] : 0) | (live[2] -> hold[2] : 0));
#endif
      if
      :: (doomed & ~RECORDS & B) != 0 -> file = 0; assert(SAFE)
      :: else
      fi
    };
#endif

    /* 5. */
    atomic { condemned = 0; generation++ };
cut:
    atomic { round++; candidates = 0; mark = 0; doomed = 0 }
  :: else -> break
  od
}

init {
  atomic {
    if
    :: pack[0] = B | D; named[2] = 1
    :: pack[0] = B  /* left by an import that failed */
    fi;
    run Writer(0);
    run Writer(1);
    run Reader(2);
    run Administrator();
    run Collector()
  }
}
