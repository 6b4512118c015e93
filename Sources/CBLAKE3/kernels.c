#include "cblake3.h"

#include <stdatomic.h>
#include <string.h>

#include "round.h"

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "CBLAKE3 reads message words straight from memory: little-endian machines only"
#endif

enum { CV = CBLAKE3_CV_BYTES, BLOCK = CBLAKE3_BLOCK_BYTES, CHUNK = CBLAKE3_CHUNK_BYTES };

// Messages of equal length at equal distances: chunks of 16 blocks, or parents of one.
struct batch {
  const uint8_t *key;
  const uint8_t *input;
  uint8_t *output;  // may be `input` itself for parents: a batch reads all before it writes
  size_t stride;
  size_t blocks;
  uint64_t counter;  // of the first message
  uint32_t flags;    // of every block
  uint32_t first;    // added for the first block
  uint32_t last;     // added for the last block
  unsigned count;    // messages, at least one
  int counts;        // whether the counter grows from message to message
  // If set, the last message (not the only one): a chunk padded with zeros to 1 KiB, ending in
  // block `tailBlock`, of which `tailLength` bytes count.
  const uint8_t *tail;
  size_t tailBlock;
  uint32_t tailLength;
};

#define LANES 4
#define STATES 1
#define KERNEL hashFourBase
#define TARGET
#include "lanes.h"

#if defined(__x86_64__)
#define LANES 8
#define STATES 1
#define KERNEL hashEightAVX2
#define TARGET __attribute__((target("avx2"), min_vector_width(256)))
#include "lanes.h"

// Two explicit 32-byte states: one generic 64-byte vector makes erratic code under AVX2.
#define LANES 8
#define STATES 2
#define KERNEL hashSixteenAVX2
#define TARGET __attribute__((target("avx2"), min_vector_width(256)))
#include "lanes.h"

#define AVX512 "avx2,avx512f,avx512vl,avx512dq,avx512bw"

#define LANES 8
#define STATES 1
#define KERNEL hashEightAVX512
#define TARGET __attribute__((target(AVX512), min_vector_width(256)))
#include "lanes.h"

#define LANES 16
#define STATES 1
#define KERNEL hashSixteenAVX512
#define TARGET __attribute__((target(AVX512), min_vector_width(512)))
#include "lanes.h"
#endif

struct level {
  unsigned wide, narrow;  // messages of one batch
  void (*hashWide)(const struct batch *);
  void (*hashNarrow)(const struct batch *);
};

static const struct level levels[] = {
    [CBLAKE3_LEVEL_BASE] = {4, 4, hashFourBase, hashFourBase},
#if defined(__x86_64__)
    [CBLAKE3_LEVEL_AVX2] = {16, 8, hashSixteenAVX2, hashEightAVX2},
    [CBLAKE3_LEVEL_AVX512] = {16, 8, hashSixteenAVX512, hashEightAVX512},
#endif
};

int cblake3_best_level(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
      return CBLAKE3_LEVEL_AVX512;
    return CBLAKE3_LEVEL_AVX2;
  }
#endif
  return CBLAKE3_LEVEL_BASE;
}

// -1 until first needed. Relaxed: all threads would find the same, and any level is right.
static _Atomic int chosen = -1;

static const struct level *currentLevel(void) {
  int level = atomic_load_explicit(&chosen, memory_order_relaxed);
  if (level < 0) {
    level = cblake3_best_level();
    atomic_store_explicit(&chosen, level, memory_order_relaxed);
  }
  return &levels[level];
}

int cblake3_force_level(int level) {
  if (level > cblake3_best_level()) return 0;
  atomic_store_explicit(&chosen, level < 0 ? cblake3_best_level() : level, memory_order_relaxed);
  return 1;
}

// One message

// The sixteen words after the rounds. A batch costs as much as two of these, so one or two
// messages run here; on scalars, which beat a row in each vector.
__attribute__((always_inline)) static inline void compress(const uint32_t h[8],
                                                            const uint8_t *block,
                                                            uint32_t length, uint64_t counter,
                                                            uint32_t flags, uint32_t s[16]) {
  uint32_t m[16];
  const uint32_t tail[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), length, flags};
  memcpy(s, h, CV);
  s[8] = CBLAKE3_IV0, s[9] = CBLAKE3_IV1, s[10] = CBLAKE3_IV2, s[11] = CBLAKE3_IV3;
  memcpy(s + 12, tail, sizeof tail);
  memcpy(m, block, BLOCK);
#define COLUMNS(...) CBLAKE3_COLUMNS(s, m, __VA_ARGS__)
#define DIAGONALS(...) CBLAKE3_DIAGONALS(s, m, __VA_ARGS__)
  CBLAKE3_ROUNDS(COLUMNS, DIAGONALS)
#undef COLUMNS
#undef DIAGONALS
}

__attribute__((noinline)) static void compressInto(uint32_t h[8], const uint8_t *block,
                                                   uint32_t length, uint64_t counter,
                                                   uint32_t flags) {
  uint32_t v[16];
  compress(h, block, length, counter, flags, v);
  for (int i = 0; i < 8; i++) {
    uint32_t word = v[i] ^ v[i + 8];
    // Keeps the word a scalar: gathering it into a vector costs more than its store.
    __asm__("" : "+r"(word));
    h[i] = word;
  }
}

// Everything of a chunk but its last block. Returns where that begins and what flags it has left.
static size_t beginChunk(uint32_t h[8], uint32_t *flags, uint64_t counter, const uint8_t *input,
                         size_t length) {
  const uint32_t inner = *flags & ~CBLAKE3_ROOT;
  uint32_t start = CBLAKE3_CHUNK_START;
  size_t at = 0;
  for (; length - at > BLOCK; at += BLOCK) {
    compressInto(h, input + at, BLOCK, counter, inner | start);
    start = 0;
  }
  *flags |= start | CBLAKE3_CHUNK_END;
  return at;
}

