// BLAKE3's compression kernels: whatever must run on the widest vectors that the machine has.
//
// The tree above 128 KiB, buffering, threads and files are the caller's. Keys and chaining values
// (CVs) are 32 bytes in memory order, at any alignment. Nothing here allocates or fails; every
// function may run on any number of threads at once.
#ifndef CBLAKE3_H
#define CBLAKE3_H

#include <stddef.h>
#include <stdint.h>

#define CBLAKE3_CV_BYTES 32
#define CBLAKE3_BLOCK_BYTES 64
#define CBLAKE3_CHUNK_BYTES 1024
#define CBLAKE3_GROUP_CHUNKS 128

// Domain flags: BLAKE3 paper, section 2.1.
#define CBLAKE3_CHUNK_START 1U
#define CBLAKE3_CHUNK_END 2U
#define CBLAKE3_PARENT 4U
#define CBLAKE3_ROOT 8U
#define CBLAKE3_KEYED_HASH 16U
#define CBLAKE3_DERIVE_KEY_CONTEXT 32U
#define CBLAKE3_DERIVE_KEY_MATERIAL 64U

// A node's last compression, not yet made: what extended output is squeezed from.
typedef struct {
  uint8_t cv[CBLAKE3_CV_BYTES];
  uint8_t block[CBLAKE3_BLOCK_BYTES];
  uint32_t length;
  uint32_t flags;
} cblake3_node;

// Hashes one chunk of 0 to 1024 bytes. `flags` may hold CBLAKE3_ROOT if it is the whole input.
void cblake3_hash_chunk(const void *key, uint32_t flags, uint64_t counter, const void *input,
                        size_t length, void *cv);

// Hashes one chunk of 0 to 1024 bytes up to, not including, its last compression.
void cblake3_chunk_node(const void *key, uint32_t flags, uint64_t counter, const void *input,
                        size_t length, cblake3_node *node);

// Hashes two CVs to that of their parent. `flags` may hold CBLAKE3_ROOT.
void cblake3_hash_parent(const void *key, uint32_t flags, const void *left, const void *right,
                         void *cv);

// Writes the 64 bytes number `index` of a root's extended output.
void cblake3_squeeze(const cblake3_node *node, uint64_t index, void *output);

// Hashes consecutive chunks, the last of which may be short, to one CV each.
//
// `counter` is the first chunk's number. Returns how many CVs were written: one for each begun KiB.
size_t cblake3_leaves(const void *key, uint32_t flags, uint64_t counter, const void *input,
                      size_t length, void *cvs);

// Pairs up CVs to those of their parents, in place and level by level (an odd one moves up as it
// is), until at most `limit`, at least 1, are left. Returns how many. Never makes a root.
size_t cblake3_reduce(const void *key, uint32_t flags, void *cvs, size_t count, size_t limit);

// Hashes 1 byte to 128 KiB to at most `limit` CVs below the root, as reduce does. Returns how many.
size_t cblake3_subtree(const void *key, uint32_t flags, uint64_t counter, const void *input,
                       size_t length, size_t limit, void *cvs);

// Instruction levels. Any level gives the same results; forcing one is for tests and benchmarks.
#define CBLAKE3_LEVEL_BASE 0  // what the target always has: SSE2, NEON, or what the compiler makes
#define CBLAKE3_LEVEL_AVX2 1
#define CBLAKE3_LEVEL_AVX512 2

// The widest level that this machine can run.
int cblake3_best_level(void);

// Makes the whole process use a level, or with -1 the best one. Returns 0 if the machine cannot.
int cblake3_force_level(int level);

#endif
