// Products with weights of which each group of inputs has a scale and perhaps a zero: what a code means * scale + zero. What
// the codes make is summed group by group, and what the zeros make of each group's sum of inputs comes last, as one more
// product. Scale says in what scales, zeros and those sums are kept: numbers as the model's, or floats.

#pragma once
#include <type_traits>
#include <vector>

#include "bits.h"

// scales [groups, TILE]; zeros [units of sums, TILE, a unit of them], or null where there are none.
template <class Codes, class Scale>
struct InGroups {
    static const int ROWS = ROWS_AT_ONCE / 2;  // each has two sums in registers
    Codes codes;
    const Scale *scales, *zeros;
};

static inline i64 groups_in(i64 inputs) { return inputs / GROUP; }

// As many sums as fill units of four bytes.
template <class Scale>
static inline i64 sums_in(i64 inputs) {
    const i64 unit = 4 / sizeof(Scale);
    return (groups_in(inputs) + unit - 1) / unit * unit;
}

template <int ROWS, class F>
static inline void zeros_of(const number *sums, i64 stride, const number *zeros, i64 count, F f) {
    tile_of<ROWS>(sums, stride, Numbers{zeros}, count / UNIT, f);
}

// Floats behind numbers; where those are floats too, the ones above will do.
template <int ROWS, class Float, class F>
static inline std::enable_if_t<!std::is_same<Float, number>::value> zeros_of(const number *sums, i64 stride,
                                                                             const Float *zeros, i64 count, F f) {
    lanes all[ROWS][2] = {};
    for (i64 group = 0; group < count; group++) {
        const lanes zero_1 = loaded(zeros + group * TILE), zero_2 = loaded(zeros + group * TILE + 16);
        for (int row = 0; row < ROWS; row++) {
            float sum;
            std::memcpy(&sum, sums + row * stride + group * UNIT, sizeof sum);
            all[row][0] += zero_1 * sum, all[row][1] += zero_2 * sum;
        }
    }
    for (int row = 0; row < ROWS; row++) f(row, all[row][0], all[row][1]);
}

// x has its groups' sums behind its inputs, of which there are `units`, where there are zeros.
template <int ROWS, class Codes, class Scale, class F>
static inline void tile_of(const number *x, i64 stride, const InGroups<Codes, Scale> &weights, i64 units, F f) {
    const i64 inputs = units * UNIT;
    lanes all[ROWS][2] = {};
    for (i64 group = 0; group < groups_in(inputs); group++) {
        const Scale *scales = weights.scales + group * TILE;
        const lanes scale_1 = loaded(scales), scale_2 = loaded(scales + 16);
        tile_of<ROWS>(x + group * GROUP, stride, weights.codes.from(group * GROUP), GROUP / UNIT,
                      [&](i64 row, lanes left, lanes right) __attribute__((always_inline)) {
                          all[row][0] += left * scale_1, all[row][1] += right * scale_2;
                      });
    }
    const auto end = [&](i64 row, lanes left, lanes right) { f(row, all[row][0] + left, all[row][1] + right); };
    if (weights.zeros) return zeros_of<ROWS>(x + inputs, stride, weights.zeros, sums_in<Scale>(inputs), end);
    for (int row = 0; row < ROWS; row++) end(row, lanes{}, lanes{});
}

static inline float sum_in_pairs(lanes v) {
    v += SHUFFLED(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    v += SHUFFLED(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    v += SHUFFLED(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    return v[0] + v[1];
}

template <class Scale>
static inline i64 width_with_sums(i64 inputs) {
    return inputs + sums_in<Scale>(inputs) * (i64)(sizeof(Scale) / sizeof(number));
}

// x [rows, inputs] -> [rows, width with sums].
template <class Scale>
static const number *with_sums(const number *x, i64 rows, i64 inputs) {
    static thread_local std::vector<number> room;
    const i64 width = width_with_sums<Scale>(inputs);
    room.resize(rows * width);
    number *all = room.data();
    for_each(rows, rows * inputs > WORTH_SHARING, [&](i64 row) {
        const number *from = x + row * inputs;
        number *to = all + row * width;
        std::memcpy((void *)to, from, inputs * sizeof(number));
        std::memset((void *)(to + inputs), 0, (width - inputs) * sizeof(number));
        for (i64 group = 0; group < groups_in(inputs); group++, from += GROUP) {
            const Scale sum(sum_in_pairs(loaded(from) + loaded(from + 16)));
            std::memcpy((void *)((char *)(to + inputs) + group * sizeof sum), &sum, sizeof sum);
        }
    });
    return all;
}
