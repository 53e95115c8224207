// Products with weights of which each group of inputs has a scale and perhaps a zero: what a code means * scale + zero. What
// the codes make is summed group by group, and what the zeros make of each group's sum of inputs comes last.

#pragma once
#include <vector>

#include "bits.h"

static inline i64 groups_in(i64 inputs) { return inputs / GROUP; }

// scales and zeros [groups, TILE]; zeros may be null, and are only for rows of floats.
template <class Codes>
struct InGroups {
    static const int ROWS = ROWS_AT_ONCE / 2;  // each has two sums in registers
    Codes codes;
    const float *scales, *zeros;
};

// x has its groups' sums behind its inputs, of which there are `units`, where there are zeros.
template <int ROWS, class Codes, class F>
static inline void tile_of(const number *x, i64 stride, const InGroups<Codes> &weights, i64 units, F f) {
    const i64 inputs = units * UNIT;
    lanes all[ROWS][2] = {}, by_zeros[ROWS][2] = {};
    for (i64 group = 0; group < groups_in(inputs); group++) {
        const float *scales = weights.scales + group * TILE;
        const lanes scale_1 = loaded(scales), scale_2 = loaded(scales + 16);
        tile_of<ROWS>(x + group * GROUP, stride, weights.codes.from(group * GROUP), GROUP / UNIT,
                      [&](i64 row, lanes left, lanes right) __attribute__((always_inline)) {
                          all[row][0] += left * scale_1, all[row][1] += right * scale_2;
                      });
    }
    for (i64 group = 0; weights.zeros && group < groups_in(inputs); group++) {
        const lanes zero_1 = loaded(weights.zeros + group * TILE), zero_2 = loaded(weights.zeros + group * TILE + 16);
        for (int row = 0; row < ROWS; row++) {
            const float sum = x[row * stride + inputs + group];
            by_zeros[row][0] += zero_1 * sum, by_zeros[row][1] += zero_2 * sum;
        }
    }
    for (int row = 0; row < ROWS; row++) f(row, all[row][0] + by_zeros[row][0], all[row][1] + by_zeros[row][1]);
}

static inline float sum_in_pairs(lanes v) {
    v += SHUFFLED(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    v += SHUFFLED(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    v += SHUFFLED(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    return v[0] + v[1];
}

// x [rows, inputs] -> [rows, inputs + groups].
static const number *with_sums(const number *x, i64 rows, i64 inputs) {
    static thread_local std::vector<number> room;
    const i64 width = inputs + groups_in(inputs);
    room.resize(rows * width);
    number *all = room.data();
    for_each(rows, rows * inputs > WORTH_SHARING, [&](i64 row) {
        const number *from = x + row * inputs;
        number *to = all + row * width;
        std::memcpy((void *)to, from, inputs * sizeof(number));
        for (i64 group = 0; group < groups_in(inputs); group++, from += GROUP)
            to[inputs + group] = number(sum_in_pairs(loaded(from) + loaded(from + 16)));
    });
    return all;
}
