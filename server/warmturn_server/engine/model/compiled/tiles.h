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

// weights [tiles, inputs / UNIT, TILE, UNIT], zeros behind the last output; bias may be null.
struct Product {
    const number *weights;
    const float *bias;
    i64 inputs, outputs;
};

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

// f(row, first sixteen sums, second sixteen) for ROWS rows of one tile.
template <int ROWS, class F>
static inline void tile_of(const number *x, i64 stride, const number *weights, i64 units, F f) {
    lanes sums[ROWS][2] = {};
    for (i64 unit = 0; unit < units; unit++, weights += TILE * UNIT) {
        const natural left = units_at(weights), right = units_at(weights + 16 * UNIT);
#pragma GCC unroll 12
        for (int row = 0; row < ROWS; row++) {
            const natural own = unit_for_all(x + row * stride + unit * UNIT);
            sums[row][0] = plus_products(sums[row][0], left, own, (const number *)nullptr);
            sums[row][1] = plus_products(sums[row][1], right, own, (const number *)nullptr);
        }
    }
    for (int row = 0; row < ROWS; row++) f(row, sums[row][0], sums[row][1]);
}

template <int ROWS, class F>
static inline void tile_of_some(i64 rows, const number *x, i64 stride, const number *weights, i64 units, F f) {
    if (rows == ROWS) return tile_of<ROWS>(x, stride, weights, units, f);
    if constexpr (ROWS > 1) tile_of_some<ROWS - 1>(rows, x, stride, weights, units, f);
}

// The same for any number of rows, in nearly equal parts.
template <class F>
static inline void tile_of_all(i64 rows, const number *x, i64 stride, const number *weights, i64 units, F f) {
    const i64 parts = (rows + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE;
    for (i64 part = 0; part < parts; part++) {
        const i64 first = rows * part / parts, count = rows * (part + 1) / parts - first;
        tile_of_some<ROWS_AT_ONCE>(count, x + first * stride, stride, weights, units,
                                   [&](i64 row, lanes left, lanes right) { f(first + row, left, right); });
    }
}

static inline void put_some(number *to, lanes value, i64 count) {
    if (count >= 16) return stored(to, value);
    for (i64 i = 0; i < count; i++) to[i] = number(value[i]);
}

static inline lanes some_of(const float *from, i64 count) {
    lanes out = {};
    if (count > 0) std::memcpy(&out, from, (count < 16 ? count : 16) * sizeof(float));
    return out;
}

extern "C" {

// Whether weights are to be laid out like this at all: a processor that multiplies matrices has better instructions.
int packs() {
#if defined(__AVX512BF16__) && !defined(__AMX_BF16__)
    return 1;
#else
    return 0;
#endif
}

// x [rows, inputs] -> out [rows, outputs].
void multiply(const Product *product, const number *x, number *out, i64 rows) {
    const i64 outputs = product->outputs, units = product->inputs / UNIT;
#pragma omp parallel for schedule(static) if (rows * product->inputs * outputs > WORTH_SHARING)
    for (i64 tile = 0; tile < (outputs + TILE - 1) / TILE; tile++) {
        const i64 first = tile * TILE, left = outputs - first;
        const lanes none = {};
        const lanes bias_1 = product->bias ? some_of(product->bias + first, left) : none;
        const lanes bias_2 = product->bias ? some_of(product->bias + first + 16, left - 16) : none;
        tile_of_all(rows, x, product->inputs, product->weights + tile * units * TILE * UNIT, units,
                    [&](i64 row, lanes sums_1, lanes sums_2) {
                        number *to = out + row * outputs + first;
                        put_some(to, sums_1 + bias_1, left);
                        if (left > 16) put_some(to + 16, sums_2 + bias_2, left - 16);
                    });
    }
}

}
