// Products with weights of which each group of inputs has a scale and a zero: (code - 8) * scale + zero. What the codes
// make is summed group by group, and what the zeros make of each group's sum of inputs comes last, as one more product.

#pragma once
#include <vector>

#include "bits.h"

// scales [groups, TILE]; zeros [units of sums, TILE, UNIT].
template <class Codes>
struct InGroups {
    static const int ROWS = ROWS_AT_ONCE / 2;  // each has two sums in registers
    Codes codes;
    const number *scales;
    Numbers zeros;
};

static inline i64 groups_in(i64 inputs) { return inputs / GROUP; }
static inline i64 units_of_sums(i64 inputs) { return (groups_in(inputs) + UNIT - 1) / UNIT; }

// x has its groups' sums behind its inputs, of which there are `units`.
template <int ROWS, class Codes, class F>
static inline void tile_of(const number *x, i64 stride, const InGroups<Codes> &weights, i64 units, F f) {
    const i64 inputs = units * UNIT;
    lanes all[ROWS][2] = {};
    for (i64 group = 0; group < groups_in(inputs); group++) {
        const number *scales = weights.scales + group * TILE;
        const lanes scale_1 = loaded(scales), scale_2 = loaded(scales + 16);
        tile_of<ROWS>(x + group * GROUP, stride, weights.codes.from(group * GROUP), GROUP / UNIT,
                      [&](i64 row, lanes left, lanes right) __attribute__((always_inline)) {
                          all[row][0] += left * scale_1, all[row][1] += right * scale_2;
                      });
    }
    tile_of<ROWS>(x + inputs, stride, weights.zeros, units_of_sums(inputs), [&](i64 row, lanes left, lanes right) {
        f(row, all[row][0] + left, all[row][1] + right);
    });
}

static inline float sum_in_pairs(lanes v) {
    v += __builtin_shuffle(v, whole{8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7});
    v += __builtin_shuffle(v, whole{4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11});
    v += __builtin_shuffle(v, whole{2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13});
    return v[0] + v[1];
}

// x [rows, inputs] -> [rows, inputs + units of sums * UNIT].
static const number *with_sums(const number *x, i64 rows, i64 inputs) {
    static thread_local std::vector<number> room;
    const i64 width = inputs + units_of_sums(inputs) * UNIT;
    room.resize(rows * width);
    number *all = room.data();
#pragma omp parallel for schedule(static) if (rows * inputs > WORTH_SHARING)
    for (i64 row = 0; row < rows; row++) {
        const number *from = x + row * inputs;
        number *to = all + row * width;
        std::memcpy((void *)to, from, inputs * sizeof(number));
        std::memset((void *)(to + inputs), 0, (width - inputs) * sizeof(number));
        for (i64 group = 0; group < groups_in(inputs); group++, from += GROUP)
            to[inputs + group] = number(sum_in_pairs(loaded(from) + loaded(from + 16)));
    }
    return all;
}
