// Products in whole numbers, for codes of four bits and rows in bfloat16: each group of a row's inputs is rounded to eight
// bits, with a scale of its own. So sums within a group are exact, and take half the instructions that numbers would.

#pragma once
#include "groups.h"

typedef int8_t signed_bytes __attribute__((vector_size(16)));

// One group of a row: numbers * scale, of every eight in the order that codes have. `sum` is theirs, `total` was that before
// they were rounded: it is what zeros are multiplied with.
struct Rounded {
    int8_t numbers[GROUP];
    float scale, total;
    int32_t sum;
};

static inline natural larger(natural a, natural b) { return a > b ? a : b; }

// Floats without their signs are ordered as whole numbers are; what is no number is larger than all others.
static inline float largest_in(natural v) {
    v = larger(v, SHUFFLED(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    v = larger(v, SHUFFLED(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
    v = larger(v, SHUFFLED(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
    v = larger(v, SHUFFLED(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));
    return ((lanes)v)[0];
}

static inline void put_in_order_of_codes(int8_t *to, lanes v) {
    v = SHUFFLED(v, v, 0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
    const signed_bytes numbers = __builtin_convertvector(to_whole(v), signed_bytes);
    std::memcpy(to, &numbers, 16);
}

static inline Rounded rounded_group(const number *x) {
    const lanes first = loaded(x), second = loaded(x + 16), to_nearest = lanes{} + 12582912.0f;
    const float most = largest_in(larger((natural)first & 0x7fffffff, (natural)second & 0x7fffffff));
    const float steps = most > 1e-30f ? 127.0f / most : 0;
    const lanes whole_1 = (first * steps + to_nearest) - to_nearest, whole_2 = (second * steps + to_nearest) - to_nearest;
    const float sum = sum_in_pairs(whole_1 + whole_2);
    Rounded out;
    put_in_order_of_codes(out.numbers, whole_1), put_in_order_of_codes(out.numbers + 16, whole_2);
    out.scale = sum == sum ? most / 127.0f : sum;  // what is no number is passed on
    out.total = sum_in_pairs(first + second), out.sum = sum == sum ? (int32_t)sum : 0;
    return out;
}

// x [rows, inputs] -> [rows, groups]; kept by this thread until its next ones.
static const Rounded *rounded_rows(const number *x, i64 rows, i64 inputs) {
    static thread_local std::vector<Rounded> room;
    const i64 groups = rows * groups_in(inputs);
    room.resize(groups);
    Rounded *all = room.data();
    for_each(groups, rows * inputs > WORTH_SHARING, [&](i64 group) { all[group] = rounded_group(x + group * GROUP); });
    return all;
}

// sums + a[0] * b[0] + ... + a[3] * b[3] for the bytes of each lane: those of a without a sign, those of b with one.
static inline whole plus_products_of_bytes(whole sums, natural a, natural b) {
#if defined(__AVX512VNNI__)
    return (whole)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)a, (__m512i)b);
#else
    for (int i = 0; i < 4; i++) sums += (whole)(a >> (8 * i) & 255) * ((whole)(b << (24 - 8 * i)) >> 24);
    return sums;
#endif
}

// The codes of `FourBits`, as they are and each as a byte: [inputs / 4, 2, 16 outputs, 4].
struct Halves {
    const uint8_t *codes;

    // f(unit, those four inputs of the first sixteen outputs, of the second sixteen) for each group's
    template <class F>
    inline void group(i64 number_, F f) const {
        const uint8_t *at = codes + number_ * GROUP * TILE / 2;
#pragma GCC unroll 4
        for (int unit = 0; unit < GROUP / 4; unit += 2, at += 128) {
            fetch_ahead(at);
            const natural left = codes_at(at), right = codes_at(at + 64);
            f(unit, left & 0x0f0f0f0f, right & 0x0f0f0f0f);
            f(unit + 1, left >> 4 & 0x0f0f0f0f, right >> 4 & 0x0f0f0f0f);
        }
    }
};

struct Bytes {
    const uint8_t *codes;

    template <class F>
    inline void group(i64 number_, F f) const {
        const uint8_t *at = codes + number_ * GROUP * TILE;
#pragma GCC unroll 8
        for (int unit = 0; unit < GROUP / 4; unit++, at += 128) f(unit, codes_at(at), codes_at(at + 64));
    }
};

// scales and zeros [groups, TILE]; zeros may be null.
template <class Codes, class Scale>
struct WholeInGroups {
    static const int ROWS = ROWS_AT_ONCE / 2;  // each has two sums in registers
    Codes codes;
    const Scale *scales, *zeros;
};

// x [rows, stride] groups.
template <int ROWS, class Codes, class Scale, class F>
static inline void tile_of(const Rounded *x, i64 stride, const WholeInGroups<Codes, Scale> &weights, i64 units, F f) {
    lanes all[ROWS][2] = {};
    for (i64 group = 0; group < groups_in(units * UNIT); group++, x++) {
        whole sums[ROWS][2];
        for (int row = 0; row < ROWS; row++) sums[row][0] = sums[row][1] = whole{} - 8 * x[row * stride].sum;
        weights.codes.group(group, [&](int unit, natural left, natural right) __attribute__((always_inline)) {
#pragma GCC unroll 6
            for (int row = 0; row < ROWS; row++) {
                uint32_t four;
                std::memcpy(&four, x[row * stride].numbers + unit * 4, 4);
                sums[row][0] = plus_products_of_bytes(sums[row][0], left, natural{} + four);
                sums[row][1] = plus_products_of_bytes(sums[row][1], right, natural{} + four);
            }
        });
        const Scale *scales = weights.scales + group * TILE;
        const lanes scale_1 = loaded(scales), scale_2 = loaded(scales + 16);
#pragma GCC unroll 6
        for (int row = 0; row < ROWS; row++) {
            const float scale = x[row * stride].scale;
            all[row][0] += __builtin_convertvector(sums[row][0], lanes) * (scale_1 * scale);
            all[row][1] += __builtin_convertvector(sums[row][1], lanes) * (scale_2 * scale);
        }
        if (!weights.zeros) continue;
        const Scale *zeros = weights.zeros + group * TILE;
        const lanes zero_1 = loaded(zeros), zero_2 = loaded(zeros + 16);
#pragma GCC unroll 6
        for (int row = 0; row < ROWS; row++)
            all[row][0] += zero_1 * x[row * stride].total, all[row][1] += zero_2 * x[row * stride].total;
    }
    for (int row = 0; row < ROWS; row++) f(row, all[row][0], all[row][1]);
}