void cblake3_hash_chunk(const void *key, uint32_t flags, uint64_t counter, const void *input,
                        size_t length, void *cv) {
  uint32_t h[8];
  memcpy(h, key, CV);
  const size_t at = beginChunk(h, &flags, counter, input, length);
  const size_t rest = length - at;
  if (rest == BLOCK) {
    compressInto(h, (const uint8_t *)input + at, BLOCK, counter, flags);
  } else {
    uint8_t block[BLOCK] = {0};
    if (rest) memcpy(block, (const uint8_t *)input + at, rest);
    compressInto(h, block, (uint32_t)rest, counter, flags);
  }
  memcpy(cv, h, CV);
}

void cblake3_chunk_node(const void *key, uint32_t flags, uint64_t counter, const void *input,
                        size_t length, cblake3_node *node) {
  uint32_t h[8];
  memcpy(h, key, CV);
  const size_t at = beginChunk(h, &flags, counter, input, length);
  const size_t rest = length - at;
  memset(node->block, 0, BLOCK);
  if (rest) memcpy(node->block, (const uint8_t *)input + at, rest);
  memcpy(node->cv, h, CV);
  node->length = (uint32_t)rest;
  node->flags = flags;
}

void cblake3_hash_parent(const void *key, uint32_t flags, const void *left, const void *right,
                         void *cv) {
  uint32_t h[8];
  uint8_t block[BLOCK];
  memcpy(h, key, CV);
  memcpy(block, left, CV);
  memcpy(block + CV, right, CV);
  compressInto(h, block, BLOCK, 0, flags | CBLAKE3_PARENT);
  memcpy(cv, h, CV);
}

void cblake3_squeeze(const cblake3_node *node, uint64_t index, void *output) {
  uint32_t h[8], v[16];
  memcpy(h, node->cv, CV);
  compress(h, node->block, node->length, index, node->flags | CBLAKE3_ROOT, v);
  for (int i = 0; i < 8; i++) {
    v[i] ^= v[i + 8];
    v[i + 8] ^= h[i];
  }
  memcpy(output, v, BLOCK);
}

// Many messages

// Hashes `whole` messages, and after them the batch's tail if it has one.
static void hashAll(struct batch *job, size_t whole) {
  const struct level *level = currentLevel();
  const uint8_t *tail = job->tail;
  job->tail = NULL;
  for (; whole >= level->wide; whole -= level->wide) {
    job->count = level->wide;
    level->hashWide(job);
    job->input += job->stride * level->wide;
    job->output += CV * level->wide;
    if (job->counts) job->counter += level->wide;
  }

  const unsigned rest = (unsigned)whole + (tail != NULL);
  if (rest > 2) {
    job->count = rest;
    job->tail = tail;
    if (rest > level->narrow)
      level->hashWide(job);
    else
      level->hashNarrow(job);
    return;
  }
  for (unsigned i = 0; i < rest; i++) {
    const uint64_t counter = job->counter + (job->counts ? i : 0);
    if (job->blocks == 1) {
      cblake3_hash_parent(job->key, job->flags, job->input, job->input + CV, job->output);
    } else {
      const size_t tailLength = job->tailBlock * BLOCK + job->tailLength;
      const int isTail = i == whole;
      cblake3_hash_chunk(job->key, job->flags, counter, isTail ? tail : job->input,
                         isTail ? tailLength : CHUNK, job->output);
    }
    job->input += job->stride;
    job->output += CV;
  }
}

size_t cblake3_leaves(const void *key, uint32_t flags, uint64_t counter, const void *input,
                      size_t length, void *cvs) {
  struct batch job = {.key = key,
                      .input = input,
                      .output = cvs,
                      .stride = CHUNK,
                      .blocks = CHUNK / BLOCK,
                      .counter = counter,
                      .flags = flags,
                      .first = CBLAKE3_CHUNK_START,
                      .last = CBLAKE3_CHUNK_END,
                      .counts = 1};
  const size_t whole = length / CHUNK;
  const size_t rest = length % CHUNK;
  uint8_t tail[CHUNK];
  if (rest) {
    memcpy(tail, job.input + whole * CHUNK, rest);
    memset(tail + rest, 0, CHUNK - rest);
    job.tail = tail;
    job.tailBlock = (rest - 1) / BLOCK;
    job.tailLength = (uint32_t)(rest - job.tailBlock * BLOCK);
  }
  hashAll(&job, whole);
  return whole + (rest != 0);
}

size_t cblake3_reduce(const void *key, uint32_t flags, void *cvs, size_t count, size_t limit) {
  while (count > limit) {
    const size_t pairs = count / 2;
    struct batch job = {.key = key,
                        .input = cvs,
                        .output = cvs,
                        .stride = BLOCK,
                        .blocks = 1,
                        .flags = flags | CBLAKE3_PARENT};
    hashAll(&job, pairs);
    if (count % 2) memmove((uint8_t *)cvs + pairs * CV, (uint8_t *)cvs + (count - 1) * CV, CV);
    count = pairs + count % 2;
  }
  return count;
}

size_t cblake3_subtree(const void *key, uint32_t flags, uint64_t counter, const void *input,
                       size_t length, size_t limit, void *cvs) {
  _Alignas(64) uint8_t scratch[CBLAKE3_GROUP_CHUNKS * CV];
  size_t count = cblake3_leaves(key, flags, counter, input, length, scratch);
  count = cblake3_reduce(key, flags, scratch, count, limit);
  memcpy(cvs, scratch, count * CV);
  return count;
}
