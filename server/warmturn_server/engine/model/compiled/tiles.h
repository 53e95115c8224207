// Products of rows with weights that were laid out for it: a tile of 32 outputs at a time, summed for a few rows at once
// in registers. Each output is one sum in the order of the inputs, whatever rows are computed beside it.

#pragma once
#include "numbers.h"

#if defined(__AVX512F__)
static const int ROWS_AT_ONCE = 12;
#else
static const int ROWS_AT_ONCE = 2;
#endif
static const int TILE = 32;
static const i64 WORTH_SHARING = 1 << 18;  // products of two numbers: with fewer one thread is done before others woke
static const int UNIT = 4 / sizeof(number);  // neighbours along the sum that lie side by side: four bytes

static inline natural units_at(const number *from) {
    natural out;
    std::memcpy(&out, from, 64);
    return out;
}

static inline natural unit_for_all(const number *from) {
    uint32_t unit;
    std::memcpy(&unit, from, 4);
    return natural{} + unit;
}

static inline lanes plus_products(lanes sums, natural a, natural b, const float *) { return sums + (lanes)a * (lanes)b; }

static inline lanes plus_products(lanes sums, natural a, natural b, const bf16 *) {
#if defined(__AVX512BF16__)
    return (lanes)_mm512_dpbf16_ps((__m512)sums, (__m512bh)a, (__m512bh)b);
#else
    sums += (lanes)(a << 16) * (lanes)(b << 16);
    return sums + (lanes)(a & 0xffff0000) * (lanes)(b & 0xffff0000);
#endif
}

// A tile of weights as they are multiplied, [units, TILE, UNIT]. What keeps a tile in another way (`bits.h`) has `each` too;
// ROWS rows of it fill the registers.
struct Numbers {
    static const int ROWS = ROWS_AT_ONCE;
    const number *weights;

    Numbers from(i64 input) const { return {weights + input * TILE}; }

    // f(unit, that unit of the first sixteen outputs, of the second sixteen)
    template <class F>
    inline void each(i64 units, F f) const {
        const number *at = weights;
        for (i64 unit = 0; unit < units; unit++, at += TILE * UNIT) f(unit, units_at(at), units_at(at + 16 * UNIT));
    }
};

// f(row, first sixteen sums, second sixteen) for ROWS rows of one tile.
template <int ROWS, class Weights, class F>
static inline void tile_of(const number *x, i64 stride, const Weights &weights, i64 units, F f) {
    lanes sums[ROWS][2] = {};
    weights.each(units, [&](i64 unit, natural left, natural right) __attribute__((always_inline)) {
#pragma GCC unroll 12
        for (int row = 0; row < ROWS; row++) {
            const natural own = unit_for_all(x + row * stride + unit * UNIT);
            sums[row][0] = plus_products(sums[row][0], left, own, (const number *)nullptr);
            sums[row][1] = plus_products(sums[row][1], right, own, (const number *)nullptr);
        }
    });
    for (int row = 0; row < ROWS; row++) f(row, sums[row][0], sums[row][1]);
}

template <int ROWS, class X, class Weights, class F>
static inline void tile_of_some(i64 rows, const X *x, i64 stride, const Weights &weights, i64 units, F f) {
    if (rows == ROWS) return tile_of<ROWS>(x, stride, weights, units, f);
    if constexpr (ROWS > 1) tile_of_some<ROWS - 1>(rows, x, stride, weights, units, f);
}

// The same for any number of rows, in nearly equal parts.
template <class X, class Weights, class F>
static inline void tile_of_all(i64 rows, const X *x, i64 stride, const Weights &weights, i64 units, F f) {
    const i64 parts = (rows + Weights::ROWS - 1) / Weights::ROWS;
    for (i64 part = 0; part < parts; part++) {
        const i64 first = rows * part / parts, count = rows * (part + 1) / parts - first;
        tile_of_some<Weights::ROWS>(count, x + first * stride, stride, weights, units,
                                    [&](i64 row, lanes left, lanes right) { f(first + row, left, right); });
    }
}
