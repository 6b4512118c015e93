// A kernel that hashes LANES * STATES messages side by side, one in each vector lane.
//
// A template: kernels.c defines the names below, includes it once for each instance, and this file
// undefines them again.
//
//   LANES   lanes of one vector: 4, 8 or 16
//   STATES  vectors for each word: 1, or 2 to overlap the latencies of one with the other's
//   KERNEL  the function's name
//   TARGET  the function's attributes
//
// Generic vectors and shuffles only: the compiler picks the instructions of the target.

#if LANES == 4
#define INTERLEAVE_LOW_32(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define INTERLEAVE_HIGH_32(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define INTERLEAVE_LOW_64(a, b) __builtin_shufflevector(a, b, 0, 1, 4, 5)
#define INTERLEAVE_HIGH_64(a, b) __builtin_shufflevector(a, b, 2, 3, 6, 7)
#define GATHER(lane, at) (*(const Quarter *)((lane)[0] + (at)))
#elif LANES == 8
#define INTERLEAVE_LOW_32(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define INTERLEAVE_HIGH_32(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define INTERLEAVE_LOW_64(a, b) __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define INTERLEAVE_HIGH_64(a, b) __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define GATHER(lane, at)                                        \
  __builtin_shufflevector(*(const Quarter *)((lane)[0] + (at)), \
                          *(const Quarter *)((lane)[4] + (at)), 0, 1, 2, 3, 4, 5, 6, 7)
#elif LANES == 16
#define INTERLEAVE_LOW_32(a, b) \
  __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define INTERLEAVE_HIGH_32(a, b) \
  __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define INTERLEAVE_LOW_64(a, b) \
  __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define INTERLEAVE_HIGH_64(a, b) \
  __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#define GATHER(lane, at)                                                                \
  __builtin_shufflevector(                                                              \
      __builtin_shufflevector(*(const Quarter *)((lane)[0] + (at)),                     \
                              *(const Quarter *)((lane)[4] + (at)), 0, 1, 2, 3, 4, 5, 6, 7), \
      __builtin_shufflevector(*(const Quarter *)((lane)[8] + (at)),                     \
                              *(const Quarter *)((lane)[12] + (at)), 0, 1, 2, 3, 4, 5, 6, 7), \
      0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#endif

// A 4 x 4 transposition of words within each 128-bit quarter. It is its own inverse.
#define TRANSPOSE(o0, o1, o2, o3, r0, r1, r2, r3) \
  {                                               \
    Words t0 = INTERLEAVE_LOW_32(r0, r1);         \
    Words t1 = INTERLEAVE_LOW_32(r2, r3);         \
    Words t2 = INTERLEAVE_HIGH_32(r0, r1);        \
    Words t3 = INTERLEAVE_HIGH_32(r2, r3);        \
    o0 = INTERLEAVE_LOW_64(t0, t1);               \
    o1 = INTERLEAVE_HIGH_64(t0, t1);              \
    o2 = INTERLEAVE_LOW_64(t2, t3);               \
    o3 = INTERLEAVE_HIGH_64(t2, t3);              \
  }

// Four message words of all lanes of one state: row r holds lanes r, r + 4, ... before.
#define LOAD_FOUR(m, i, lane, at)                                          \
  {                                                                        \
    Words r0 = GATHER((lane) + 0, at), r1 = GATHER((lane) + 1, at);        \
    Words r2 = GATHER((lane) + 2, at), r3 = GATHER((lane) + 3, at);        \
    TRANSPOSE(m[i], m[i + 1], m[i + 2], m[i + 3], r0, r1, r2, r3)          \
  }

#define LOAD_BLOCK(m, lane, at)         \
  LOAD_FOUR(m, 0, lane, (at))           \
  LOAD_FOUR(m, 4, lane, (at) + 16)      \
  LOAD_FOUR(m, 8, lane, (at) + 32)      \
  LOAD_FOUR(m, 12, lane, (at) + 48)

#define SPLAT(x) ((Words){0} + (uint32_t)(x))
#define BEGIN_KEY(h)                                                                      \
  h[0] = SPLAT(key[0]), h[1] = SPLAT(key[1]), h[2] = SPLAT(key[2]), h[3] = SPLAT(key[3]), \
  h[4] = SPLAT(key[4]), h[5] = SPLAT(key[5]), h[6] = SPLAT(key[6]), h[7] = SPLAT(key[7])
#define BEGIN_BLOCK(v, h, s)                                             \
  v[0] = h[0], v[1] = h[1], v[2] = h[2], v[3] = h[3];                    \
  v[4] = h[4], v[5] = h[5], v[6] = h[6], v[7] = h[7];                    \
  v[8] = SPLAT(CBLAKE3_IV0), v[9] = SPLAT(CBLAKE3_IV1);                  \
  v[10] = SPLAT(CBLAKE3_IV2), v[11] = SPLAT(CBLAKE3_IV3);                \
  v[12] = low##s, v[13] = high##s;                                       \
  v[14] = SPLAT(CBLAKE3_BLOCK_BYTES), v[15] = SPLAT(domain);             \
  if (endsTail) {                                                        \
    v[14] = *(const Words *)&lengths[(s) * LANES];                       \
    v[15] = *(const Words *)&domains[(s) * LANES];                       \
  }
// Counters of consecutive messages; a comparison that holds is -1, which carries.
#define BEGIN_COUNTERS(low, high, s)                                                           \
  Words low = SPLAT(job->counter), high = SPLAT(job->counter >> 32);                           \
  if (job->counts) {                                                                           \
    const Words start = low;                                                                   \
    low += *(const Words *)&steps[(s) * LANES];                                                \
    high -= (Words)(low < start);                                                              \
  }
#define END_BLOCK(v, h)                                                          \
  h[0] = v[0] ^ v[8], h[1] = v[1] ^ v[9], h[2] = v[2] ^ v[10], h[3] = v[3] ^ v[11]; \
  h[4] = v[4] ^ v[12], h[5] = v[5] ^ v[13], h[6] = v[6] ^ v[14], h[7] = v[7] ^ v[15];
#define STORE_ROWS(rows, h)                                                       \
  TRANSPOSE(rows[0], rows[1], rows[2], rows[3], h[0], h[1], h[2], h[3])           \
  TRANSPOSE(rows[4], rows[5], rows[6], rows[7], h[4], h[5], h[6], h[7])
#define SAVE_LANE(h, i)                                                                        \
  {                                                                                            \
    Words copy[8] = {h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]};                          \
    for (int w = 0; w < 8; w++)                                                                \
      memcpy((uint8_t *)saved + 4 * w, (const uint8_t *)&copy[w] + 4 * (i), 4);                \
  }

