// Products of rows with weights, however those are kept.

#pragma once
#include "groups.h"

static const int FEW_ROWS = 16;  // for more it pays to make a tile's codes numbers first

// What has a scale: each output, or each group of inputs of it; and whether those, and their zeros, are floats.
enum class Scaled : int32_t { OUTPUTS, GROUPS, GROUPS_IN_FLOAT };

// weights: tiles of what `bits` says, nothing but zeros behind the last output. 0: `Numbers`, without scales. 4: `FourBits`,
// in groups. 8: `EightBits`. zeros, of groups, and bias may be null.
struct Product {
    const void *weights, *scales, *zeros;
    const float *bias;
    i64 inputs, outputs;
    int32_t bits;
    Scaled scaled;
};

// Sixteen units of sixteen outputs: as wide as a register.
struct alignas(64) Line {
    number units[16 * UNIT];
};

// A tile's codes as numbers; kept by this thread until its next ones.
template <class Codes>
static Numbers widened(const Codes &codes, i64 units) {
    static thread_local std::vector<Line> lines;
    lines.resize(units * 2);
    Line *to = lines.data();
    codes.each(units, [&](i64 unit, natural left, natural right) __attribute__((always_inline)) {
        std::memcpy((void *)&to[unit * 2], &left, 64), std::memcpy((void *)&to[unit * 2 + 1], &right, 64);
    });
    return {to->units};
}

static inline Numbers widened(const Numbers &weights, i64) { return weights; }

template <class Codes, class Scale>
static inline InGroups<Numbers, Scale> widened(const InGroups<Codes, Scale> &weights, i64 units) {
    return {widened(weights.codes, units), weights.scales, weights.zeros};
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

// Where the sums of one tile go, of which `left` outputs are there, and what is still done to them.
struct Ending {
    number *out;
    i64 outputs, left;
    lanes scale_1, scale_2, bias_1, bias_2;

    Ending(const Product &product, number *out, i64 first)
        : out(out + first), outputs(product.outputs), left(product.outputs - first) {
        const lanes none = {}, one = none + 1;
        const bool scaled = product.bits && product.scaled == Scaled::OUTPUTS;
        const number *scales = (const number *)product.scales + first;
        scale_1 = scaled ? loaded(scales) : one, scale_2 = scaled ? loaded(scales + 16) : one;
        bias_1 = product.bias ? some_of(product.bias + first, left) : none;
        bias_2 = product.bias ? some_of(product.bias + first + 16, left - 16) : none;
    }

    void operator()(i64 row, lanes sums_1, lanes sums_2) const {
        number *to = out + row * outputs;
        put_some(to, sums_1 * scale_1 + bias_1, left);
        if (left > 16) put_some(to + 16, sums_2 * scale_2 + bias_2, left - 16);
    }
};

template <class Weights>
__attribute__((noinline)) static void multiply_tile(i64 rows, const number *x, i64 stride, const Weights &weights,
                                                    i64 units, const Ending &ending) {
    tile_of_all(rows, x, stride, weights, units, ending);
}

// x [rows, stride], `weights_of(tile)` -> out [rows, outputs].
template <class F>
static void multiply_with(const Product &product, const number *x, i64 stride, number *out, i64 rows, F weights_of) {
    const i64 inputs = product.inputs, outputs = product.outputs, units = inputs / UNIT;
    for_each((outputs + TILE - 1) / TILE, rows * inputs * outputs > WORTH_SHARING, [&](i64 tile) {
        const Ending ending(product, out, tile * TILE);
        const auto weights = weights_of(tile);
        if (rows <= FEW_ROWS) multiply_tile(rows, x, stride, weights, units, ending);
        else multiply_tile(rows, x, stride, widened(weights, units), units, ending);
    });
}

template <class Codes, class Scale>
static void multiply_in_groups(const Product &product, const number *x, number *out, i64 rows) {
    const i64 inputs = product.inputs, groups = groups_in(inputs), sums = sums_in<Scale>(inputs);
    const uint8_t *codes = (const uint8_t *)product.weights;
    const Scale *scales = (const Scale *)product.scales, *zeros = (const Scale *)product.zeros;
    const number *rows_of = zeros ? with_sums<Scale>(x, rows, inputs) : x;
    multiply_with(product, rows_of, zeros ? width_with_sums<Scale>(inputs) : inputs, out, rows, [&](i64 tile) {
        return InGroups<Codes, Scale>{{codes + tile * TILE * inputs * product.bits / 8},
                                      scales + tile * TILE * groups,
                                      zeros ? zeros + tile * TILE * sums : nullptr};
    });
}

static void multiply_eight_bits(const Product &product, const number *x, number *out, i64 rows) {
    const i64 inputs = product.inputs;
    const uint8_t *codes = (const uint8_t *)product.weights;
    multiply_with(product, x, inputs, out, rows, [&](i64 tile) { return EightBits{codes + tile * TILE * inputs}; });
}

static void multiply_numbers(const Product &product, const number *x, number *out, i64 rows) {
    const i64 inputs = product.inputs;
    const number *weights = (const number *)product.weights;
    multiply_with(product, x, inputs, out, rows, [&](i64 tile) { return Numbers{weights + tile * TILE * inputs}; });
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
    const bool in_float = product->scaled == Scaled::GROUPS_IN_FLOAT;
    if (product->bits == 4 && in_float) multiply_in_groups<FourBits, float>(*product, x, out, rows);
    else if (product->bits == 4) multiply_in_groups<FourBits, number>(*product, x, out, rows);
    else if (product->bits == 8 && in_float) multiply_in_groups<EightBits, float>(*product, x, out, rows);
    else if (product->bits == 8) multiply_eight_bits(*product, x, out, rows);
    else multiply_numbers(*product, x, out, rows);
}

}
