// BLAKE3's seven rounds, written once for "words" that are scalars or vectors alike.
//
// `v` names an array of 16 state words, `m` one of 16 message words. Macros with constant indices,
// not functions over arrays: the state then lives in registers, in debug builds as well as it can.
#ifndef CBLAKE3_ROUND_H
#define CBLAKE3_ROUND_H

#define CBLAKE3_IV0 0x6A09E667U
#define CBLAKE3_IV1 0xBB67AE85U
#define CBLAKE3_IV2 0x3C6EF372U
#define CBLAKE3_IV3 0xA54FF53AU

#define CBLAKE3_ROTATE(x, n) (((x) >> (n)) | ((x) << (32 - (n))))

// Half of four G functions side by side: they are independent, so their latencies overlap.
// The message is added first, since `b` is what the step before finished last.
#define CBLAKE3_STEP(v, R, S, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3, x0, x1, x2, x3) \
  v[0] = v[0] + x0 + v[b0];                                                                    \
  v[1] = v[1] + x1 + v[b1];                                                                    \
  v[2] = v[2] + x2 + v[b2];                                                                    \
  v[3] = v[3] + x3 + v[b3];                                                                    \
  v[d0] ^= v[0];                                                                               \
  v[d1] ^= v[1];                                                                               \
  v[d2] ^= v[2];                                                                               \
  v[d3] ^= v[3];                                                                               \
  v[d0] = CBLAKE3_ROTATE(v[d0], R);                                                            \
  v[d1] = CBLAKE3_ROTATE(v[d1], R);                                                            \
  v[d2] = CBLAKE3_ROTATE(v[d2], R);                                                            \
  v[d3] = CBLAKE3_ROTATE(v[d3], R);                                                            \
  v[c0] += v[d0];                                                                              \
  v[c1] += v[d1];                                                                              \
  v[c2] += v[d2];                                                                              \
  v[c3] += v[d3];                                                                              \
  v[b0] ^= v[c0];                                                                              \
  v[b1] ^= v[c1];                                                                              \
  v[b2] ^= v[c2];                                                                              \
  v[b3] ^= v[c3];                                                                              \
  v[b0] = CBLAKE3_ROTATE(v[b0], S);                                                            \
  v[b1] = CBLAKE3_ROTATE(v[b1], S);                                                            \
  v[b2] = CBLAKE3_ROTATE(v[b2], S);                                                            \
  v[b3] = CBLAKE3_ROTATE(v[b3], S);

// The columns' half of a round: message words x0 y0 x1 y1 x2 y2 x3 y3.
#define CBLAKE3_COLUMNS(v, m, x0, y0, x1, y1, x2, y2, x3, y3)                              \
  CBLAKE3_STEP(v, 16, 12, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, m[x0], m[x1], m[x2], m[x3]) \
  CBLAKE3_STEP(v, 8, 7, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, m[y0], m[y1], m[y2], m[y3])

// The diagonals' half of a round.
#define CBLAKE3_DIAGONALS(v, m, x0, y0, x1, y1, x2, y2, x3, y3)                            \
  CBLAKE3_STEP(v, 16, 12, 5, 6, 7, 4, 10, 11, 8, 9, 15, 12, 13, 14, m[x0], m[x1], m[x2], m[x3]) \
  CBLAKE3_STEP(v, 8, 7, 5, 6, 7, 4, 10, 11, 8, 9, 15, 12, 13, 14, m[y0], m[y1], m[y2], m[y3])

// All rounds: `C` and `D` stand for a half round over every state of the caller. Each line is the
// line before it, permuted.
#define CBLAKE3_ROUNDS(C, D)                                     \
  C(0, 1, 2, 3, 4, 5, 6, 7) D(8, 9, 10, 11, 12, 13, 14, 15)      \
  C(2, 6, 3, 10, 7, 0, 4, 13) D(1, 11, 12, 5, 9, 14, 15, 8)      \
  C(3, 4, 10, 12, 13, 2, 7, 14) D(6, 5, 9, 0, 11, 15, 8, 1)      \
  C(10, 7, 12, 9, 14, 3, 13, 15) D(4, 0, 11, 2, 5, 8, 1, 6)      \
  C(12, 13, 9, 11, 15, 10, 14, 8) D(7, 2, 5, 3, 0, 1, 6, 4)      \
  C(9, 14, 11, 5, 8, 12, 15, 1) D(13, 3, 0, 10, 2, 6, 4, 7)      \
  C(11, 15, 5, 0, 1, 9, 8, 6) D(14, 10, 2, 12, 3, 4, 7, 13)

#endif