#if STATES == 1
#define COLUMNS(...) CBLAKE3_COLUMNS(v0, m0, __VA_ARGS__)
#define DIAGONALS(...) CBLAKE3_DIAGONALS(v0, m0, __VA_ARGS__)
#else
#define COLUMNS(...) CBLAKE3_COLUMNS(v0, m0, __VA_ARGS__) CBLAKE3_COLUMNS(v1, m1, __VA_ARGS__)
#define DIAGONALS(...) \
  CBLAKE3_DIAGONALS(v0, m0, __VA_ARGS__) CBLAKE3_DIAGONALS(v1, m1, __VA_ARGS__)
#endif

TARGET static void KERNEL(const struct batch *job) {
  enum { COUNT = LANES * STATES };
  typedef uint32_t Words __attribute__((vector_size(4 * LANES), may_alias));
  // Messages stand at any address.
  typedef uint32_t Quarter __attribute__((vector_size(16), aligned(1), may_alias));

  _Alignas(64) static const uint32_t steps[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                  8, 9, 10, 11, 12, 13, 14, 15};
  const uint8_t *lane[COUNT];
  uint32_t saved[8];
  uint32_t key[8];
  memcpy(key, job->key, sizeof key);

  // Idle lanes repeat the first message; what they compute is dropped.
  const unsigned last = job->count - 1;
  for (unsigned i = 0; i < COUNT; i++) lane[i] = job->input + (i <= last ? i * job->stride : 0);
  // The short last chunk rides along in the last busy lane, which is never the first.
  if (job->tail) lane[last] = job->tail;

  Words h0[8];
  BEGIN_KEY(h0);
  BEGIN_COUNTERS(low0, high0, 0)
#if STATES == 2
  Words h1[8];
  BEGIN_KEY(h1);
  BEGIN_COUNTERS(low1, high1, 1)
#endif

  for (size_t block = 0; block < job->blocks; block++) {
    const size_t at = block * CBLAKE3_BLOCK_BYTES;
    const uint32_t domain = job->flags | (block == 0 ? job->first : 0) |
                            (block + 1 == job->blocks ? job->last : 0);
    const int endsTail = job->tail && block == job->tailBlock;
    _Alignas(64) uint32_t lengths[COUNT];
    _Alignas(64) uint32_t domains[COUNT];
    if (endsTail) {
      for (unsigned i = 0; i < COUNT; i++) lengths[i] = CBLAKE3_BLOCK_BYTES, domains[i] = domain;
      lengths[last] = job->tailLength;
      domains[last] = domain | job->last;
    }

    Words m0[16], v0[16];
    LOAD_BLOCK(m0, lane, at)
    BEGIN_BLOCK(v0, h0, 0)
#if STATES == 2
    Words m1[16], v1[16];
    LOAD_BLOCK(m1, lane + LANES, at)
    BEGIN_BLOCK(v1, h1, 1)
#endif
    // As many streams as lanes are more than hardware follows. Past the end a prefetch is harmless.
    if (job->blocks > 1)
      for (unsigned i = 0; i < COUNT; i++)
        __builtin_prefetch((const void *)((uintptr_t)lane[i] + at + 128));

    CBLAKE3_ROUNDS(COLUMNS, DIAGONALS)

    END_BLOCK(v0, h0)
#if STATES == 2
    END_BLOCK(v1, h1)
#endif
    if (endsTail) {
#if STATES == 2
      if (last >= LANES) SAVE_LANE(h1, last - LANES) else
#endif
      SAVE_LANE(h0, last)
    }
  }

  Words rows[STATES][8];
  STORE_ROWS(rows[0], h0)
#if STATES == 2
  STORE_ROWS(rows[1], h1)
#endif
  for (unsigned i = 0; i <= last; i++) {
    const unsigned l = i % LANES;
    const Words *of = rows[i / LANES];
    memcpy(job->output + 32 * i, (const uint8_t *)&of[l % 4] + 16 * (l / 4), 16);
    memcpy(job->output + 32 * i + 16, (const uint8_t *)&of[4 + l % 4] + 16 * (l / 4), 16);
  }
  if (job->tail) memcpy(job->output + 32 * last, saved, sizeof saved);
}

#undef LANES
#undef STATES
#undef KERNEL
#undef TARGET
#undef INTERLEAVE_LOW_32
#undef INTERLEAVE_HIGH_32
#undef INTERLEAVE_LOW_64
#undef INTERLEAVE_HIGH_64
#undef GATHER
#undef TRANSPOSE
#undef LOAD_FOUR
#undef LOAD_BLOCK
#undef SPLAT
#undef BEGIN_KEY
#undef BEGIN_BLOCK
#undef BEGIN_COUNTERS
#undef END_BLOCK
#undef STORE_ROWS
#undef SAVE_LANE
#undef COLUMNS
#undef DIAGONALS
